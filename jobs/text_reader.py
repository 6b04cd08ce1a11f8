"""Tables written as text: CSV as Excel writes it, and JSON lines. Every cell keeps what the customer wrote in it.

Nothing is guessed from a cell's looks: an article number `00123` keeps its zeros, a text that looks like a date stays
a text. Which columns hold numbers is known from the manifest's own column names, later.
"""

import csv
import io
import re

import pyarrow as pa
import pyarrow.csv
import pyarrow.json

from jobs.parquet_reader import MAX_COLUMNS, TEXT_CELLS
from jobs.wording import shortened
from pipeline.errors import JobError

MAX_BLOCK = 512 << 20
"""Bytes that are parsed at once: a row cannot be longer."""

CELL_BYTES = 4
"""Bytes of memory that an empty cell takes at least: its offset."""

_BOM = b"\xef\xbb\xbf"
_KEYS = re.compile(rb'[{,]\s*"((?:[^"\\]|\\.)*+)"\s*:')
_SURROGATES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<alone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def read_csv(content: bytes, name: str, limit: int | None, max_bytes: int) -> pa.Table:
    """The first `limit` rows of a CSV file, every cell as text and an empty one as null.

    Comma, semicolon or tab between cells, whichever the header has most of; UTF-8 with or without a byte order mark, or
    UTF-16 with one. Raises JobError for anything else, and for more than `max_bytes` bytes of cells.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        content = content.decode("utf-16", errors="replace").encode(errors="replace")
    content = content.removeprefix(_BOM)
    delimiter, columns = _header(content, name)
    _check_cells(content.count(delimiter.encode()) + content.count(b"\n"), name, max_bytes)
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(content),
            read_options=pa.csv.ReadOptions(block_size=_block_size(content), use_threads=False),
            parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
    except pa.ArrowException as error:
        if "UTF8" in str(error):
            raise _not_utf8(name) from None
        raise JobError(f"“{name}” is not a proper CSV file ({_words(error)}).") from None
    return table.slice(0, limit).replace_schema_metadata(TEXT_CELLS)


def _header(content: bytes, name: str) -> tuple[str, list[str]]:
    """The sign between cells, and the columns' names."""
    line = re.split(rb"[\r\n]", content[: 1 << 20], maxsplit=1)[0]
    delimiter = max(";\t,", key=lambda sign: line.count(sign.encode()))
    try:
        columns = next(csv.reader(io.StringIO(line.decode()), delimiter=delimiter), [])
    except UnicodeDecodeError:
        raise _not_utf8(name) from None
    except csv.Error:
        raise JobError(f"The first line of “{name}” does not name columns.") from None
    if not columns:
        raise JobError(f"“{name}” is empty; its first line has to name the columns.")
    if len(columns) > MAX_COLUMNS:
        raise JobError(f"“{name}” has {len(columns):,} columns; at most {MAX_COLUMNS:,} are read.")
    return delimiter, columns


def _check_cells(cells: int, name: str, max_bytes: int) -> None:
    if cells * CELL_BYTES > max_bytes:
        raise JobError(f"“{name}” has about {cells:,} cells, more than fit into memory; split it into several jobs.")


def _not_utf8(name: str) -> JobError:
    return JobError(f"“{name}” is not in UTF-8; save it from Excel as “CSV UTF-8”.")


def read_json_lines(content: bytes, name: str, limit: int | None, max_bytes: int) -> pa.Table:
    """The first `limit` objects, one a line; a key that a line lacks is null there.

    Half of a surrogate pair, which is no character, becomes NUL, so that its row alone is refused later. Raises
    JobError for lines that are no objects, for keys whose values change their type, and for so many different keys
    that their columns, empty as they would be, take more than `max_bytes` bytes.
    """
    content = _first_lines(content.removeprefix(_BOM), limit)
    if not content.strip():
        return pa.table({})
    if re.search(rb"\\u[dD][89a-fA-F]", content):
        content = _SURROGATES.sub(lambda found: b"\\u0000" if found["alone"] else found.group(), content)
    keys = _distinct_keys(content)
    if keys > MAX_COLUMNS:
        raise JobError(f"“{name}” has more than {MAX_COLUMNS:,} different keys; so many columns are not read.")
    _check_cells(keys * (content.count(b"\n") + 1), name, max_bytes)
    try:
        schema = _parsed(content, None).schema
        texts = pa.schema([field.with_type(_dates_as_text(field.type)) for field in schema])
        return _parsed(content, texts)
    except pa.ArrowException as error:
        raise JobError(f"“{name}” is not a proper JSONL file ({_words(error)}).") from None


def _distinct_keys(content: bytes) -> int:
    """How many different keys there are, at any depth; no more are counted once there are too many."""
    keys: set[bytes] = set()
    for start in range(0, len(content), 1 << 20):
        keys.update(_KEYS.findall(content, start, start + (1 << 20)))
        if len(keys) > MAX_COLUMNS:
            break
    return len(keys)


def _first_lines(content: bytes, limit: int | None) -> bytes:
    if limit is None:
        return content
    lines = io.BytesIO(content)
    kept = 0
    while kept < limit and (line := lines.readline()):
        kept += bool(line.strip())
    return content[: lines.tell()]


def _parsed(content: bytes, schema: pa.Schema | None) -> pa.Table:
    return pa.json.read_json(
        pa.BufferReader(content),
        read_options=pa.json.ReadOptions(block_size=_block_size(content), use_threads=False),
        parse_options=pa.json.ParseOptions(explicit_schema=schema, newlines_in_values=False),
    )


def _block_size(content: bytes) -> int:
    """One block holds the whole of most files, so that no row straddles two blocks and row numbers in errors hold."""
    return min(len(content) + 1, MAX_BLOCK)


def _dates_as_text(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_temporal(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_dates_as_text(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_dates_as_text(field.type)) for field in kind.fields])
    return kind


def _words(error: Exception) -> str:
    """The library's own words, first line only, with rows counted from 1."""
    words = re.sub(r"^(CSV|JSON) parse error: ", "", str(error).split("\n")[0]).rstrip(".")
    words = re.sub(r"Column\(/([^)]*)\) changed from", r"column “\1” changes from", words)
    words = re.sub(r"\.? in row (\d+)$", lambda found: f" in row {int(found[1]) + 1}", words)
    return shortened(words, 120)
