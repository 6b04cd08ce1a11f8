"""The plan: which requests run together, and in which order.

Requests of one shape make units; a unit is the grain of scheduling and retry. How many rows it has, and what it costs,
follows from a measured throughput curve where there is one for the model and the kind of device. The costliest units
come first, so that the last replica to finish has a short one (see `jobs.planning.unit_sizing`). A plan of a million
rows is a few columns of numbers: a `PlannedUnit` is made when it is looked at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.pipeline.families.family import family_of
from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.models.throughput import Throughput
from pressrun.pipeline.request import MULTIPLE

UNIT_TOKENS = 4096
"""Picture and reference tokens that one unit holds at most: those of one picture of a megapixel (see `batch_size`)."""

MAX_BATCH = 8
"""Requests that one unit holds at most: what a lost worker costs stays small, and small jobs still spread out."""


@dataclass(frozen=True)
class PlannedUnit:
    """Requests that run as one tensor batch: `rows` are indices into the manifest, ascending. `cost` is in seconds of
    the device that the plan was made for, or, where nobody has measured it, in tokens that pass the transformer."""

    index: int
    shape: Shape
    rows: tuple[int, ...]
    cost: float


def batch_size(tokens: int) -> int:
    """How many requests run as one unit, each with `tokens` tokens of picture and references (not of text).

    Batching pays while one request leaves the device idle: public figures for klein-4B on an H100 are a threefold
    gain at 512² (1,024 tokens) and 2 % at 1 MP (4,096 tokens), where one picture fills the device and a batch only
    coarsens the grain of retry. So a unit gets a budget of `UNIT_TOKENS` tokens and at most `MAX_BATCH` requests:
    8 up to 512 tokens, 4 at 1,024, 2 at 2,048 and 1 from 4,096 on.
    """
    return max(1, min(MAX_BATCH, UNIT_TOKENS // max(tokens, 1)))


@dataclass(frozen=True)
class Sizes:
    """What the units of a shape are like on the kind of device ("cpu", "cuda") that a plan is made for: by its curve,
    or, where there is none, by `batch_size`."""

    device: str = "cuda"
    curve: Throughput | None = None

    @property
    def divisible(self) -> bool:
        """Whether a unit of fewer rows costs less: where nothing is padded. See `cluster.actors.batch`."""
        return self.device == "cpu"

    def rows(self, shape: Shape) -> int:
        """The one batch size of a shape: a function of the shape alone."""
        return self.curve.unit_rows(shape.tokens) if self.curve else batch_size(shape.tokens - shape.text_tokens)

    def least_rows(self, shape: Shape) -> int:
        """The fewest rows of a unit that is cut smaller than that."""
        if not self.divisible:
            return self.rows(shape)
        return self.curve.least_rows(shape.tokens) if self.curve else 1

    def cost(self, shape: Shape, rows: int) -> float:
        """What a unit of so many rows costs, in the measure of `PlannedUnit`."""
        computed = rows if self.divisible else self.rows(shape)
        seconds = self.curve.unit_seconds(shape.tokens, computed) if self.curve else shape.tokens * computed
        return float(seconds) * shape.nfe


class Plan(Sequence[PlannedUnit]):
    """Units, costliest first. Reads like a list of `PlannedUnit`, but holds only their rows' numbers. `sizes` tell how
    they were cut."""

    def __init__(
        self,
        sizes: Sizes,
        shapes: list[Shape],
        rows: np.ndarray,
        starts: np.ndarray,
        ends: np.ndarray,
        of: np.ndarray,
        costs: np.ndarray,
    ):
        self.sizes = sizes
        self._shapes, self._rows, self._starts, self._ends, self._of = shapes, rows, starts, ends, of
        self._costs = costs

    @property
    def cost(self) -> float:
        """Of all units together."""
        return float(self._costs.sum())

    @property
    def rows(self) -> np.ndarray:
        """Every row that is planned, in no particular order."""
        return self._rows

    @property
    def megapixels(self) -> float:
        """Of all pictures, as they are rendered."""
        return sum(shape.width * shape.height * rows for shape, rows in self.rows_by_shape()) / 1e6

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
        return PlannedUnit(index, self._shapes[self._of[index]], tuple(rows.tolist()), float(self._costs[index]))

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
    family = family_of(model)
    effective = np.array([family.effective_guidance(model, float(value)) for value in wanted])[inverse]
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
        groups.append((family.shape(model, width, height, steps, guidance, references), rows[piece]))
    return groups


def plan_units(groups: Sequence[tuple[Shape, np.ndarray]], sizes: Sizes | None = None) -> Plan:
    """Cut each shape's rows into units and order them, costliest first, then by shape and row: the same every time."""
    sizes = sizes or Sizes()
    rows, starts, ends, of, costs = [], [], [], [], []
    offset = 0
    for number, (shape, members) in enumerate(groups):
        size = sizes.rows(shape)
        first = np.arange(0, len(members), size)
        last = np.minimum(first + size, len(members))
        # Cut with equal prompts side by side, then back to manifest order inside each unit.
        rows.append(members[np.lexsort((members, np.arange(len(members)) // size))])
        starts.append(first + offset)
        ends.append(last + offset)
        of.append(np.full(len(first), number))
        cost = np.full(len(first), sizes.cost(shape, size))
        cost[-1] = sizes.cost(shape, int(last[-1] - first[-1]))
        costs.append(cost)
        offset += len(members)
    if not groups:
        none = np.zeros(0, np.int64)
        return Plan(sizes, [], none, none, none, none, np.zeros(0))
    order = np.argsort(-np.concatenate(costs), kind="stable")
    merged = [np.concatenate(part)[order] for part in (starts, ends, of, costs)]
    return Plan(sizes, [shape for shape, _ in groups], np.concatenate(rows), *merged)


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    """A column as numpy; a null (only bad rows have one, and they are never pending) reads as 0."""
    return np.asarray(table[name].combine_chunks().fill_null(0).to_numpy(zero_copy_only=False))
