"""Rows that cannot be rendered as they stand: they fail alone, each with a code and a sentence.

A million of them are a few arrays: Python makes one sentence for all rows whose cells are alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.text.wording import listed, shortened

SCHEMA = pa.schema([("row", pa.int64()), ("error_code", pa.string()), ("error_message", pa.string())])
"""`row` counts from 0; a row occurs once, with its first code and all its sentences."""

FIRST = 5
"""Rows that a group of problems names."""

_CHUNK = 65_536

Cells: TypeAlias = pa.Array | pa.ChunkedArray


class BadRows:
    """Collects what is wrong with single rows."""

    def __init__(self) -> None:
        self._rows: list[np.ndarray] = []
        self._codes: list[str] = []
        self._sentences: list[pa.Array] = []
        self._which: list[np.ndarray] = []

    def add(
        self, wrong: Cells | np.ndarray, code: str, sentence: str | Callable[[int], str], of: Cells | None = None
    ) -> None:
        """Note every row where `wrong` is true (null counts as false).

        `sentence` is one for all of them, or is asked for each row; with `of`, the column that its sentence is about,
        for one row of those with equal cells.
        """
        if isinstance(wrong, pa.Array | pa.ChunkedArray):
            wrong = wrong.fill_null(False).to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(wrong)
        if not len(rows):
            return
        if isinstance(sentence, str):
            self.add_each(rows, code, pa.array([sentence]), np.zeros(len(rows), np.int64))
            return
        first, which = alike(of, rows) if of is not None else (rows, np.arange(len(rows)))
        self.add_each(rows, code, _array_of(sentence, first), which)

    def add_row(self, row: int, code: str, sentence: str) -> None:
        """Note one row."""
        self.add_each(np.array([row]), code, pa.array([sentence]), np.zeros(1, np.int64))

    def add_each(self, rows: np.ndarray, code: str, sentences: pa.Array, which: np.ndarray) -> None:
        """Note `rows`, each with the one of `sentences` that `which` says."""
        if not len(rows):
            return
        self._rows.append(rows)
        self._codes.append(code)
        self._sentences.append(sentences.cast(pa.string()))
        self._which.append(which)

    def rows(self) -> np.ndarray:
        """Indices of the bad rows, ascending."""
        return np.unique(np.concatenate(self._rows)) if self._rows else np.zeros(0, np.int64)

    def table(self) -> pa.Table:
        """The bad rows in order, in `SCHEMA`."""
        if not self._rows:
            return SCHEMA.empty_table()
        starts = np.cumsum([0, *map(len, self._sentences[:-1])])
        distinct = pc.dictionary_encode(pa.chunked_array(self._sentences).combine_chunks())
        which = np.concatenate([start + which for start, which in zip(starts, self._which, strict=True)])
        which = distinct.indices.to_numpy()[which]
        codes = np.repeat(np.arange(len(self._codes)), [len(rows) for rows in self._rows])
        rows, messages, first = joined(np.concatenate(self._rows), distinct.dictionary, which, " ")
        named = pa.array(self._codes, pa.string()).take(pa.array(codes[first]))
        return pa.table([pa.array(rows, pa.int64()), named, messages], schema=SCHEMA)


def alike(column: Cells, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first of `rows` for each different cell of `column`, and for each of `rows` which of them its cell is."""
    cells = column.take(pa.array(rows))
    cells = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
    try:
        codes = pc.dictionary_encode(cells, null_encoding="encode").indices.to_numpy(zero_copy_only=False)
    except pa.ArrowNotImplementedError:  # lists
        return rows, np.arange(len(rows))
    _, first, which = np.unique(codes, return_index=True, return_inverse=True)
    return rows[first], which


def joined(
    rows: np.ndarray, texts: pa.Array, which: np.ndarray, separator: str
) -> tuple[np.ndarray, pa.ChunkedArray, np.ndarray]:
    """The texts of each row in one, in the order in which they come, none of them twice.

    `which` of the different `texts` belongs to each of `rows`, which may repeat. Returns the rows, ascending and each
    once, their texts, and where in `rows` the first of each stood.
    """
    order = np.lexsort((np.arange(len(rows)), which, rows))
    fresh = np.ones(len(rows), bool)
    fresh[order[1:]] = np.diff(rows[order]).astype(bool) | np.diff(which[order]).astype(bool)
    kept = np.flatnonzero(fresh)
    kept = kept[np.argsort(rows[kept], kind="stable")]
    starts = np.flatnonzero(np.diff(rows[kept], prepend=-1))
    ends = np.append(starts[1:], len(kept))
    chunks = []
    for start in range(0, len(starts), _CHUNK):
        some, last = starts[start : start + _CHUNK], ends[start : start + _CHUNK]
        values = texts.take(pa.array(which[kept[some[0] : last[-1]]]))
        offsets = pa.array(np.append(some, last[-1]) - some[0], pa.int32())
        chunks.append(pc.binary_join(pa.ListArray.from_arrays(offsets, values), separator))
    return rows[kept[starts]], pa.chunked_array(chunks, pa.string()), kept[starts]


def _array_of(sentence: Callable[[int], str], rows: np.ndarray) -> pa.Array:
    pieces = [
        pa.array([sentence(row) for row in rows[start : start + _CHUNK].tolist()], pa.string())
        for start in range(0, len(rows), _CHUNK)
    ]
    return pa.concat_arrays(pieces)


@dataclass(frozen=True)
class BadRow:
    """One bad row as people are told of it: `row` counts from 1, the header aside."""

    row: int
    custom_id: str
    message: str


@dataclass(frozen=True)
class Problem:
    """Bad rows of one code: how many, and the first of them."""

    code: str
    rows: int
    first: tuple[BadRow, ...]

    def __str__(self) -> str:
        cases = (f"row {case.row:,} ({shortened(case.custom_id, 40)})" for case in self.first)
        return f"{self.rows:,} x {self.code}: {listed(cases, self.rows)}: {shortened(self.first[0].message, 300)}"


def grouped(bad: pa.Table, custom_ids: pa.ChunkedArray) -> tuple[Problem, ...]:
    """Bad rows (`SCHEMA`, in order) by their code, the most frequent first; `custom_ids` are the whole manifest's."""
    if not bad.num_rows:
        return ()
    codes = bad["error_code"].combine_chunks().dictionary_encode()
    numbers = codes.indices.to_numpy()
    problems = []
    for number, code in enumerate(codes.dictionary.to_pylist()):
        places = np.flatnonzero(numbers == number)
        first = bad.take(pa.array(places[:FIRST])).to_pylist()
        cases = (BadRow(r["row"] + 1, custom_ids[r["row"]].as_py() or "", r["error_message"]) for r in first)
        problems.append(Problem(code, len(places), tuple(cases)))
    return tuple(sorted(problems, key=lambda problem: -problem.rows))


def described(problems: Sequence[Problem], total: int) -> list[str]:
    """The groups in words, a line each under a heading; nothing where there are none. `total` are all rows."""
    count = sum(problem.rows for problem in problems)
    heading = f"{count:,} of {total:,} rows cannot be rendered as they stand:"
    return [heading, *(f"  {problem}" for problem in problems)] if count else []


def merged(*tables: pa.Table) -> pa.Table:
    """Bad rows of several checks; a row that occurs in more than one is as the first says."""
    kept: list[pa.Table] = []
    for table in tables:
        for earlier in kept:
            table = table.filter(pc.invert(pc.is_in(table["row"], earlier["row"].combine_chunks())))
        kept.append(table)
    return pa.concat_tables(kept).sort_by("row")
