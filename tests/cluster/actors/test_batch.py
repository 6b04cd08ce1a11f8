"""How a unit becomes tensors: its rows in order, as many at a time as its shape has, padded where that matters."""

import pytest
import torch

from pressrun.cluster.actors.batch import batches_of
from pressrun.cluster.protocol.unit import Item, Reference, Unit
from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.request import RenderRequest

SHAPE = Shape(64, 64, 1, 1.0, 0, 8, True)
REFERENCE = Reference("mug.png", "f00d", (4, 4))


@pytest.mark.parametrize(
    ("device", "expected"),
    [("cpu", [[0, 1], [2, 3], [4]]), ("meta", [[0, 1], [2, 3], [4, 4]])],
)
def test_a_unit_of_several_batches_is_computed_batch_by_batch(device: str, expected: list[list[int]]) -> None:
    items = tuple(Item(n, RenderRequest(str(n), "p", 64, 64, 1, 1.0, n), "", "", "", (REFERENCE,)) for n in range(5))
    tensors = [torch.tensor(number) for number in range(11)]
    batches = batches_of(Unit(0, SHAPE, items, batch=2), tensors, device)
    assert [[request.seed for request in batch.requests] for batch in batches] == expected
    assert [[tensor.item() for tensor in batch.embeddings] for batch in batches] == expected
    own = [[row[0][0].item() for row in batch.references] for batch in batches]
    assert own == [[5 + row for row in rows] for rows in expected]
    assert {batch.negative_embedding.item() for batch in batches} == {10}
