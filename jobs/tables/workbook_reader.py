"""Excel's workbooks: one sheet of an .xlsx file, every cell as the text that a CSV file would hold.

openpyxl reads them (the extra `xlsx`): in Python, its XML through defusedxml. What a workbook unpacks to is counted
first; Python's zipfile gives no more than a file's directory declares.
"""

import datetime
import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

import pyarrow as pa

from pressrun.jobs.tables.coercion import EXACT
from pressrun.jobs.tables.csv_reader import check_cells
from pressrun.jobs.tables.near_misses import OURS, meaning
from pressrun.jobs.tables.parquet_reader import MAX_COLUMNS
from pressrun.jobs.tables.tidy_cells import tidied
from pressrun.jobs.tables.workbook_texts import is_doubtful, strings_reader, text_of
from pressrun.jobs.text.wording import first_of, listed, shortened
from pressrun.pipeline.errors import JobError

MAX_SHEET_ROWS = 1 << 20
"""Rows that Excel itself can hold."""

_CHUNK_ROWS = 8_192
_SHOWN = 5
Row = tuple[Any, ...]


def read_workbook(content: bytes, name: str, limit: int | None, max_bytes: int) -> pa.Table:
    """The first `limit` rows of a workbook's one table: its first row that holds anything names the columns.

    Texts, whole numbers and decimals are as they stand in the file, dates in ISO form, percentages with their sign. An
    error (`#N/A`) is no value: it is null, but stays where a column of ours would have its default instead. Of several
    sheets that hold anything the one with the columns of a manifest is read. Raises JobError for what is no workbook,
    holds several tables or formulas without values, or takes more than `max_bytes` bytes.
    """
    try:
        reader = strings_reader()
    except ImportError:
        raise JobError(
            f"Reading “{name}” needs a package that is not installed: pip install 'pressrun[xlsx]'; or save it as "
            "“CSV UTF-8”.",
            code="missing_extra",
        ) from None
    _check_archive(content, name, max_bytes)
    try:
        with warnings.catch_warnings():
            _refuse_strict(content, name)
            warnings.simplefilter("ignore")  # about pictures, rules and styles, which nobody asks for here
            book = reader(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
            book.read()
            sheet, notes = _chosen(book.wb, name)
            cells = _Cells(name)
            table = _table(_rows(sheet, name), name, max_bytes, cells)
            if _has_formulas(content):
                plain = reader(io.BytesIO(content), read_only=True, keep_links=False)
                plain.read()
                _check_formulas(sheet, plain.wb[sheet.title], name)
    except (JobError, MemoryError):
        raise
    except Exception as error:  # a stranger's file, a foreign library: it raises whatever comes up
        raise JobError(
            f"“{name}” is a damaged Excel workbook ({_reason(error)}); save it again.", code="bad_manifest"
        ) from None
    return tidied(table, name, limit, (*notes, *cells.notes()))


def _check_archive(content: bytes, name: str, max_bytes: int) -> None:
    """Refuse what is no workbook, or unpacks to more than is read."""
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise JobError(
            f"“{name}” is locked with a password, or of an old kind; save it as .xlsx without one.", code="bad_manifest"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise JobError(
            f"“{name}” is no Excel workbook; give an .xlsx file, or save it as “CSV UTF-8”.", code="bad_manifest"
        ) from None
    if size > max_bytes:
        raise JobError(
            f"“{name}” unpacks to more than {max_bytes / 2**20:,.0f} MiB; "
            "split it into several jobs or save it as CSV.",
            code="manifest_too_large",
        )


def _refuse_strict(content: bytes, name: str) -> None:
    """Raise JobError for a workbook in Excel's other format of that ending, of which nothing would be found."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.namelist():
            if not re.fullmatch(r"xl/(?:workbook|worksheets/[^/]+)\.xml", member):
                continue
            with archive.open(member) as file:
                if b"http://purl.oclc.org/ooxml/spreadsheetml/main" in file.read(4_096):
                    raise JobError(
                        f"“{name}” is of the kind “Strict Open XML”, which is not read; save it as “Excel Workbook "
                        "(.xlsx)”.",
                        code="bad_manifest",
                    )


def _chosen(book: Any, name: str) -> tuple[Any, tuple[str, ...]]:
    """The sheet that holds the table, and what is to be said of the others."""
    found = [(sheet, header) for sheet in book.worksheets if (header := next(_rows(sheet, name), None))]
    if not found:
        raise JobError(f"“{name}” is empty; its first row has to name the columns.", code="bad_manifest")
    fitting = [sheet for sheet, header in found if {"custom_id", "prompt"} <= {meaning(_text(cell)) for cell in header}]
    if len(fitting) > 1 or (not fitting and len(found) > 1):
        titles = first_of([f"“{sheet.title}”" for sheet in fitting or [sheet for sheet, _ in found]])
        which = "a manifest in several sheets" if fitting else "several sheets, none of them with custom_id and prompt"
        raise JobError(
            f"“{name}” has {which} ({titles}); keep the table in one, or save each as a file.", code="bad_manifest"
        )
    sheet = fitting[0] if fitting else found[0][0]
    others = [f"“{shortened(other.title)}”" for other, _ in found if other is not sheet]
    said = f"Of “{name}” the sheet “{shortened(sheet.title)}” is read, not {first_of(others)}." if others else ""
    return sheet, (said,) if said else ()


def _rows(sheet: Any, name: str) -> Iterator[Row]:
    """A sheet's cells from its first row that holds anything, row by row, whatever size the sheet says that it has."""
    sheet.reset_dimensions()
    started = False
    for number, row in enumerate(sheet.iter_rows()):
        if number >= MAX_SHEET_ROWS:
            raise JobError(
                f"“{name}” has more than {MAX_SHEET_ROWS:,} rows, which no workbook has; save it as CSV.",
                code="manifest_too_large",
            )
        started = started or any(cell.value not in (None, "") for cell in row)
        if started:
            yield row


def _table(rows: Iterator[Row], name: str, max_bytes: int, cells: "_Cells") -> pa.Table:
    header = [_text(cell) for cell in next(rows)]
    chunks: list[list[pa.Array]] = []
    read = size = 0
    while some := list(islice(rows, _CHUNK_ROWS)):
        width = max(len(header), *(len(row) for row in some))
        if width > MAX_COLUMNS:
            raise JobError(
                f"“{name}” has {width:,} columns; at most {MAX_COLUMNS:,} are read.", code="manifest_too_large"
            )
        header += [""] * (width - len(header))
        columns = (
            [cells.text(row[place], header[place]) if place < len(row) else "" for row in some]
            for place in range(width)
        )
        chunks.append([pa.array([cell or None for cell in column], pa.string()) for column in columns])
        read += len(some)
        size += sum(column.nbytes for column in chunks[-1])
        check_cells(read * width, name, max_bytes)
        if size > max_bytes:
            raise JobError(
                f"“{name}” takes more than {max_bytes / 2**20:,.0f} MiB of memory; split it into several jobs.",
                code="manifest_too_large",
            )
    found = [_column(chunks, place) for place in range(len(header))]
    return pa.Table.from_arrays(found, names=header)


class _Cases:
    """How many there are of something, and the first of them in words."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[str] = []

    def add(self, case: str) -> None:
        self.count += 1
        self._first += [case] if self.count <= _SHOWN else []

    def __str__(self) -> str:
        return listed(self._first, self.count, _SHOWN)


class _Cells:
    """Reads a sheet's cells as texts, and remembers those of which something is to be said."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._errors, self._doubtful = _Cases(), _Cases()

    def text(self, cell: Any, column: str) -> str:
        """A cell as CSV has it; an error is nothing, but stays in a column that means one of ours."""
        if cell.data_type == "e" and cell.value is not None:
            self._errors.add(f"{cell.value} in {cell.coordinate}")
            return str(cell.value) if meaning(column) in OURS else ""
        if isinstance(cell.value, str) and is_doubtful(cell.value):
            self._doubtful.add(f"“{shortened(cell.value, 40)}” in {cell.coordinate}")
        return _text(cell)

    def notes(self) -> tuple[str, ...]:
        notes = []
        if self._errors.count:
            notes.append(
                f"“{self._name}” has errors in the place of values ({self._errors}), which are read as "
                "empty cells or refuse their rows; mend the formulas."
            )
        if self._doubtful.count:
            notes.append(
                f"“{self._name}” has texts in which Excel reads _x, four digits and _ as a sign of that number "
                f"({self._doubtful}), and so they are read; if that is not meant, write _x005F_ for the "
                "first _."
            )
        return tuple(notes)


def _column(chunks: Sequence[list[pa.Array]], place: int) -> pa.ChunkedArray:
    """A column whose first rows may have ended before it."""
    found = [columns[place] if place < len(columns) else pa.nulls(len(columns[0]), pa.string()) for columns in chunks]
    return pa.chunked_array(found, pa.string())


def _text(cell: Any) -> str:
    """A cell as CSV has it. What Excel shows decides where it changes what is meant: percentages, leading zeros."""
    value, shown = cell.value, cell.number_format or "General"
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return _number(value, re.sub(r'"[^"]*"|\\.', "", shown))
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ")
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else text_of(str(value))


def _number(value: int | float, shown: str) -> str:
    if "%" in shown:
        return f"{(Decimal(repr(value)) * 100).normalize():f}%"
    if abs(value) > EXACT[64]:
        return repr(float(value))  # as which Excel holds it: no whole number beyond doubt
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and value >= 0 and re.fullmatch("0+", shown):
        return str(value).zfill(len(shown))
    return str(value)


def _has_formulas(content: bytes) -> bool:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/") and name.endswith(".xml")]
        return any(b"<f" in archive.read(name) for name in sheets)


def _check_formulas(values: Any, formulas: Any, name: str) -> None:
    """Raise JobError for a formula whose value no program has left: it would be an empty cell."""
    formulas.reset_dimensions()
    for number, (row, made) in enumerate(zip(values.iter_rows(), formulas.iter_rows(), strict=True)):
        for place, (cell, formula) in enumerate(zip(row, made, strict=True)):
            if formula.data_type == "f" and cell.value is None:
                where = f"row {number + 1:,}, column {place + 1}"
                raise JobError(
                    f"“{name}” has a formula without a value ({where}); open it in Excel and save it again.",
                    code="bad_manifest",
                )


def _reason(error: Exception) -> str:
    return shortened(str(error).split("\n")[0].strip().rstrip(".") or type(error).__name__)
