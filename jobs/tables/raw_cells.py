"""Cells that a frozen manifest could not keep: what the customer wrote where its column has no room for it.

A width of "abc" is null in a column of numbers, and a null means the default: rendered again as it stands, the row
would become a picture that nobody asked for. So a frozen manifest has one more column, where any row needs it: a row's
lost cells as a JSON object, column to value. `restored` puts them back; it runs on whatever is read as a manifest.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.tables.coercion import EXACT
from pressrun.jobs.tables.parquet_reader import TEXT_CELLS
from pressrun.jobs.tables.row_errors import alike, joined
from pressrun.jobs.text.column_types import is_list, is_text

COLUMN = "pressrun:as_written"

_JSON = "json"
"""Names, in a cell's object, what was written where a text is needed and is none."""

MAX_KEPT = 1 << 20
"""Characters of a text that are kept: one more than the longest cell is too long again (see `request_columns`)."""


class RawCells:
    """Collects the cells of single rows that a normalised manifest does not hold as they were."""

    def __init__(self) -> None:
        self._rows: list[np.ndarray] = []
        self._texts: list[pa.Array] = []
        self._which: list[np.ndarray] = []

    def add(self, name: str, column: pa.ChunkedArray | pa.Array, lost: np.ndarray, start: int = 0) -> None:
        """Keep the cells of `column` where `lost` is true; its first row is the manifest's row `start`."""
        rows = np.flatnonzero(lost)
        if not len(rows):
            return
        first, which = alike(column, rows)
        cells = (column[row] for row in first.tolist())
        texts = [f"{json.dumps(name)}: {json.dumps(_as_json(cell))}" for cell in cells]
        self._rows.append(start + rows)
        self._texts.append(pa.array(texts, pa.string()))
        self._which.append(which)

    def add_odd(self, name: str, cells: Mapping[int, str]) -> None:
        """Keep what stands in `cells`, row to JSON, where the column has texts and these are none."""
        self._rows.append(np.array(list(cells)))
        self._texts.append(pa.array([f"{json.dumps(name)}: {json.dumps({_JSON: text})}" for text in cells.values()]))
        self._which.append(np.arange(len(cells)))

    def column(self, rows: int) -> pa.ChunkedArray | None:
        """For each of a manifest's `rows` the JSON object, or null; None where nothing was lost."""
        if not self._rows:
            return None
        starts = np.cumsum([0, *map(len, self._texts[:-1])])
        which = np.concatenate([start + which for start, which in zip(starts, self._which, strict=True)])
        lost, members, _ = joined(np.concatenate(self._rows), pa.concat_arrays(self._texts), which, ", ")
        objects = pc.binary_join_element_wise("{", members, "}", "")
        places = np.full(rows, -1, np.int64)
        places[lost] = np.arange(len(lost))
        return objects.take(pa.array(places, mask=places < 0))


def _as_json(cell: pa.Scalar) -> Any:
    try:
        value = cell.as_py()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(cell.as_buffer().to_pybytes()[: MAX_KEPT + 1]).decode()}
    if isinstance(value, str):
        return value[: MAX_KEPT + 1]
    return value if value is None or isinstance(value, int | float) else str(value)


def restored(table: pa.Table) -> pa.Table:
    """A frozen manifest with its lost cells in their places again, and without the column that kept them.

    A column gets whatever type holds all its cells: numbers where they are, else text, read as a CSV file's cells are.
    """
    kind = table.schema.field(COLUMN).type if table.column_names.count(COLUMN) == 1 else None
    if kind is None or not (is_text(kind) or pa.types.is_null(kind)):
        return table
    kept = table[COLUMN].combine_chunks()
    table = table.drop_columns([COLUMN])
    rows = np.flatnonzero(kept.is_valid().to_numpy(zero_copy_only=False))
    lost: dict[str, dict[int, Any]] = {}
    odd: dict[int, dict[str, str]] = {}
    for row in rows.tolist():
        for name, value in _members(kept[row]).items():
            if table.column_names.count(name) != 1:
                continue
            if not (isinstance(value, dict) and isinstance(value.get(_JSON), str)):
                lost.setdefault(name, {})[row] = value
            elif not table[name][row].is_valid:  # else it was mended since
                odd.setdefault(row, {})[name] = value[_JSON]
    for name, cells in lost.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, _with_cells(table[name], cells))
    table = with_odd_texts(table, odd)
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **TEXT_CELLS}) if lost else table


def with_odd_texts(table: pa.Table, odd: Mapping[int, Mapping[str, str]]) -> pa.Table:
    """`table` with what stands where a text is needed and is none, such as a list: JSON by row and column, which no
    column of texts could hold without making a text of it."""
    if not odd:
        return table
    cells: list[str | None] = [None] * table.num_rows
    for row, found in odd.items():
        cells[row] = json.dumps({name: {_JSON: text[: MAX_KEPT + 1]} for name, text in found.items()})
    column = pa.chunked_array([pa.array(cells, pa.string())])
    if COLUMN not in table.column_names:
        return table.append_column(COLUMN, column)
    if is_text(table[COLUMN].type):  # of rows that failed before; what stands in them now is newer
        column = pc.coalesce(column, table[COLUMN])
    return table.set_column(table.column_names.index(COLUMN), COLUMN, column)


def odd_texts(table: pa.Table) -> tuple[pa.Table, dict[str, dict[int, str]]]:
    """A table from `restored` without the column of what is no text, and that by column and row."""
    if table.column_names.count(COLUMN) != 1 or not is_text(table[COLUMN].type):
        return table, {}
    odd: dict[str, dict[int, str]] = {}
    kept = table[COLUMN].combine_chunks()
    for row in np.flatnonzero(kept.is_valid().to_numpy(zero_copy_only=False)).tolist():
        for name, value in _members(kept[row]).items():
            odd.setdefault(name, {})[row] = value[_JSON]
    return table.drop_columns([COLUMN]), odd


def _members(cell: pa.Scalar) -> Mapping[str, Any]:
    """An object's members; of two with one name the first, which is the cell before it was mended."""
    try:
        found = json.loads(cell.as_py(), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _with_cells(column: pa.ChunkedArray, cells: Mapping[int, Any]) -> pa.ChunkedArray:
    """`column` with the values of `cells`, row to value, in a type that holds them."""
    mask = np.zeros(len(column), bool)
    mask[list(cells)] = True
    values = [cells[row] for row in sorted(cells)]
    for kind in _number_types(values):
        try:
            if pa.types.is_floating(kind) and pa.types.is_integer(column.type) and _is_large(column):
                continue  # in floating point it would be doubtful
            numbers = column.cast(kind).combine_chunks()
            return pa.chunked_array([pc.replace_with_mask(numbers, pa.array(mask), pa.array(values, kind))])
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError):
            continue
    texts = pa.array([_text(value) for value in values], pa.binary())
    present = _texts(column).cast(pa.binary()).combine_chunks()
    both = pc.replace_with_mask(present, pa.array(mask), texts)
    valid, offsets, data = both.buffers()  # not a cast, which would refuse bytes that are no UTF-8
    return pa.chunked_array([pa.StringArray.from_buffers(len(both), offsets, data, valid)])


def _is_large(column: pa.ChunkedArray) -> bool:
    """Whether there is a whole number that floating point does not tell from its neighbours."""
    return any(abs(number or 0) > EXACT[64] for number in pc.min_max(column).as_py().values())


def _number_types(values: Iterable[Any]) -> tuple[pa.DataType, ...]:
    kinds = {type(value) for value in values}
    if kinds <= {int}:
        return pa.int64(), pa.uint64()
    return (pa.float64(),) if kinds <= {int, float} else ()


def _text(value: Any) -> bytes | None:
    if isinstance(value, dict):
        try:
            return base64.b64decode(value["base64"])
        except (KeyError, ValueError, TypeError):
            return None
    return str(value).encode(errors="replace")


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column's values as a CSV file has them: lists as JSON."""
    if not is_list(column.type):
        return column.cast(pa.string())
    lists = (None if value is None else json.dumps(value, ensure_ascii=False) for value in column.to_pylist())
    return pa.chunked_array([pa.array(lists, pa.string())])
