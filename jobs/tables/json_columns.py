"""The columns of JSON lines whose keys change their type: each cell as text, then the narrowest type that holds all.

Python reads the lines, some thousand at a time. A number that its column would round stays the text that was written,
and so do lists and objects that differ.
"""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.tables.json_numbers import Number, first_lost, first_lost_within, has_floats
from pressrun.jobs.tables.json_parser import parsed
from pressrun.jobs.tables.near_misses import meaning
from pressrun.jobs.tables.raw_cells import with_odd_texts
from pressrun.jobs.text.wording import listed, shortened
from pressrun.pipeline.errors import JobError

WHOLE = ("width", "height", "steps", "seed")
NUMBERS = (*WHOLE, "guidance")
"""Keys that mean columns of ours whose cells are numbers, however they are written: read as a CSV file's are."""

TEXTS = ("custom_id", "prompt")

_CHUNK_LINES = 8_192


class JsonColumns:
    """The columns of a file whose keys change their type: each cell as text, and the kinds of cells that occur."""

    def __init__(self, content: bytes, name: str) -> None:
        self._content, self._name = content, name
        self._rows = 0
        self._kinds: dict[str, set[type]] = {}
        self._chunks: dict[str, list[pa.Array]] = {}
        self._wrong = 0
        self._reasons: list[str] = []
        self._odd: dict[int, dict[str, str]] = {}
        self.notes: list[str] = []
        """What is to be said of the table, once it is there."""

    def table(self) -> pa.Table:
        """Every object as a row. Raises JobError with the lines that are none."""
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
        return with_odd_texts(pa.table(arrays), self._odd)

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
            if meaning(key) in TEXTS:
                for place, cell in enumerate(cells):
                    if not (cell is None or isinstance(cell, str)):
                        self._odd.setdefault(self._rows + place, {})[key] = _json(cell)
            self._kinds[key].update(map(type, cells))
            chunks.append(_texts([_written(cell, key) for cell in cells]))
        self._rows += len(rows)

    def _typed(self, key: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        kinds, ours = self._kinds[key] - {type(None)}, meaning(key)
        if kinds in ({list}, {dict}, {bool}) and ours not in NUMBERS:
            return self._nested(key, column)
        wanted = () if kinds != {Number} or ours == "custom_id" else (pa.int64(), pa.float64())
        for kind in wanted:
            try:
                numbers = column.cast(kind)
            except pa.ArrowInvalid:
                continue
            if kind == pa.int64():
                return numbers
            if ours not in NUMBERS:
                lost = first_lost(column)
                return numbers if lost is None else self._kept(key, column, lost)
        return column if kinds else pa.chunked_array([pa.nulls(len(column))])

    def _nested(self, key: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Lists, objects or truth values of one type from their JSON, which stays where they differ."""
        cells = pc.binary_join_element_wise('{"v": ', pc.fill_null(column, "null"), "}", "")
        try:
            values = parsed("\n".join(cells.to_pylist()).encode())["v"]
        except (pa.ArrowException, UnicodeDecodeError):
            return column
        lost = first_lost_within(column, values, _DECODER.decode) if has_floats(values.type) else None
        return values if lost is None else self._kept(key, column, lost)

    def _kept(self, key: str, column: pa.ChunkedArray, lost: str) -> pa.ChunkedArray:
        shown = f"“{shortened(key)}” is carried along as text: as a number {shortened(lost, 40)} would be rounded"
        self.notes.append(f"Column {shown}.")
        return column


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


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_float=Number, parse_int=Number, parse_constant=Number)


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
    if isinstance(value, Number):
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
