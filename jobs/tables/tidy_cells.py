"""What spreadsheets and scripts leave around a table of texts: rows and columns of nothing, and the header once more
where files were put together. They go, and it is said."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.tables.parquet_reader import TEXT_CELLS
from pressrun.jobs.tables.table_notes import noted, row_numbers
from pressrun.jobs.text.wording import first_of
from pressrun.pipeline.errors import JobError


def tidied(table: pa.Table, name: str, limit: int | None, notes: tuple[str, ...] = ()) -> pa.Table:
    """The first `limit` rows (all, if None) of a table of texts, without rows and unnamed columns of nothing, and
    without rows that are the header again.

    A column without a name that has values is called by its place. `name` is what notes call the file. Raises JobError
    for a header that comes again in another order: what stands below it was meant otherwise.
    """
    table, renamed = _named(table, name)
    table, empty = _without_empty(table, name)
    table, repeated = _without_headers(table, name)
    table = table.slice(0, limit).replace_schema_metadata(TEXT_CELLS)
    return noted(table, (*notes, *renamed, *empty, *repeated))


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


def _without_empty(table: pa.Table, name: str) -> tuple[pa.Table, tuple[str, ...]]:
    """The table without rows of nothing, and what is to be said of those."""
    empty = np.ones(table.num_rows, bool)
    for column in table.columns:
        if not empty.any():
            return table, ()
        empty &= _blank(column).to_numpy()
    rows = np.flatnonzero(empty)
    if not len(rows):
        return table, ()
    count = "1 row" if len(rows) == 1 else f"{len(rows):,} rows"
    where = first_of([f"{row + 1:,}" for row in rows.tolist()]) if len(rows) < 6 else f"from {rows[0] + 1:,} on"
    said = f"“{name}” has {count} of nothing but separators ({where}); they are skipped and not counted."
    return table.filter(pa.array(~empty)), (said,)


def _without_headers(table: pa.Table, name: str) -> tuple[pa.Table, tuple[str, ...]]:
    """The table without rows that name its columns again, and what is to be said of those."""
    names = [_bare(column) for column in table.column_names]
    if len(names) < 2:
        return table, ()
    first = pc.utf8_trim_whitespace(pc.replace_substring(table.column(0), "\ufeff", ""))
    likely = np.flatnonzero(pc.is_in(first, pa.array(names, pa.string())).to_numpy())
    again = []
    for row in likely.tolist():
        cells = [_bare(column[row].as_py() or "") for column in table.columns]
        if cells == names:
            again.append(row)
        elif sorted(cells) == sorted(names):
            raise JobError(
                f"Row {row + 1:,} of “{name}” names the columns again, in another order: it is several tables in one "
                "file; save each as a file of its own.",
                code="bad_manifest",
            )
    if not again:
        return table, ()
    keep = np.ones(table.num_rows, bool)
    keep[again] = False
    said = (
        f"“{name}” names its columns again in {row_numbers(again)}, as where several files were put together; what "
        "names columns is skipped and not counted."
    )
    return table.filter(pa.array(keep)), (said,)


def _bare(text: str) -> str:
    return text.replace("\ufeff", "").strip()


def _blank(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(pc.equal(pc.utf8_trim_whitespace(column), ""), True)
