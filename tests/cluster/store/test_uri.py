"""What a reference means beside a manifest, in a folder and in a bucket."""

import os
from pathlib import Path

import pytest

from pressrun.cluster.store.uri import escaped, is_utf8, local_path, real_uri, refused_uri, resolve_uri
from pressrun.pipeline.errors import JobError, RequestError

FOLDER, BUCKET = "/shop/spring", "s3://shop/spring"


@pytest.mark.parametrize("place", [FOLDER, BUCKET])
@pytest.mark.parametrize(
    ("reference", "meant"),
    [
        ("//cdn.shop.example/s/files/1/mug.jpg?v=169", "https://cdn.shop.example/s/files/1/mug.jpg?v=169"),
        ("//cdn.shop.example:8443/mug.jpg", "https://cdn.shop.example:8443/mug.jpg"),
        ("data:image/png;base64,iVBO//w=", "data:image/png;base64,iVBO//w="),
        ("DATA:,a", "DATA:,a"),
        ("https://shop.example/a, b.png", "https://shop.example/a, b.png"),
    ],
)
def test_an_address_stands_for_itself(place: str, reference: str, meant: str) -> None:
    assert resolve_uri(reference, place) == meant
    assert resolve_uri(meant, FOLDER) == resolve_uri(meant, BUCKET) == meant


def test_two_slashes_and_no_host_are_a_path() -> None:
    assert resolve_uri("//srv/mug.png", FOLDER) == "//srv/mug.png"
    with pytest.raises(RequestError, match="leads out of"):
        resolve_uri("//srv/mug.png", BUCKET)


@pytest.mark.parametrize("place", [FOLDER, BUCKET])
@pytest.mark.parametrize("reference", [r"C:\Bilder\mug.png", "c:/Bilder/mug.png", r"\\nas\photos\mug.png"])
def test_a_path_of_windows_is_a_sentence_wherever_it_is_read_again(place: str, reference: str) -> None:
    kept = refused_uri(reference, place)
    for again in (place, FOLDER, BUCKET):
        with pytest.raises(RequestError, match="is a path on a Windows machine: put the picture beside") as error:
            resolve_uri(kept, again)
        assert error.value.code == "reference_windows_path"


@pytest.mark.parametrize("reference", ["/etc/passwd", "../../x.png", "file:///etc/passwd", "..", "//srv/mug.png"])
def test_what_a_bucket_refuses_is_refused_wherever_it_is_read_again(reference: str) -> None:
    kept = refused_uri(reference, BUCKET)
    for place in (FOLDER, BUCKET):
        with pytest.raises(RequestError) as error:
            resolve_uri(kept, place)
        assert error.value.code == "bad_reference"


LATIN = os.fsdecode(b"caf\xe9")


def test_a_place_whose_name_is_no_utf8_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / LATIN).mkdir()
    (tmp_path / "link").symlink_to(LATIN)
    monkeypatch.chdir(tmp_path / LATIN)
    for ask in (
        lambda: local_path(f"{tmp_path}/{LATIN}"),
        lambda: local_path("out"),
        lambda: real_uri(f"{tmp_path}/link"),
        lambda: resolve_uri("mug.png", None),
    ):
        with pytest.raises(JobError, match=r"caf\\xe9.*” has a name that is not UTF-8.*rename it"):
            ask()
    assert local_path(f"{tmp_path}/link") == f"{tmp_path}/link"


def test_bytes_that_are_no_text_can_be_shown() -> None:
    assert escaped(f"{LATIN} ü \ud800") == r"caf\xe9 ü \ud800"
    assert is_utf8("größe 杯 📻") and not is_utf8(LATIN) and not is_utf8("\ud800")
