"""Excel's workbooks: cells as they were meant, one table, and no file that harms whoever reads it."""

import datetime
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pressrun.jobs.manifest.manifest import Manifest, normalise, read_manifest
from pressrun.jobs.tables.table_notes import notes_of
from pressrun.jobs.tables.table_reader import read_table
from pressrun.jobs.tables.workbook_reader import read_workbook
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import Model
from tests.opening import stores

MODEL = Model("mini", "flux2-klein", steps=10, guidance=1.0, width=128, height=96, max_pixels=512 * 512)
HEADER = ("custom_id", "prompt")


def workbook(**sheets: list[tuple[Any, ...]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    return saved(book)


def saved(book: openpyxl.Workbook) -> bytes:
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def read(content: bytes, limit: int | None = None, max_bytes: int = 1 << 26) -> pa.Table:
    return read_workbook(content, "m.xlsx", limit, max_bytes)


def refusal(content: bytes, **options: int) -> str:
    with pytest.raises(JobError) as refused:
        read(content, **options)
    return str(refused.value)


def checked(content: bytes) -> Manifest:
    return normalise(read(content), MODEL, "/shop/m.xlsx")


def test_a_workbook_is_a_manifest(tmp_path: Path) -> None:
    rows = [(*HEADER, "width", "guidance", "seed", "Note"), ("001", "a red mug", 64, 3.5, 2**53 - 1, None)]
    (tmp_path / "m.xlsx").write_bytes(workbook(Sheet1=[*rows, (4006381333931, "a lamp", None, None, 7, "x")]))
    manifest = normalise(read_manifest(stores(), str(tmp_path / "m.xlsx")), MODEL, str(tmp_path / "m.xlsx"))
    assert manifest.bad.num_rows == 0
    assert manifest.table.select([*HEADER, "width", "guidance", "seed", "Note"]).to_pylist() == [
        dict(custom_id="001", prompt="a red mug", width=64, guidance=3.5, seed=2**53 - 1, Note=None),
        dict(custom_id="4006381333931", prompt="a lamp", width=128, guidance=1.0, seed=7, Note="x"),
    ]


@pytest.mark.parametrize(
    ("value", "shown", "text"),
    [
        (1000, "#,##0", "1000"),
        (128.0, "General", "128"),
        (0.1, "0.00", "0.1"),
        (0.5, "0%", "50%"),
        (0.125, "0.0%", "12.5%"),
        (7, "00000", "00007"),
        (7, '0" %"', "7"),
        (True, "General", "TRUE"),
        (datetime.datetime(2026, 1, 31), "dd.mm.yyyy", "2026-01-31"),
        (datetime.datetime(2026, 1, 31, 12, 30), "General", "2026-01-31 12:30:00"),
        ("1,000", "General", "1,000"),
        ("  x ", "@", "  x "),
    ],
)
def test_a_cell_is_the_text_that_is_meant(value: Any, shown: str, text: str) -> None:
    book = openpyxl.Workbook()
    book.active.append((*HEADER, "cell"))
    book.active.append(("a", "p", value))
    if shown != "General":
        book.active["C2"].number_format = shown
    assert read(saved(book))["cell"].to_pylist() == [text]


@pytest.mark.parametrize(
    "value",
    [datetime.datetime(2026, 1, 31), True, "1,000", "128px", 64.5],
    ids=["date", "truth", "grouped", "unit", "half"],
)
def test_what_is_no_number_fails_its_row_as_in_csv(value: Any) -> None:
    manifest = checked(workbook(S=[(*HEADER, "width"), ("a", "p", 64), ("b", "p", value)]))
    assert manifest.bad["row"].to_pylist() == [1] and manifest.table["width"].to_pylist() == [64, None]


def test_numbers_that_excel_rounds_are_refused_as_seeds() -> None:
    manifest = checked(
        workbook(S=[(*HEADER, "seed"), ("a", "p", 2**53 + 1), ("b", "p", 10**17 + 1), ("c", "p", "1" * 18)])
    )
    assert manifest.bad["row"].to_pylist() == [0, 1] and manifest.table["seed"].to_pylist()[2] == int("1" * 18)


def test_rows_and_columns_of_nothing_are_left_out() -> None:
    table = read(workbook(S=[(), (None, None), (*HEADER, None), ("a", "p"), (), ("b", "q", None, " "), (), ()]))
    assert table.to_pylist() == [{"custom_id": "a", "prompt": "p"}, {"custom_id": "b", "prompt": "q"}]
    assert "1 row of nothing" in notes_of(table)[0]


def test_longer_rows_far_below_get_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pressrun.jobs.tables.workbook_reader._CHUNK_ROWS", 2)
    table = read(workbook(S=[HEADER, *((f"r{n}", "p") for n in range(5)), ("last", "p", "more")]), limit=6)
    assert table.num_rows == 6 and table["column_3"].to_pylist() == [None] * 5 + ["more"]


def test_of_several_sheets_the_one_with_a_manifest_is_read_and_said() -> None:
    table = read(workbook(Read=[("How to use this",)], Products=[HEADER, ("a", "p")], Empty=[]))
    assert table["custom_id"].to_pylist() == ["a"]
    assert notes_of(table) == ("Of “m.xlsx” the sheet “Products” is read, not “Read”.",)


def test_several_tables_are_a_sentence() -> None:
    message = refusal(workbook(Spring=[HEADER, ("a", "p")], Fall=[("Custom ID", "Prompt"), ("b", "p")]))
    assert "has a manifest in several sheets (“Spring”, “Fall”); keep the table in one" in message
    assert "several sheets, none of them with custom_id" in refusal(workbook(A=[("x",)], B=[("y",)]))


def edited(content: bytes, member: str, old: bytes, new: bytes) -> bytes:
    """A workbook in which a part of its XML is another."""
    source, file = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            xml = source.read(name)
            assert name != member or old in xml
            archive.writestr(name, xml.replace(old, new) if name == member else xml)
    return file.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
ERROR = b't="e"><v>#N/A</v>'


def shared(text: bytes) -> bytes:
    """A workbook whose first prompt is a shared text, as Excel writes all texts."""
    content = edited(
        workbook(S=[HEADER, ("a", "TEXT")]), SHEET, b't="inlineStr"><is><t>TEXT</t></is>', b't="s"><v>0</v>'
    )
    kind = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    part = b'<Override PartName="/xl/sharedStrings.xml" ContentType="%b"/></Types>' % kind
    content = edited(content, "[Content_Types].xml", b"</Types>", part)
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        space = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
        archive.writestr("xl/sharedStrings.xml", b'<sst xmlns="%b"><si>%b</si></sst>' % (space, text))
    return file.getvalue()


ESCAPES = [
    ("a red _x000D_&#10; mug", "a red \r\n mug"),
    ("file _x005F_x000D_ mug", "file _x000D_ mug"),
    ("file_x005f_x005F_", "file_x005F_"),
    ("sku x005F_1", "sku x005F_1"),
    ("_x0009__x000a_", "\t\n"),
    ("_xD83D__xDE00_", "\U0001f600"),
    ("_xD83D_ _x00", "\0 _x00"),
    ("a_x12_b_xyz0_", "a_x12_b_xyz0_"),
]


@pytest.mark.parametrize(("written", "text"), ESCAPES)
@pytest.mark.parametrize("kind", ["shared", "inline"])
def test_signs_that_xml_cannot_hold_are_read_as_excel_writes_them(kind: str, written: str, text: str) -> None:
    plain = workbook(S=[HEADER, ("a", "TEXT")])
    inline = edited(plain, SHEET, b"TEXT", written.encode())
    table = read(shared(b"<t>%b</t>" % written.encode()) if kind == "shared" else inline)
    assert table["prompt"].to_pylist() == [text] and notes_of(table) == ()


def test_a_sign_that_excel_would_not_write_so_is_said() -> None:
    table = read(workbook(S=[HEADER, ("a", "img_1920_x0041_"), ("b", "_x1080_")]))
    assert table["prompt"].to_pylist() == ["img_1920A", "\u1080"]
    assert "(“img_1920_x0041_” in B2, “_x1080_” in B3)" in notes_of(table)[0]


def test_shared_texts_with_formats_are_read_without_their_reading_aids() -> None:
    text = b"<r><t xml:space='preserve'>a red </t></r><r><rPr><b/></rPr><t>mug</t></r><rPh sb='0' eb='1'><t>K</t></rPh>"
    assert read(shared(text))["prompt"].to_pylist() == ["a red mug"]


def test_an_error_is_no_value_and_is_said() -> None:
    rows = [(*HEADER, "width", "title"), ("a", "TEXT", 64, "x"), ("b", "p", "WIDE", "x"), ("c", "p", 64, "NONE")]
    content = workbook(S=rows)
    for text in (b"TEXT", b"WIDE", b"NONE"):
        content = edited(content, SHEET, b't="inlineStr"><is><t>%b</t></is>' % text, ERROR)
    manifest = checked(content)
    assert manifest.bad.select(["row", "error_code"]).to_pylist() == [
        {"row": 0, "error_code": "bad_text"},
        {"row": 1, "error_code": "bad_size"},
    ]
    assert manifest.bad["error_message"][0].as_py().startswith("The prompt is #N/A, an error that Excel shows")
    assert manifest.table["title"].to_pylist() == ["x", "x", None]
    assert "“m.xlsx” has errors in the place of values (#N/A in B2, #N/A in C3, #N/A in D4)" in manifest.notes[0]


@pytest.mark.parametrize("member", ["xl/workbook.xml", SHEET])
def test_a_workbook_of_excels_other_kind_is_named(member: str) -> None:
    plain, strict = (
        b"http://schemas.openxmlformats.org/spreadsheetml/2006/main",
        b"http://purl.oclc.org/ooxml/spreadsheetml/main",
    )
    message = refusal(edited(workbook(S=[HEADER, ("a", "p")]), member, plain, strict))
    assert (
        message == "“m.xlsx” is of the kind “Strict Open XML”, which is not read; save it as “Excel Workbook (.xlsx)”."
    )


def test_a_formula_without_a_value_is_a_sentence() -> None:
    message = refusal(workbook(S=[HEADER, ("a", "p"), ("b", '=CONCATENATE("a ","mug")')]))
    assert "has a formula without a value (row 3, column 2); open it in Excel and save it again" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"custom_id,prompt\n", "is no Excel workbook"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 600, "locked with a password"),
        (workbook(S=[]), "is empty"),
    ],
    ids=["text", "old or locked", "empty"],
)
def test_what_is_no_workbook_is_a_sentence(content: bytes, words: str) -> None:
    assert words in refusal(content)


def test_a_workbook_that_unpacks_to_too_much_is_refused() -> None:
    file = io.BytesIO(workbook(S=[HEADER, ("a", "p")]))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/bomb.bin", b"\0" * (64 << 20))
    assert len(file.getvalue()) < 1 << 20
    assert "unpacks to more than 32 MiB" in refusal(file.getvalue(), max_bytes=32 << 20)


def with_sheet(xml: bytes) -> bytes:
    source, file = zipfile.ZipFile(io.BytesIO(workbook(S=[HEADER, ("a", "p")]))), io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in source.namelist():
            archive.writestr(member, xml if member == "xl/worksheets/sheet1.xml" else source.read(member))
    return file.getvalue()


def test_entities_are_not_expanded() -> None:
    entities = b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10 if n else b"x") for n in range(9))
    row = b'<row r="1"><c t="str"><v>&e8;</v></c></row>'
    xml = b"<!DOCTYPE worksheet [%s]><worksheet><sheetData>%s</sheetData></worksheet>" % (entities, row)
    assert "is a damaged Excel workbook" in refusal(with_sheet(xml))


def test_more_rows_than_a_sheet_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pressrun.jobs.tables.workbook_reader.MAX_SHEET_ROWS", 1_000)
    xml = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="%d">'
    rest = b'<c r="A%d" t="str"><v>custom_id</v></c></row></sheetData></worksheet>'
    assert "has more than 1,000 rows" in refusal(with_sheet((xml + rest) % (999_999_999, 999_999_999)))


@pytest.mark.parametrize("name", ["m.xls", "m.ods", "m.xlsb"])
def test_other_spreadsheets_are_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(JobError, match=r"save it as \.xlsx or “CSV UTF-8”"):
        read_table(stores(), str(tmp_path / name))


def test_a_workbook_that_is_called_csv_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(workbook(S=[HEADER]))
    with pytest.raises(JobError, match=r"let its name end with \.xlsx"):
        read_table(stores(), str(tmp_path / "m.csv"))


def test_without_the_extra_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert "pip install 'pressrun[xlsx]'" in refusal(b"")


SAMPLE = workbook(S=[(*HEADER, "width"), ("a", "p", 64), ("b", "q", 0.5)])


@settings(max_examples=100, deadline=None)
@given(place=st.integers(0, len(SAMPLE) - 1), bytes_=st.binary(min_size=1, max_size=8))
def test_a_damaged_workbook_is_read_or_refused(place: int, bytes_: bytes) -> None:
    try:
        read(SAMPLE[:place] + bytes_ + SAMPLE[place + len(bytes_) :])
    except JobError as refused:
        assert refused.problems[0].endswith(".")
