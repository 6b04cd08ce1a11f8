"""What is never shown: credentials in addresses and beside them, objects' representations, another host's folders."""

import pickle

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pressrun.pipeline.errors import JobError, PressrunError, RequestError, StorageError
from pressrun.pipeline.redaction import MARKED, redacted, without_folders, without_secrets


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


LONG = "q7Rk2vXw9ZpLm4TsB8cDn1"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015"


@pytest.mark.parametrize(
    "text",
    [
        "https://pim.example/asset?sku=12&lang=de",
        "https://cdn.example/a.png?v=20260101120000&name=SpringSaleHeroBannerLarge2026#page=2",
        "https://h/a?file=spring/mug-red-front-1600x1200.png",
        "https://h/a?tr=w-400,h-300&impolicy=product&auto=format",
        "https://cdn.example/logo@2x.png and images//b@2x.png",
        f"sha256 {DIGEST}, or s3://bucket/{DIGEST}.png",
        "a note that says secret: the token of love, key = gold",
        "the bearer of light in a basic t-shirt; secretary=Jane",
        "jane@shop.example asks: is it red? yes",
        "https://h/a?token=… and Authorization: Bearer …",
        "",
    ],
)
def test_what_is_harmless_in_a_customers_text_stays(text: str) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://h/a?X-Amz-Date=1&X-Amz-Signature=SECRET.", "see https://h/a?…."),
        ("https://h/a?x-goog-credential=SECRET", "https://h/a?…"),
        ("https://h/a?GoogleAccessId=SECRET", "https://h/a?…"),
        ("https://h/a?sv=2024&se=2026&sp=r&SIG=SECRET", "https://h/a?…"),
        ("https://h/a?sv=2024&se=2026&sp=r", "https://h/a?…"),
        ("https://h/a?Policy=SECRET&Key-Pair-Id=K", "https://h/a?…"),
        ("https://h/a?AWSAccessKeyId=SECRET&Expires=1", "https://h/a?…"),
        ("https://h/a?sku=12&hdnts=SECRET", "https://h/a?…"),
        ("https://h/a?%73ig=SECRET", "https://h/a?…"),
        (f"https://h/a?sku=12&e={LONG}", "https://h/a?…"),
        (f"https://h/a?v={DIGEST}", "https://h/a?…"),
        (f"https://h/a?{LONG}", "https://h/a?…"),
        (f"https://h/a?sku=12#{LONG}", "https://h/a?sku=12#…"),
        ("https://h/a#access_token=SECRET", "https://h/a#…"),
        ("https://h/a?of=https%3A%2F%2Fu%3ASECRET%40h%2Fb", "https://h/a?…"),
        ("https://user:SECRET@h:8080/a?sku=12", "https://h:8080/a?sku=12"),
        ("https://u:SE/CRET@h/a", "https://…"),
        ("//user:SECRET@h/a", "//h/a"),
        ("photos/mug.png?X-Amz-Signature=SECRET", "photos/mug.png?…"),
        ("https://h/a?sig=SECRET|https://h/b,https://h/c?d=1", "https://h/a?…|https://h/b,https://h/c?d=1"),
        ('{"at":"https://h/a?sig=SECRET","token":"SEC RET","n":1}', '{"at":"https://h/a?…","token":"…","n":1}'),
        (r'{"at": "see\nhttps://h/a?sig=SECRET\nand \"b\""}', r'{"at": "see\nhttps://h/a?…\nand \"b\""}'),
        ("{'password': 'SECRET', 'n': 1}", "{'password': '…', 'n': 1}"),
        ("AKIAIOSFODNN7EXAMPLE, ASIAIOSFODNN7EXAMPLE", "AKIA…, ASIA…"),
        ("curl -H 'Authorization: Bearer SECRET' it", "curl -H 'Authorization: Bearer …' it"),
        ("Authorization: Custom SECRET", "Authorization: Custom …"),
        ("with Bearer SECRET123 it works", "with Bearer … it works"),
        ("Basic dXNlcjpTRUNSRVQ=", "Basic …"),
        ("Cookie: session=SECRET; b=SECRET", "Cookie: …"),
        ("aws_secret_access_key = SECRET/x+y", "aws_secret_access_key = …"),
        ("AWS_SESSION_TOKEN=SECRET; done", "AWS_SESSION_TOKEN=…; done"),
        ("api key: SECRET. password=SECRET!", "api key: …. password=…"),
        ("sv=2024&sig=SECRET%3D", "sv=2024&sig=…"),
        ("…?token=SECRET\ud800", "…?…"),
    ],
)
def test_what_may_be_a_secret_in_a_customers_text_is_cut(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert without_secrets(shown) == shown


def test_a_message_loses_what_is_no_address_too() -> None:
    assert redacted("It said: AKIAIOSFODNN7EXAMPLE, password=SECRET.") == "It said: AKIA…, password=…."


PIECES = (
    *("https://", "//", ":", "@", "u", "h", "/a", "?", "&", "#", "=", "sig", "X-Amz-Signature", "token", "password"),
    *('"', "'", " ", "|", ",", ";", "…", "Authorization", "Bearer", "Basic", "dXNlcjpwYXNz", "AKIAIOSFODNN7EXAMPLE"),
    *(
        DIGEST,
        LONG,
        "\\",
        "<",
        ">",
        "\n",
        "[",
        ")",
        "%3A",
        "%2F",
        "%40",
        "se",
        "sp",
        "sv",
        "cookie",
        "12",
        "{",
        "secret",
    ),
    *("api_key", "-", "key", ".", "{"),
)


@given(st.lists(st.sampled_from(PIECES), max_size=14))
def test_cutting_twice_is_cutting_once_and_columns_are_searched_for_no_less(pieces: list[str]) -> None:
    text = "".join(pieces)
    cut = without_secrets(text)
    assert without_secrets(cut) == cut
    assert redacted(redacted(text)) == redacted(text)
    assert cut == text or pc.match_substring_regex(pa.array([text]), MARKED)[0].as_py()
