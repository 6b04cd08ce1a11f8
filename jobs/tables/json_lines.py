"""JSON lines as scripts write them: one object a line, and a key that holds a number here and a text there.

Where every key keeps its type, pyarrow reads the whole file. Elsewhere Python reads it, some thousand lines at a time:
every value becomes the text that was written, in a column of its key, and each column then gets the narrowest type that
holds all its cells. Numbers of ours among texts are read from them later, as a CSV file's are.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from pressrun.jobs.tables.csv_reader import BOM, block_size, check_cells
from pressrun.jobs.tables.near_misses import meaning
from pressrun.jobs.tables.parquet_reader import MAX_COLUMNS, TEXT_CELLS, read_names
from pressrun.jobs.text.column_types import is_number, is_text
from pressrun.jobs.text.wording import listed, shortened
from pressrun.pipeline.errors import JobError

WHOLE = ("width", "height", "steps", "seed")
NUMBERS = (*WHOLE, "guidance")
"""Keys that mean columns of ours whose cells are numbers, however they are written: read as a CSV file's are."""

TEXTS = ("custom_id", "prompt")

_CHUNK_LINES = 8_192
_KEYS = re.compile(rb'[{,]\s*"((?:[^"\\]|\\.)*+)"\s*:')
_SURROGATES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<alone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def read_json_lines(content: bytes, name: str, limit: int | None, max_bytes: int) -> pa.Table:
    """The first `limit` objects, one a line; a key that a line lacks is null there.

    A key of values of several types becomes text, numbers as they are written, lists and objects as JSON. Half of a
    surrogate pair, which is no character, becomes NUL, so that its row alone is refused later. Raises JobError with
    every line that is no object, and for so many different keys that their columns, empty as they would be, take more
    than `max_bytes` bytes.
    """
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
    if table is None:
        table = _Columns(content, name).table()
    return table.replace_schema_metadata(TEXT_CELLS)


def _parsed_whole(content: bytes) -> pa.Table | None:
    """The table as pyarrow reads it, where every line is an object and every key keeps its type."""
    try:
        table = _parsed(content)
        read_names(table.schema)
    except (pa.ArrowException, UnicodeDecodeError):  # the latter for keys, which become names
        return None
    return None if any(map(_is_odd, table.schema)) else table


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


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Every line that is not blank, with its number, counted from 1."""
    start = number = 0
    while start < len(content):
        end = content.find(b"\n", start)
        end = len(content) if end < 0 else end
        number += 1
        if line := content[start:end].strip():
            yield number, line
        start = end + 1


def _first_lines(content: bytes, limit: int | None) -> bytes:
    if limit is None:
        return content
    end = kept = 0
    while kept < limit and end < len(content):
        start, end = end, content.find(b"\n", end) + 1 or len(content)
        kept += bool(content[start:end].strip())
    return content[:end]


def _parsed(content: bytes) -> pa.Table:
    """As pyarrow reads it, with texts that look like dates as texts."""
    schema = _inferred(content, None).schema
    table = _inferred(content, pa.schema([field.with_type(_dates_as_text(field.type)) for field in schema]))
    table.validate()  # pyarrow 26 loses values of lists that hold nothing but null
    return table


def _inferred(content: bytes, schema: pa.Schema | None) -> pa.Table:
    return pa.json.read_json(
        pa.BufferReader(content),
        read_options=pa.json.ReadOptions(block_size=block_size(content), use_threads=False),
        parse_options=pa.json.ParseOptions(explicit_schema=schema, newlines_in_values=False),
    )


def _dates_as_text(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_temporal(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_dates_as_text(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_dates_as_text(field.type)) for field in kind.fields])
    return kind


class _Number(str):
    """A number as it is written."""


class _Columns:
    """The columns of a file whose keys change their type: each cell as text, and the kinds of cells that occur."""

    def __init__(self, content: bytes, name: str) -> None:
        self._content, self._name = content, name
        self._rows = 0
        self._kinds: dict[str, set[type]] = {}
        self._chunks: dict[str, list[pa.Array]] = {}
        self._wrong = 0
        self._reasons: list[str] = []

    def table(self) -> pa.Table:
        rows: list[dict[str, Any]] = []
        for number, line in _lines(self._content):
            try:
                rows.append(_object(line))
            except (ValueError, RecursionError) as error:
                self._wrong += 1
                if self._wrong <= 20:
                    self._reasons.append(f"line {number:,} ({_reason(error)})")
            if len(rows) == _CHUNK_LINES:
                self._add(rows)
                rows = []
        self._add(rows)
        if self._wrong:
            count = "1 line is" if self._wrong == 1 else f"{self._wrong:,} lines are"
            cases = listed(self._reasons, self._wrong)
            raise JobError(
                f"“{self._name}” is not a proper JSONL file: {count} no JSON object: {cases}.", code="bad_manifest"
            )
        arrays = {key: self._typed(key, pa.chunked_array(chunks, pa.string())) for key, chunks in self._chunks.items()}
        return pa.table(arrays)

    def _add(self, rows: list[dict[str, Any]]) -> None:
        """A chunk of rows as columns; once a line is wrong, only wrong lines matter."""
        if self._wrong:
            return
        for key in dict.fromkeys(key for row in rows for key in row):
            if key not in self._chunks:
                self._chunks[key] = [pa.nulls(self._rows, pa.string())]
                self._kinds[key] = set()
        for key, chunks in self._chunks.items():
            cells = [row.get(key) for row in rows]
            self._kinds[key].update(map(type, cells))
            chunks.append(_texts([_written(cell, key) for cell in cells]))
        self._rows += len(rows)

    def _typed(self, key: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        kinds, ours = self._kinds[key] - {type(None)}, meaning(key)
        if kinds in ({list}, {dict}, {bool}) and ours not in NUMBERS:
            try:
                return _nested(column)
            except (pa.ArrowException, UnicodeDecodeError):
                return column
        wanted = () if kinds != {_Number} or ours == "custom_id" else (pa.int64(), pa.float64())
        for kind in wanted:
            try:
                numbers = column.cast(kind)
            except pa.ArrowInvalid:
                continue
            if kind == pa.int64() or (ours not in NUMBERS and not _rounded(column)):
                return numbers
        return column if kinds else pa.chunked_array([pa.nulls(len(column))])


def _object(line: bytes) -> dict[str, Any]:
    """One line's object, numbers as they are written. Raises ValueError, RecursionError."""
    found = _DECODER.decode(line.decode(errors="surrogateescape"))
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    for key in found:
        if not key.isascii() and any("\ud800" <= sign <= "\udfff" for sign in key):
            raise ValueError("a key is not UTF-8")
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twin = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key “{shortened(twin, 40)}” stands there twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_float=_Number, parse_int=_Number, parse_constant=_Number)


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg[:1].lower()}{error.msg[1:]} at character {error.colno:,}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _written(value: Any, key: str = "") -> str | None:
    """A cell as text: a text itself, everything else as JSON. What can be no custom_id and no prompt is none."""
    if value is None or isinstance(value, str):
        return value
    return None if meaning(key) in TEXTS else _json(value)


def _json(value: Any) -> str:
    if isinstance(value, _Number):
        return value
    if isinstance(value, list):
        return f"[{', '.join(map(_json, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_json(key)}: {_json(member)}' for key, member in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


def _texts(values: list[str | None]) -> pa.Array:
    """Texts as they came, also where their bytes are no UTF-8."""
    raw = pa.array([None if value is None else value.encode(errors="surrogateescape") for value in values], pa.binary())
    valid, offsets, data = raw.buffers()
    return pa.StringArray.from_buffers(len(raw), offsets, data, valid)


def _nested(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists, objects or truth values of one type from their JSON. Raises ArrowException where they differ."""
    cells = pc.binary_join_element_wise('{"v": ', pc.fill_null(column, "null"), "}", "")
    content = "\n".join(cells.to_pylist()).encode()
    return _parsed(content)["v"]


def _rounded(column: pa.ChunkedArray) -> bool:
    """Whether there is a whole number among these that a float cannot tell from its neighbour."""
    long = column.filter(pc.fill_null(pc.match_substring_regex(column, r"^-?\d{16,}$"), False))
    return any(int(float(text)) != int(text) for text in np.unique(long.to_pylist()).tolist()) if len(long) else False
