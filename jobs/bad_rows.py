"""Rows that cannot be rendered as they stand: they fail alone, each with a code and a sentence."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

SCHEMA = pa.schema([("row", pa.int64()), ("error_code", pa.string()), ("error_message", pa.string())])
"""`row` counts from 0; a row occurs once, with its first code and all its sentences."""


class BadRows:
    """Collects what is wrong with single rows; Python objects are made for bad rows only."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[str, list[str]]] = {}

    def add(self, wrong: pa.Array | np.ndarray, code: str, sentence: Callable[[int], str]) -> None:
        """Note every row where `wrong` is true (null counts as false); `sentence` is asked for each of them."""
        if isinstance(wrong, pa.Array | pa.ChunkedArray):
            wrong = wrong.fill_null(False).to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(wrong).tolist():
            self.add_row(row, code, sentence(row))

    def add_row(self, row: int, code: str, sentence: str) -> None:
        """Note one row."""
        sentences = self._found.setdefault(row, (code, []))[1]
        if sentence not in sentences:
            sentences.append(sentence)

    def rows(self) -> np.ndarray:
        """Indices of the bad rows, ascending."""
        return np.array(sorted(self._found), dtype=np.int64)

    def table(self) -> pa.Table:
        """The bad rows in order, in `SCHEMA`."""
        found = sorted(self._found.items())
        return pa.table(
            [
                pa.array([row for row, _ in found], pa.int64()),
                pa.array([code for _, (code, _) in found], pa.string()),
                pa.array([" ".join(sentences) for _, (_, sentences) in found], pa.string()),
            ],
            schema=SCHEMA,
        )
