"""Between a unit's first step and its last nothing waits for the device and nothing crosses to it.

The device is "meta", on which nothing is computed: asking it for a value is an error, and what was made on the CPU
shows by its device. The path through the transformer is the one that a GPU takes.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pressrun.pipeline.families.flux2.sampling import Reference, Sampling, Schedule
from pressrun.pipeline.families.flux2.transformer import Transformer
from pressrun.pipeline.models.catalogue import Model, find_model
from pressrun.pipeline.request import RenderRequest

WAITS = {"_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "lift_fresh", "_pin_memory"}
"""Operations whose answer, or whose argument, is a value on the host."""

MADE_ON_THE_HOST = {"tensor", "as_tensor", "asarray", "scalar_tensor", "from_numpy", "frombuffer"}
"""What makes a tensor of the host's values; for any device but "meta" it would be copied there."""

LAYOUTS = ([(4, 4)], [(2, 8)])
"""Each row's references: as many tokens, in another layout."""


class Watched(TorchDispatchMode):
    """Notes what is dispatched inside it: `operations` by name, and the `devices` of all that goes in and comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: set[str] = set()
        self.devices: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = func(*args, **(kwargs or {}))
        self.operations.add(func.overloadpacket.__name__)
        tensors = [leaf for leaf in tree_leaves((args, kwargs, answer)) if isinstance(leaf, torch.Tensor)]
        self.devices |= {tensor.device.type for tensor in tensors}
        return answer


class Called(TorchFunctionMode):
    """Notes the names of PyTorch's functions that are called inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("family", ["mini", "klein-base", "dev"])
def test_no_step_waits_for_the_device_or_brings_anything_there(
    family: str, small_models: dict[str, Model], request_of: Callable[..., RenderRequest]
) -> None:
    model = find_model("mini") if family == "mini" else small_models[family]
    transformer = Transformer.load(model, "bf16")
    transformer.network.to("meta")
    width = transformer.network.config.joint_attention_dim
    words = [torch.zeros(10, width, dtype=torch.bfloat16) for _ in LAYOUTS]
    references: list[list[Reference]] = [
        [(torch.zeros(rows * columns, transformer.channels, dtype=torch.bfloat16), (rows, columns))]
        for [(rows, columns)] in LAYOUTS
    ]
    requests = [request_of(seed=1, steps=3), request_of(seed=2, steps=3)]
    negative = words[0] if family == "klein-base" else None
    sampling = Sampling(transformer, Schedule.load(model), requests, words, references, negative)
    with Watched() as watched, Called() as called:
        while (terms := sampling.terms()) is not None:
            sampling.advance([transformer.run(stream, terms) for stream in sampling.streams()])
    assert "scaled_dot_product_attention" in called.names and "mm" in watched.operations
    assert not watched.operations & WAITS
    assert not called.names & MADE_ON_THE_HOST
    assert watched.devices == {"meta"}
