"""References that lead nowhere as they are written: found by another form of their name, or the cause is said."""

import unicodedata
from pathlib import Path
from urllib.parse import quote

import pytest

from pressrun.cluster.net.fetch_rules import WebRules
from pressrun.cluster.references.missing_reference import other_forms
from pressrun.cluster.references.reader import ReferenceReader, place_of
from pressrun.pipeline.errors import RequestError
from tests.opening import open_store, stores

RULES = WebRules(max_bytes=1000)
COMPOSED = unicodedata.normalize("NFC", "Kaffeebecher größe é.png")
APART = unicodedata.normalize("NFD", COMPOSED)


def read(uri: object) -> bytes:
    return ReferenceReader(RULES, stores()).read(str(uri))


def refused(uri: object) -> tuple[str, str]:
    with pytest.raises(RequestError) as error:
        read(uri)
    return error.value.code, error.value.message


SAME = [
    pytest.param(APART, COMPOSED, id="decomposed on the disk"),
    pytest.param(COMPOSED, APART, id="decomposed in the cell"),
    pytest.param("red mug.png", "red%20mug.png", id="encoded in the cell"),
    pytest.param("red%20mug.png", "red mug.png", id="encoded on the disk"),
    pytest.param(APART, quote(COMPOSED), id="encoded and decomposed"),
    pytest.param("100%.png", "100%25.png", id="a percent sign"),
]


@pytest.mark.parametrize(("there", "written"), SAME)
def test_a_file_is_found_by_another_form_of_its_name(tmp_path: Path, there: str, written: str) -> None:
    (tmp_path / there).write_bytes(b"mug")
    assert read(tmp_path / written) == b"mug"


@pytest.mark.parametrize(("there", "written"), SAME)
def test_an_object_is_found_by_another_form_of_its_name(s3_bucket: str, there: str, written: str) -> None:
    open_store(s3_bucket).put(f"a/{there}", b"mug")
    assert read(f"{s3_bucket}/a/{written}") == b"mug"


def test_folders_have_other_forms_too_each_its_own(tmp_path: Path) -> None:
    (tmp_path / "fr\u00fch" / "gro\u0308\u00dfe").mkdir(parents=True)
    (tmp_path / "fr\u00fch" / "gro\u0308\u00dfe" / "a.png").write_bytes(b"mug")
    assert read(f"{tmp_path}/fru\u0308h/gr\u00f6\u00dfe/a.png") == b"mug"


def test_the_very_name_comes_first(tmp_path: Path) -> None:
    for name in ("a b.png", "a%20b.png", COMPOSED, APART):
        (tmp_path / name).write_bytes(name.encode())
    for name in ("a b.png", "a%20b.png", COMPOSED, APART):
        assert read(tmp_path / name) == name.encode()


@pytest.mark.parametrize("name", ["..%2f..%2fetc%2fpasswd", "a%00b.png", "%2e%2e", "%ff.png", "plain.png"])
def test_another_form_never_leads_elsewhere(name: str) -> None:
    for form in other_forms(name):
        assert "/" not in form and "\0" not in form and form not in ("", ".", "..") and "\ufffd" not in form


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("Mug.PNG", "reference_case", "but “mug.png” does: write it so, capitals matter"),
        ("MUG.png", "reference_case", "but “mug.png” does"),
        ("mug.png, mug.png", "reference_several", "put | between them"),
        ("mug.png;mug.jpg", "reference_several", "put | between them"),
        ("mug.png cup.png", "reference_several", "put | between them"),
        (r"photos\mug.png", "reference_windows_path", "write / between folders"),
        ('"mug.png"', "reference_quoted", "take the quotation marks away"),
        ("„mug.png“", "reference_quoted", "take the quotation marks away"),
        ("www.shop.example/mug.png", "reference_no_scheme", "write https:// before its host"),
        ("cdn.shop.com/mug.png", "reference_no_scheme", "write https:// before its host"),
        ("https:/shop.example/mug.png", "reference_no_scheme", "write https:// before its host"),
        ("there.com/cup.png", "reference_missing", "does not exist; check the path"),
        ("cup, red.png", "reference_missing", "does not exist; check the path"),
        ("cup.png", "reference_missing", "does not exist; check the path"),
    ],
)
def test_each_cause_has_its_own_code_and_sentence(tmp_path: Path, name: str, code: str, words: str) -> None:
    (tmp_path / "mug.png").write_bytes(b"mug")
    (tmp_path / "there.com").mkdir()
    said = refused(f"{tmp_path}/{name}")
    assert said[0] == code and words in said[1] and said[1].startswith(f"Reference {tmp_path}/")


def test_of_a_bucket_the_causes_that_a_name_shows_are_told(s3_bucket: str) -> None:
    assert refused(f"{s3_bucket}/mug.png, cup.png")[0] == "reference_several"
    assert refused(f"{s3_bucket}/photos\\mug.png")[0] == "reference_windows_path"
    assert refused(f"{s3_bucket}/a/mug.png")[0] == "reference_missing"


@pytest.mark.parametrize(
    "uri",
    [
        "data:image/png;base64,bXVn",
        "data:;base64,bXVn",
        "data:,mug",
        "DATA:image/png;charset=utf-8;BASE64,bXVn",
        "data:image/png,%6dug",
        "data:image/png;base64,bX Vn",
        "data:image/png;base64,%62XVn",
    ],
)
def test_a_picture_may_be_its_own_address(uri: str) -> None:
    assert read(uri) == b"mug"
    assert place_of(uri) == "data:"


@pytest.mark.parametrize("padding", ["", "=", "=="])
def test_padding_may_be_lacking(padding: str) -> None:
    assert read("data:;base64,bXVncw" + padding) == b"mugs"


def test_a_picture_that_is_its_own_address_is_bounded_and_shown_short() -> None:
    code, message = refused("data:image/png;base64," + "A" * 2000)
    assert code == "reference_too_large" and "1,000 bytes" in message and "AAAA" not in message
    for broken in ("data:image/png;base64,b", "data:image/png;base64,b*Vn", "data:image/png"):
        code, message = refused(broken)
        assert code == "reference_bad_data" and "write data:image/png;base64,…" in message
