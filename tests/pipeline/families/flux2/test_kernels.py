"""Which kernels a GPU would take: chosen by the device, compiled once for a shape, refused in a sentence."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch.nn.attention import SDPBackend

from pressrun.cluster.actors.actors import device_name
from pressrun.cluster.protocol.spec import ModelSpec
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.families.flux2.kernels import attention_order, compile_blocks
from pressrun.pipeline.families.flux2.transformer import Positions, StepConditioning, Transformer
from pressrun.pipeline.models.catalogue import Model


@pytest.fixture(autouse=True)
def nothing_compiled() -> Any:
    """A compiler without a memory of other tests, and without our settings afterwards."""
    torch.compiler.reset()
    deterministic, limit = torch._inductor.config.deterministic, torch._dynamo.config.recompile_limit
    yield
    torch._inductor.config.deterministic, torch._dynamo.config.recompile_limit = deterministic, limit
    torch.compiler.reset()


def without_memory(transformer: Transformer) -> Transformer:
    """On PyTorch's device "meta", where blocks take the path that they take on a GPU."""
    transformer.network.to("meta")
    return transformer


def passed(transformer: Transformer, rows: int, grid: tuple[int, int]) -> None:
    """One pass of a unit on the device without memory, along the path that a GPU takes."""
    width = transformer.network.config.joint_attention_dim
    tokens = torch.zeros(rows, grid[0] * grid[1], transformer.channels, dtype=torch.bfloat16, device="meta")
    words = torch.zeros(rows, 6, width, dtype=torch.bfloat16, device="meta")
    transformer.run((tokens, words), StepConditioning(Positions(6, grid, ((),) * rows), 0.5, None))


def test_a_shape_is_compiled_once_for_each_kind_of_block(small_models: dict[str, Model]) -> None:
    transformer = without_memory(Transformer.load(small_models["klein"], "bf16"))
    counter = CompileCounter()
    compile_blocks(transformer.network, counter)
    compiled = []
    for rows, grid in ((2, (4, 4)), (2, (4, 4)), (2, (4, 6)), (2, (4, 4)), (1, (4, 6))):
        passed(transformer, rows, grid)
        compiled.append(counter.frame_count)
    assert compiled == [2, 2, 4, 4, 6]  # blocks of two streams and of one; the same whichever shapes came before


@pytest.mark.parametrize("blocks", [None, range(1), range(1, 3)], ids=["whole", "first shard", "last shard"])
def test_every_shard_tries_what_it_compiles(blocks: range | None, small_models: dict[str, Model]) -> None:
    transformer = without_memory(Transformer.load(small_models["dev"], "fp32", blocks=blocks))
    counter = CompileCounter()
    transformer.compile(counter)
    assert counter.frame_count == (2 if blocks is None else 1)


def test_what_cannot_be_compiled_is_refused_in_a_sentence(small_models: dict[str, Model]) -> None:
    def broken(graph: Any, inputs: Any) -> Callable:
        raise RuntimeError("no C compiler\nfound")

    with pytest.raises(JobError, match=r"Nothing can be compiled.*no C compiler found.*Leave out `compile`\."):
        without_memory(Transformer.load(small_models["klein"], "fp32")).compile(broken)


@pytest.mark.parametrize(
    ("capability", "first"),
    [
        pytest.param((8, 0), None, id="A100"),
        pytest.param((8, 9), None, id="RTX 4090"),
        pytest.param((9, 0), SDPBackend.CUDNN_ATTENTION, id="H100"),
        pytest.param((10, 0), SDPBackend.CUDNN_ATTENTION, id="B200"),
        pytest.param((12, 0), None, id="RTX 5090"),
    ],
)
def test_attention_is_chosen_by_the_device(capability: tuple[int, int], first: SDPBackend | None) -> None:
    order = attention_order(capability)
    assert (order[0] if order else None) == first
    assert order is None or order[-1] == SDPBackend.MATH  # one that can do everything comes last


def test_results_name_a_cpu_as_before_since_nothing_is_compiled_for_it() -> None:
    assert device_name(ModelSpec("mini", "", "fp32", compile=True)) == device_name(ModelSpec("mini", "", "fp32"))
    assert ModelSpec("mini", "", "fp32", device="cuda", compile=True).compiled
