"""References as shops have them in their cells: several in one, without a scheme, as data, each cause by its name."""

import base64
import io
import json
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from pressrun.cluster.net.fetch_rules import WebRules
from pressrun.cluster.protocol.unit import Reference
from pressrun.cluster.references.reader import ReferenceReader
from pressrun.jobs.folder.causes import group_causes
from pressrun.jobs.manifest.manifest import normalise
from pressrun.jobs.references.probe import survey
from pressrun.jobs.references.validators import noted_as, stamps
from pressrun.jobs.tables.addresses import addresses_in
from pressrun.jobs.text.public_text import public_column
from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.models.catalogue import Model, find_model
from tests.opening import stores

MODEL = Model(
    "mini", "flux2-klein", steps=10, guidance=1.0, width=128, height=96, max_pixels=512 * 512, max_references=2
)
DATA = "data:image/png;base64,iVBO//wAAA+b=="


def read(cells: pa.Array) -> tuple[list[list[str]], dict[int, tuple[str, str]]]:
    """References as they are meant, and what is wrong with those of bad rows."""
    ids = [f"r{row}" for row in range(len(cells))]
    table = pa.table({"custom_id": ids, "prompt": ["a mug"] * len(cells), "references": cells})
    manifest = normalise(table, MODEL, "/shop/m.csv")
    again = normalise(manifest.frozen, MODEL, "/elsewhere/m.parquet")
    assert again.bad.equals(manifest.bad) and again.table.equals(manifest.table)
    bad = {one["row"]: (one["error_code"], one["error_message"]) for one in manifest.bad.to_pylist()}
    return manifest.table["references"].to_pylist(), bad


@pytest.mark.parametrize(
    ("cell", "meant"),
    [
        ("https://a.example/a.jpg, https://a.example/b.jpg", ["https://a.example/a.jpg", "https://a.example/b.jpg"]),
        ("https://a.example/a.jpg,https://a.example/b.jpg", ["https://a.example/a.jpg", "https://a.example/b.jpg"]),
        ("https://a.example/?v=1;s3://bucket/b.jpg", ["https://a.example/?v=1", "s3://bucket/b.jpg"]),
        ("https://a.example/a.jpg  HTTP://a.example/b.jpg", ["https://a.example/a.jpg", "HTTP://a.example/b.jpg"]),
        ("//cdn.example/a.jpg,//cdn.example/b.jpg", ["https://cdn.example/a.jpg", "https://cdn.example/b.jpg"]),
        ("mug.png\nhttps://a.example/b.jpg", ["/shop/mug.png", "https://a.example/b.jpg"]),
        ("mug.png\r\n  cup.png", ["/shop/mug.png", "/shop/cup.png"]),
        ("mug.png | cup.png", ["/shop/mug.png", "/shop/cup.png"]),
        ("mug.png | https://a.example/b.jpg", ["/shop/mug.png", "https://a.example/b.jpg"]),
        ("mug.png\n \n\tcup.png\n", ["/shop/mug.png", "/shop/cup.png"]),
        (f"{DATA},{DATA}", [DATA, DATA]),
        (f"mug.png {DATA}", ["/shop/mug.png", DATA]),
        ("data:image/png;base64,iVBO\n  //wA\r\nAA+b==", [DATA]),
        ("https://a.example/w_300,h_200/a, b.jpg", ["https://a.example/w_300,h_200/a, b.jpg"]),
        ("https://a.example/fetch/https://b.example/a.jpg", ["https://a.example/fetch/https://b.example/a.jpg"]),
        ("mug, red.png", ["/shop/mug, red.png"]),
        ("mug red.png", ["/shop/mug red.png"]),
        ('["https://a.example/x,https://b.example/y"]', ["https://a.example/x,https://b.example/y"]),
        ("می\u200cخواهم.png", ["/shop/می\u200cخواهم.png"]),
        (DATA, [DATA]),
        ("data:,a%7Cb", ["data:,a%7Cb"]),
    ],
)
def test_what_a_cell_of_text_names(cell: str, meant: list[str]) -> None:
    assert read(pa.array([cell])) == ([meant], {})


@pytest.mark.parametrize(
    ("cell", "code", "words"),
    [
        (["https://a.example/a.jpg, https://a.example/b.jpg"], "reference_several", "make each an entry of the list"),
        (["mug.png https://a.example/b.jpg"], "reference_several", "make each an entry of the list"),
        (["mug.png\ncup.png"], "bad_reference", "control characters"),
        ([r"C:\mug.png"], "reference_windows_path", "on a Windows machine"),
        ([" "], "reference_empty", "is empty"),
        (["x" * 5000], "reference_too_long", "longer than 4,096 bytes."),
        (["data:," + "x" * 2_000_000], "reference_too_long", "1,048,576 bytes; save the picture as a file"),
        (["file:///etc/passwd"], "bad_reference", "must be a path"),
        (["ftp://a.example/a.png"], "bad_reference", "must be a path"),
    ],
)
def test_each_cause_in_a_list_has_its_code_and_its_sentence(cell: list[str], code: str, words: str) -> None:
    _, bad = read(pa.array([cell]))
    assert bad[0][0] == code and words in bad[0][1] and len(bad[0][1]) < 300


def test_rows_that_fail_for_different_causes_are_different_groups() -> None:
    _, bad = read(pa.array([[""], [r"C:\a.png"], [r"\\nas\b.png"], ["x" * 5000]]))
    results = pa.table(
        {
            "custom_id": [f"r{row}" for row in bad],
            "status": ["failed"] * len(bad),
            "error_code": [code for code, _ in bad.values()],
            "error_message": [message for _, message in bad.values()],
        }
    )
    assert [(cause.code, cause.rows) for cause in group_causes(results)] == [
        ("reference_windows_path", 2),
        ("reference_empty", 1),
        ("reference_too_long", 1),
    ]


def picture() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((128, 64), 60).convert("RGB").save(file, "PNG")
    return file.getvalue()


def test_a_picture_in_a_cell_is_the_same_as_in_a_file(tmp_path: Path) -> None:
    data = picture()
    (tmp_path / "a.png").write_bytes(data)
    cell = "data:image/png;base64," + base64.b64encode(data).decode()
    model = find_model("mini")
    reader = ReferenceReader(WebRules(), stores())
    one, other = survey([cell], model, reader)[cell], survey([f"{tmp_path}/a.png"], model, reader)
    there = other[f"{tmp_path}/a.png"]
    assert isinstance(one, Reference) and isinstance(there, Reference)
    assert (one.sha256, one.grid) == (there.sha256, there.grid) and one.uri == cell
    small = survey([cell], model, ReferenceReader(WebRules(max_bytes=1000), stores()))[cell]
    assert isinstance(small, RequestError) and small.code == "reference_too_large" and len(small.message) < 200


def test_a_picture_in_a_cell_is_noted_and_told_by_its_digest_and_length() -> None:
    cell = "data:image/png;base64," + base64.b64encode(picture()).decode()
    assert stamps(stores(), [cell]) == {}
    assert noted_as(cell).startswith("data:image/png;base64,… (") and len(noted_as(cell)) < 150
    assert noted_as(cell) != noted_as(cell[:-8] + "AAAAAAAA")
    told = public_column("references", pa.array([[cell], ["/shop/a.png"]])).to_pylist()
    assert len(told[0][0]) < 80 and told[1] == ["/shop/a.png"]


def test_a_list_as_python_writes_it_is_no_list() -> None:
    _, bad = read(pa.array(["['mug.png', 'mug.png']", json.dumps({"a": 1})]))
    assert bad[0][0] == "reference_no_list" and "write a JSON list or put | between them" in bad[0][1]


def test_a_cell_is_taken_apart_in_time_that_grows_with_its_length() -> None:
    for cell in ("\n" * 200_000, " ," * 100_000, "data:a;base64," + " " * 300_000, "a " * 100_000):
        assert isinstance(addresses_in(cell), list)
