"""The plan: which requests run together, and in which order.

Requests of one shape make units; a unit is the grain of scheduling and retry. The costliest units come first, so that
the last replica to finish has a short one. A plan of a million rows is a few integer columns: a `PlannedUnit`
is made when it is looked at.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.catalogue import Model
from pipeline.request import MULTIPLE
from pipeline.shape import Shape, classifier_free, effective_guidance

UNIT_TOKENS = 4096
"""Picture and reference tokens that one unit holds at most: those of one picture of a megapixel (see `batch_size`)."""

MAX_BATCH = 8
"""Requests that one unit holds at most: what a lost worker costs stays small, and small jobs still spread out."""


@dataclass(frozen=True)
class PlannedUnit:
    """Requests that run as one tensor batch: `rows` are indices into the manifest, ascending."""

    index: int
    shape: Shape
    rows: tuple[int, ...]


def batch_size(tokens: int) -> int:
    """How many requests run as one unit, each with `tokens` tokens of picture and references (not of text).

    Batching pays while one request leaves the device idle: public figures for klein-4B on an H100 are a threefold
    gain at 512² (1,024 tokens) and 2 % at 1 MP (4,096 tokens), where one picture fills the device and a batch only
    coarsens the grain of retry. So a unit gets a budget of `UNIT_TOKENS` tokens and at most `MAX_BATCH` requests:
    8 up to 512 tokens, 4 at 1,024, 2 at 2,048 and 1 from 4,096 on.
    """
    return max(1, min(MAX_BATCH, UNIT_TOKENS // max(tokens, 1)))


def unit_size(shape: Shape) -> int:
    """The one batch size of a shape."""
    return batch_size(shape.tokens - shape.text_tokens)


class Plan(Sequence[PlannedUnit]):
    """Units, costliest first. Reads like a list of `PlannedUnit`, but holds only their rows' numbers."""

    def __init__(self, shapes: list[Shape], rows: np.ndarray, starts: np.ndarray, ends: np.ndarray, of: np.ndarray):
        self._shapes, self._rows, self._starts, self._ends, self._of = shapes, rows, starts, ends, of

    @property
    def shapes(self) -> list[Shape]:
        """Every shape that occurs, in the order of its first row."""
        return list(self._shapes)

    def rows_by_shape(self) -> list[tuple[Shape, int]]:
        """Every shape and how many rows have it."""
        rows = np.bincount(self._of, self._ends - self._starts, len(self._shapes)).astype(int)
        return list(zip(self._shapes, rows.tolist(), strict=True))

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> PlannedUnit: ...
    @overload
    def __getitem__(self, index: slice) -> list[PlannedUnit]: ...
    def __getitem__(self, index: int | slice) -> PlannedUnit | list[PlannedUnit]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        index = range(len(self))[index]
        rows = self._rows[self._starts[index] : self._ends[index]]
        return PlannedUnit(index, self._shapes[self._of[index]], tuple(rows.tolist()))

    def __iter__(self) -> Iterator[PlannedUnit]:
        return (self[i] for i in range(len(self)))


def group_by_shape(
    table: pa.Table, model: Model, rows: np.ndarray | None = None, reference_tokens: np.ndarray | None = None
) -> list[tuple[Shape, np.ndarray]]:
    """The rows of each shape, shapes in the order of their first row, equal prompts beside each other.

    `table` is a normalised manifest's; `rows` the pending rows' indices into it (all, if None), none of them bad;
    `reference_tokens` for each of `rows` the tokens of all its references (0, if None).
    """
    rows = np.arange(table.num_rows) if rows is None else np.asarray(rows, dtype=np.int64)
    if not len(rows):
        return []
    tokens = np.zeros(len(rows), np.int64) if reference_tokens is None else np.asarray(reference_tokens, np.int64)
    sides = [-(-_numbers(table, name)[rows] // MULTIPLE) * MULTIPLE for name in ("width", "height")]
    wanted, inverse = np.unique(_numbers(table, "guidance")[rows], return_inverse=True)
    effective = np.array([effective_guidance(float(value), model) for value in wanted])[inverse]
    columns: list[np.ndarray] = [*sides, _numbers(table, "steps")[rows], effective, tokens]
    codes = np.zeros(len(rows), np.int64)
    for column in columns:
        values, inverse = np.unique(column, return_inverse=True)
        codes = np.unique(codes * len(values) + inverse, return_inverse=True)[1]
    prompts = pc.dictionary_encode(table["prompt"].combine_chunks()).indices.fill_null(-1)
    order = np.lexsort((rows, prompts.to_numpy(zero_copy_only=False)[rows], codes))
    pieces = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    groups = []
    for piece in sorted(pieces, key=lambda piece: int(rows[piece].min())):
        width, height, steps, guidance, references = (column[piece[0]].item() for column in columns)
        passes_twice = classifier_free(guidance, model)
        shape = Shape(width, height, steps, guidance, references, model.text_length, passes_twice)
        groups.append((shape, rows[piece]))
    return groups


def plan_units(
    groups: Sequence[tuple[Shape, np.ndarray]],
    batch: Callable[[Shape], int] = unit_size,
    cost: Callable[[Shape], float] = lambda shape: shape.tokens * shape.passes,
) -> Plan:
    """Cut each shape's rows into units and order them, costliest first, then by shape and row: the same every time.

    `batch` says how many rows a unit of a shape holds, `cost` what one row of it costs, in any one measure.
    """
    rows, starts, ends, of, costs = [], [], [], [], []
    offset = 0
    for number, (shape, members) in enumerate(groups):
        size = max(1, batch(shape))
        first = np.arange(0, len(members), size)
        last = np.minimum(first + size, len(members))
        # Cut with equal prompts side by side, then back to manifest order inside each unit.
        rows.append(members[np.lexsort((members, np.arange(len(members)) // size))])
        starts.append(first + offset)
        ends.append(last + offset)
        of.append(np.full(len(first), number))
        costs.append((last - first) * float(cost(shape)))
        offset += len(members)
    if not groups:
        none = np.zeros(0, np.int64)
        return Plan([], none, none, none, none)
    order = np.argsort(-np.concatenate(costs), kind="stable")
    merged = [np.concatenate(part)[order] for part in (starts, ends, of)]
    return Plan([shape for shape, _ in groups], np.concatenate(rows), *merged)


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    """A column as numpy; a null (only bad rows have one, and they are never pending) reads as 0."""
    return table[name].combine_chunks().fill_null(0).to_numpy(zero_copy_only=False)
