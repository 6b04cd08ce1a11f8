"""JSON lines as scripts write them: one object a line, and a key that holds a number here and a text there.

Where every key keeps its type and no number is rounded, pyarrow reads the whole file; elsewhere `json_columns` does.
Numbers of ours among texts are read from them later, as a CSV file's are.
"""

import re

import pyarrow as pa

from pressrun.jobs.tables.csv_reader import check_cells
from pressrun.jobs.tables.file_kinds import BOM, refuse_other_kinds, wide_encoding
from pressrun.jobs.tables.json_columns import NUMBERS, WHOLE, JsonColumns
from pressrun.jobs.tables.json_numbers import may_round
from pressrun.jobs.tables.json_parser import parsed
from pressrun.jobs.tables.near_misses import meaning
from pressrun.jobs.tables.parquet_reader import MAX_COLUMNS, TEXT_CELLS, read_names
from pressrun.jobs.tables.table_notes import noted
from pressrun.jobs.text.column_types import is_number, is_text
from pressrun.pipeline.errors import JobError

_NULLS = [re.compile(pattern) for pattern in (rb"\A\s*+null\b", rb"\n[ \t]*+null\b", rb"\}\s*+null\b")]
"""Find every null in the place of an object: pyarrow 26 dies of one before all objects, and takes others for objects.
"""
_KEYS = re.compile(rb'[{,]\s*"((?:[^"\\]|\\.)*+)"\s*:')
_SURROGATES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<alone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def read_json_lines(content: bytes, name: str, limit: int | None, max_bytes: int) -> pa.Table:
    """The first `limit` objects, one a line; a key that a line lacks is null there.

    A key of values of several types becomes text, numbers as they are written, lists and objects as JSON, and so does
    one with a number that floating point does not hold, which is said. Half of a surrogate pair, which is no character,
    becomes NUL, so that its row alone is refused later. Raises JobError with every line that is no object, and for so
    many different keys that their columns, empty as they would be, take more than `max_bytes` bytes.
    """
    refuse_other_kinds(content, name)
    encoding, _ = wide_encoding(content)
    if encoding:
        raise JobError(f"“{name}” is in {encoding}; JSON lines are in UTF-8, so save it in that.", code="bad_manifest")
    content = _first_lines(content.removeprefix(BOM), limit)
    if not content.strip():
        return pa.table({})
    if re.search(rb"\\u[dD][89a-fA-F]", content):
        content = _SURROGATES.sub(lambda found: b"\\u0000" if found["alone"] else found.group(), content)
    keys = _distinct_keys(content)
    if keys > MAX_COLUMNS:
        raise JobError(
            f"“{name}” has more than {MAX_COLUMNS:,} different keys; so many columns are not read.",
            code="manifest_too_large",
        )
    check_cells(keys * (content.count(b"\n") + 1), name, max_bytes)
    table = _parsed_whole(content)
    if table is not None:
        return table.replace_schema_metadata(TEXT_CELLS)
    columns = JsonColumns(content, name)
    table = columns.table().replace_schema_metadata(TEXT_CELLS)
    return noted(table, columns.notes)


def _parsed_whole(content: bytes) -> pa.Table | None:
    """The table as pyarrow reads it, where every line is an object, every key keeps its type and no number is
    rounded."""
    if any(null.search(content) for null in _NULLS):
        return None
    try:
        table = parsed(content)
        read_names(table.schema)
    except (pa.ArrowException, UnicodeDecodeError):  # the latter for keys, which become names
        return None
    return None if any(map(_is_odd, table.schema)) or may_round(content, table) else table


def _is_odd(field: pa.Field) -> bool:
    """Whether a column of ours holds neither texts nor numbers, or floats in the place of what was written."""
    ours = meaning(field.name)
    if pa.types.is_floating(field.type):
        return ours in (*WHOLE, "custom_id")
    plain = is_text(field.type) or is_number(field.type) or pa.types.is_null(field.type)
    return ours in NUMBERS and not plain


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
    end = kept = 0
    while kept < limit and end < len(content):
        start, end = end, content.find(b"\n", end) + 1 or len(content)
        kept += bool(content[start:end].strip())
    return content[:end]
