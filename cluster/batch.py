"""A unit as tensors: what a denoise call received, in the order in which the dispatcher sends it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from cluster.unit import Unit
from cluster.wire import PackedTensor, unpack
from pipeline.request import RenderRequest
from pipeline.shape import Grid

if TYPE_CHECKING:
    import torch


class Batch(NamedTuple):
    """What `pipeline.sampling.sample` takes, a row for each request: embeddings (L, D), references (tokens, C)."""

    requests: list[RenderRequest]
    embeddings: list["torch.Tensor"]
    references: list[list[tuple["torch.Tensor", Grid]]]
    negative_embedding: "torch.Tensor | None"


def unpack_batches(unit: Unit, inputs: Sequence[PackedTensor], device: str) -> list[Batch]:
    """What a unit's rows are computed as, `unit.batch` of them at a time. `inputs` are the items' embeddings, then each
    item's references one after the other, then the empty prompt's embedding where the shape is guided without
    distillation.

    CPUs were measured to be batch-invariant; elsewhere a short batch is padded to its shape's one batch size with its
    first row, and whoever asked takes as many rows of what comes out as the unit has items.
    """
    tensors = iter([unpack(packed, device) for packed in inputs])
    embeddings = [next(tensors) for _ in unit.items]
    references = [[(next(tensors), reference.grid) for reference in item.references] for item in unit.items]
    negative = next(tensors, None)
    requests = [item.request for item in unit.items]
    batches = []
    for start in range(0, len(requests), unit.batch):
        rows = list(range(start, min(start + unit.batch, len(requests))))
        if device != "cpu":
            rows += rows[:1] * (unit.batch - len(rows))
        batch = Batch(
            [requests[row] for row in rows],
            [embeddings[row] for row in rows],
            [references[row] for row in rows],
            negative,
        )
        batches.append(batch)
    return batches
