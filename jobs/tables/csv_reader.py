"""Tables written as text: CSV as Excel writes it. Every cell keeps what the customer wrote in it.

Nothing is guessed from a cell's looks: an article number `00123` keeps its zeros, a text that looks like a date stays
a text. Which columns hold numbers is known from the manifest's own column names, later.
"""

import codecs
import re

import pyarrow as pa
import pyarrow.csv

from pressrun.jobs.tables import windows_1252
from pressrun.jobs.tables.csv_dialect import Dialect, dialect_of
from pressrun.jobs.tables.csv_rows import check_quotes, wrong_length
from pressrun.jobs.tables.file_kinds import BOM, refuse_other_kinds, wide_encoding
from pressrun.jobs.tables.foreign_cells import as_meant
from pressrun.jobs.tables.parquet_reader import MAX_COLUMNS, read_names
from pressrun.jobs.tables.tidy_cells import tidied
from pressrun.jobs.text.wording import first_of, shortened
from pressrun.pipeline.errors import JobError

MAX_BLOCK = 512 << 20
"""Bytes that are parsed at once: a row cannot be longer."""

CELL_BYTES = 4
"""Bytes of memory that an empty cell takes at least: its offset."""


def read_csv(content: bytes, name: str, limit: int | None, max_bytes: int) -> pa.Table:
    """The first `limit` rows of a CSV file, every cell as text and an empty one as null; rows of nothing are left out.

    Comma, semicolon, tab or bar between cells (see `csv_dialect`); UTF-8 with or without a byte order mark, UTF-16 with
    one, or Windows-1252, which is said. Raises JobError for anything else, and for more than `max_bytes` of cells.
    """
    content, notes = _decoded(content, name)
    try:
        dialect = dialect_of(content, name)
    except UnicodeEncodeError:
        raise _not_utf8(name) from None
    columns = dialect.columns
    if not columns:
        raise JobError(f"“{name}” is empty; its first line has to name the columns.", code="bad_manifest")
    if len(columns) > MAX_COLUMNS:
        raise JobError(
            f"“{name}” has {len(columns):,} columns; at most {MAX_COLUMNS:,} are read.", code="manifest_too_large"
        )
    check_cells(content.count(dialect.sign.encode()) + content.count(b"\n"), name, max_bytes)
    check_quotes(content, dialect, name)
    table, told = as_meant(_parsed(content, dialect, name), name)
    return tidied(table, name, limit, (*notes, *told))


def _parsed(content: bytes, dialect: Dialect, name: str) -> pa.Table:
    """Every cell of a file as text. Raises JobError for what is no CSV, or not UTF-8."""
    texts = dict.fromkeys(dialect.columns, pa.string())
    if not re.compile(rb"[\r\n]").search(content, dialect.start):
        content += b"\n"  # without which a header alone is nothing to pyarrow
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(memoryview(content)[dialect.start :]),
            read_options=pa.csv.ReadOptions(block_size=block_size(content), use_threads=False),
            parse_options=pa.csv.ParseOptions(delimiter=dialect.sign, newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(column_types=texts, strings_can_be_null=True, null_values=[""]),
        )
        read_names(table.schema)
    except UnicodeDecodeError:
        raise _not_utf8(name) from None
    except pa.ArrowException as error:
        if "UTF8" in str(error):
            raise _not_utf8(name) from None
        if "straddl" in str(error):
            longest = f"{MAX_BLOCK / 2**20:,.0f} MiB"
            raise JobError(
                f"“{name}” has a row longer than {longest}; close its quotes.", code="bad_manifest"
            ) from None
        known = wrong_length(content, dialect, name) if "Expected" in str(error) else ""
        raise JobError(known or f"“{name}” is not a proper CSV file ({_words(error)}).", code="bad_manifest") from None
    return table


def _decoded(content: bytes, name: str) -> tuple[bytes, tuple[str, ...]]:
    """A file's text in UTF-8, without its byte order mark and without the sign that ended files in DOS; and what is to
    be said of that."""
    refuse_other_kinds(content, name)
    encoding, marked = wide_encoding(content)
    if encoding == "UTF-16" and marked:
        content = _from_utf16(content, name)
    elif encoding:
        mark = "" if marked else " without a byte order mark"
        raise JobError(
            f"“{name}” is in {encoding}{mark}, which is not read; save it as “CSV UTF-8”.", code="bad_manifest"
        )
    content = content.removeprefix(BOM).removesuffix(b"\x1a")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content, final=True)
    except UnicodeDecodeError:
        found = windows_1252.decoded(content)
        if found is None:
            raise _not_utf8(name) from None
        content, words = found
        said = f"“{name}” is not in UTF-8; it is read as Windows-1252 (Western European), as Excel saves CSV"
        return content, (f"{said}: “{first_of(words)}”. If that is wrong, save it as “CSV UTF-8”.",)
    return content, ()


def _from_utf16(content: bytes, name: str) -> bytes:
    """Raises JobError for bytes that are no UTF-16: half a sign, as where a file is cut off."""
    try:
        return content.decode("utf-16").encode()
    except UnicodeDecodeError as error:
        line = content[: error.start & ~1].decode("utf-16", errors="replace").count("\n") + 1
        raise JobError(
            f"Line {line:,} of “{name}” is not proper UTF-16 (a file that was cut off or damaged ends so); copy it "
            "again, or save it as “CSV UTF-8”.",
            code="bad_manifest",
        ) from None


def check_cells(cells: int, name: str, max_bytes: int) -> None:
    if cells * CELL_BYTES > max_bytes:
        raise JobError(
            f"“{name}” has about {cells:,} cells, more than fit into memory; split it into several jobs.",
            code="manifest_too_large",
        )


def _not_utf8(name: str) -> JobError:
    return JobError(f"“{name}” is not in UTF-8; save it from Excel as “CSV UTF-8”.", code="bad_manifest")


def block_size(content: bytes) -> int:
    """One block holds the whole of most files, so that no row straddles two blocks and row numbers in errors hold."""
    return min(len(content) + 1, MAX_BLOCK)


def _words(error: Exception) -> str:
    """The library's own words, first line only."""
    words = re.sub(r"^CSV parse error: ", "", str(error).split("\n")[0]).rstrip(".")
    return shortened(words, 120)
