"""Values that occur in more than one row: what a unique column must not have."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.text.wording import listed


def repeated(values: pa.Array) -> list[list[int]]:
    """The rows of each value that occurs more than once, in the order of first occurrence; nulls do not count."""
    codes = pc.dictionary_encode(values).indices.fill_null(-1).to_numpy(zero_copy_only=False)
    known = np.flatnonzero(codes >= 0)
    if not len(known):
        return []
    counts = np.bincount(codes[known])
    rows = known[counts[codes[known]] > 1]
    rows = rows[np.argsort(codes[rows], kind="stable")]
    pieces = np.split(rows, np.flatnonzero(np.diff(codes[rows])) + 1)
    return [piece.tolist() for piece in pieces if len(piece)]


def row_numbers(rows: list[int]) -> str:
    """`rows 1, 5 and 9 more`: as people count them, the first row after the header being 1."""
    return ("row " if len(rows) == 1 else "rows ") + listed((f"{row + 1}" for row in rows), len(rows), 5)
