"""What spreadsheets leave around a table of texts: rows and columns of nothing. They go, and it is said."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.tables.parquet_reader import TEXT_CELLS
from pressrun.jobs.text.wording import first_of

_NOTES = b"pressrun:notes"
"""Schema metadata: sentences about what was not read as it stands, a JSON list."""


def tidied(table: pa.Table, name: str, limit: int | None, notes: tuple[str, ...] = ()) -> pa.Table:
    """The first `limit` rows (all, if None) of a table of texts, without rows and unnamed columns of nothing.

    A column without a name that has values is called by its place. `name` is what notes call the file.
    """
    table, renamed = _named(table, name)
    rows = np.flatnonzero(_is_empty(table))
    if len(rows):
        keep = np.ones(table.num_rows, bool)
        keep[rows] = False
        table = table.filter(pa.array(keep))
        count = "1 row" if len(rows) == 1 else f"{len(rows):,} rows"
        where = first_of([f"{row + 1:,}" for row in rows.tolist()]) if len(rows) < 6 else f"from {rows[0] + 1:,} on"
        renamed += (f"“{name}” has {count} of nothing but separators ({where}); they are skipped and not counted.",)
    said = {_NOTES: json.dumps([*notes, *renamed])} if notes or renamed else {}
    return table.slice(0, limit).replace_schema_metadata({**TEXT_CELLS, **said})


def notes_of(table: pa.Table) -> tuple[str, ...]:
    """What is to be said of a table that was read."""
    return tuple(json.loads((table.schema.metadata or {}).get(_NOTES, b"[]")))


def _named(table: pa.Table, name: str) -> tuple[pa.Table, tuple[str, ...]]:
    """The table without unnamed columns of nothing, the others of them named, and what is to be said of those."""
    taken, kept, renamed = set(table.column_names), [], []
    for place, column in enumerate(table.column_names):
        if column.strip():
            kept.append((place, column))
        elif not bool(pc.all(_blank(table.column(place))).as_py()):
            title = f"column_{place + 1}"
            while title in taken:
                title += "_"
            taken.add(title)
            kept.append((place, title))
            renamed.append(f"Column {place + 1} of “{name}” has values but no name; it is carried along as {title}.")
    columns, titles = [table.column(place) for place, _ in kept], [title for _, title in kept]
    return pa.Table.from_arrays(columns, titles), tuple(renamed)


def _is_empty(table: pa.Table) -> np.ndarray:
    """Which rows hold nothing."""
    empty = np.ones(table.num_rows, bool)
    for column in table.columns:
        if not empty.any():
            break
        empty &= _blank(column).to_numpy()
    return empty


def _blank(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(pc.equal(pc.utf8_trim_whitespace(column), ""), True)
