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


def unpack_batch(unit: Unit, inputs: Sequence[PackedTensor], device: str) -> Batch:
    """`inputs` are the items' embeddings, then each item's references one after the other, then the empty prompt's
    embedding where the shape is guided without distillation.

    CPUs were measured to be batch-invariant; elsewhere a short unit is padded to its shape's one batch size with its
    first row, and whoever asked cuts the surplus rows off again.
    """
    tensors = iter([unpack(packed, device) for packed in inputs])
    embeddings = [next(tensors) for _ in unit.items]
    references = [[(next(tensors), reference.grid) for reference in item.references] for item in unit.items]
    requests = [item.request for item in unit.items]
    short = 0 if device == "cpu" else max(0, unit.batch - len(requests))
    return Batch(
        requests + requests[:1] * short,
        embeddings + embeddings[:1] * short,
        references + references[:1] * short,
        next(tensors, None),
    )
