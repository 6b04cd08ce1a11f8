"""Cells where a text is needed and JSON has something else: a list of prompts, an object, a truth value.

Nobody can say which text is meant, so the row is refused with what stands there; that is kept for whoever mends it.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.tables.near_misses import meaning
from pressrun.jobs.tables.raw_cells import RawCells
from pressrun.jobs.tables.row_errors import BadRows
from pressrun.jobs.text.wording import shortened

_KINDS = {"[": "a list", "{": "an object"}


def of_ours(odd: Mapping[str, Mapping[int, str]], names: list[str]) -> dict[str, Mapping[int, str]]:
    """Such cells (row to JSON) by the column of ours that theirs is, under its own name or another; `names` are all."""
    return {meaning(name): cells for name, cells in odd.items() if name == meaning(name) or meaning(name) not in names}


def refuse_odd(odd: Mapping[int, str], rows: int, bad: BadRows, lost: RawCells) -> None:
    """Note those of a manifest's `rows` whose prompt is no text, and keep what it is."""
    if not odd:
        return
    lost.add_odd("prompt", odd)
    bad.add(
        _mask(odd, rows),
        "missing_prompt",
        lambda row: f"The prompt is {_kind(odd[row])} ({shortened(odd[row], 40)}); write one text in its place.",
    )


def filled(column: pa.ChunkedArray, odd: Mapping[int, str], nothing: bool = False) -> pa.ChunkedArray:
    """A column with what stands in odd cells as a text, or with `nothing` in them."""
    if not odd:
        return column
    mask = pa.array(_mask(odd, len(column)))
    texts = pa.array([None if nothing else odd[row] for row in sorted(odd)], pa.string())
    return pa.chunked_array([pc.replace_with_mask(column.cast(pa.string()).combine_chunks(), mask, texts)])


def key_problem(odd: Mapping[int, str]) -> str:
    """What is wrong with a manifest of such custom_ids."""
    row, text = next(iter(odd.items()))
    more = f", and {len(odd) - 1:,} more are no texts either" if len(odd) > 1 else ""
    return (
        f"The custom_id of row {row + 1:,} is {_kind(text)} ({shortened(text, 40)}){more}; write a text or a whole "
        "number."
    )


def _mask(odd: Mapping[int, str], rows: int) -> np.ndarray:
    mask = np.zeros(rows, bool)
    mask[list(odd)] = True
    return mask


def _kind(text: str) -> str:
    return _KINDS.get(text[:1], "a truth value")
