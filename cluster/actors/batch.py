"""A unit as tensors: what a denoise call received, in the order in which the dispatcher sends it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from pressrun.cluster.protocol.unit import Unit
from pressrun.pipeline.request import Grid, RenderRequest

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


class Batch(NamedTuple):
    """What `pipeline.families.flux2.sampling.sample` takes, a row for each request: embeddings (L, D), references
    (tokens, C)."""

    requests: list[RenderRequest]
    embeddings: list["torch.Tensor"]
    references: list[list[tuple["torch.Tensor", Grid]]]
    negative_embedding: "torch.Tensor | None"


def parts_of(unit: Unit, inputs: Sequence[T]) -> Iterator[tuple[Unit, list[T]]]:
    """A unit as units of `unit.batch` rows at most, each with its inputs. `inputs` are the items' embeddings, then each
    item's references one after the other, then the empty prompt's embedding where the shape is guided without
    distillation."""
    if len(unit.items) <= unit.batch:
        yield unit, list(inputs)
        return
    rest = iter(inputs)
    embeddings = [next(rest) for _ in unit.items]
    references = [[next(rest) for _ in item.references] for item in unit.items]
    negative = list(rest)
    for start in range(0, len(unit.items), unit.batch):
        rows = slice(start, start + unit.batch)
        own = [one for row in references[rows] for one in row]
        yield replace(unit, items=unit.items[rows]), [*embeddings[rows], *own, *negative]


def batches_of(unit: Unit, tensors: Sequence["torch.Tensor"], device: str) -> list[Batch]:
    """What a unit's rows are computed as, `unit.batch` of them at a time; for `tensors` see `parts_of`.

    CPUs were measured to be batch-invariant; elsewhere a short batch is padded to its shape's one batch size with its
    first row, and whoever asked takes as many rows of what comes out as the unit has items.
    """
    return [_batch(part, own, device) for part, own in parts_of(unit, tensors)]


def _batch(unit: Unit, tensors: Sequence["torch.Tensor"], device: str) -> Batch:
    rest = iter(tensors)
    embeddings = [next(rest) for _ in unit.items]
    references = [[(next(rest), reference.grid) for reference in item.references] for item in unit.items]
    rows = list(range(len(unit.items)))
    if device != "cpu":
        rows += rows[:1] * (unit.batch - len(rows))
    return Batch(
        [unit.items[row].request for row in rows],
        [embeddings[row] for row in rows],
        [references[row] for row in rows],
        next(rest, None),
    )
