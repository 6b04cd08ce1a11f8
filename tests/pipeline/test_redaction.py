"""What a message never shows: credentials in addresses, objects' representations, another host's folders."""

import pickle

import pytest

from pipeline.errors import JobError, PressrunError, RequestError, StorageError
from pipeline.redaction import redacted, without_folders


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("See https://h.example/a/b.png.", "See https://h.example/a/b.png."),
        ("At “https://h/a?X-Amz-Signature=SECRET”.", "At “https://h/a?…”."),
        ("'https://h/a?sig=SECRET' is none.", "'https://h/a?…' is none."),
        ("(https://h/a?sig='SE<CR>ET)", "(https://h/a?…)"),
        ("https://h/a#SECRET: gone", "https://h/a#…: gone"),
        ("https://user:SECRET@h:8080/a; no", "https://h:8080/a; no"),
        ("https://u:SEC@RET@h/a", "https://h/a"),
        ("https://u:SE/CRET@h/a?SECRET", "https://…"),
        ("a cell of https://[h/SECRET).", "a cell of https://…)."),
        ("ray://:SECRET@[::1]:6379, no", "ray://[::1]:6379, no"),
        ("s3://bucket/key and https://h?SECRET both", "s3://bucket/key and https://h?… both"),
        ("https://cdn/logo@2x.png", "https://cdn/logo@2x.png"),
        ("file:///srv/a", "file:///srv/a"),
        ("no address: 1://2", "no address: 1://2"),
        ("cannot take <PIL.Image.Image mode=RGB at 0x7F00AB>", "cannot take an object"),
    ],
)
def test_an_address_is_cut_down_to_what_is_public(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert redacted(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[Errno 2] No such file: '/srv/models/x/a.json'", "[Errno 2] No such file: '…/a.json'"),
        ("put it at <models>/flux2-klein-4b", "put it at <models>/flux2-klein-4b"),
        ("see https://h.example/a/b", "see https://h.example/a/b"),
        ("3 images/s, 1/2", "3 images/s, 1/2"),
    ],
)
def test_another_hosts_files_have_only_their_names(text: str, shown: str) -> None:
    assert without_folders(text) == shown


@pytest.mark.parametrize("kind", [PressrunError, JobError, StorageError])
def test_every_error_is_redacted_when_it_is_made(kind: type[PressrunError]) -> None:
    error = kind("Cannot read https://h/a?SECRET.")
    assert str(error) == "Cannot read https://h/a?…."
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_rows_error_and_a_jobs_problems_are_redacted_too() -> None:
    assert RequestError("code", "https://h/a?SECRET").message == "https://h/a?…"
    assert JobError("one", "https://h/a?SECRET").problems == ("one", "https://h/a?…")
