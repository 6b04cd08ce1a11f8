r"""What databases and spreadsheets write into CSV that stands for something else: `\N` for null, `="00123"` for 00123.

Both are read as they are meant, and that is said: nobody writes a text so.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.text.wording import several

_NULL = r"\N"
_FORMULA = '="'
"""How people keep Excel from taking a text for a number: a formula that is a text."""


def as_meant(table: pa.Table, name: str) -> tuple[pa.Table, tuple[str, ...]]:
    """A table of texts with every such cell, and column's name, as what it stands for; and what is to be said of it.

    `name` is what notes call the file.
    """
    nulls, formulas = np.zeros(table.num_rows, bool), np.zeros(table.num_rows, bool)
    columns = []
    for column in table.columns:
        empty = pc.fill_null(pc.equal(column, _NULL), False)
        nulls |= empty.to_numpy()
        texts = pc.if_else(empty, pa.scalar(None, pa.string()), column)
        if pc.any(pc.starts_with(texts, _FORMULA)).as_py():
            inner = _unwrapped(texts)
            formulas |= pc.fill_null(pc.not_equal(inner, texts), False).to_numpy()
            texts = inner
        columns.append(texts)
    names = _unwrapped(pa.chunked_array([table.column_names], pa.string())).to_pylist()
    notes = []
    if nulls.any():
        notes.append(
            f"“{name}” has cells of {_NULL}, as MySQL and PostgreSQL write that there is no value; they are read as "
            f"empty ({several(int(nulls.sum()), 'row')})."
        )
    if formulas.any() or names != table.column_names:
        where = several(int(formulas.sum()), "row") if formulas.any() else "the columns' names"
        notes.append(
            f'“{name}” has texts that are written ="…" for Excel; they are read without these signs ({where}).'
        )
    return pa.Table.from_arrays(columns, names=names), tuple(notes)


def _unwrapped(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts without the formula around them, where there is one."""
    inner = pc.replace_substring_regex(texts, r'^\s*="((?:[^"]|"")*)"\s*$', r"\1")
    return pc.if_else(pc.equal(inner, texts), texts, pc.replace_substring(inner, '""', '"'))
