"""A transformer in shards: wherever it is cut, the bits are those of the whole; a shard holds its own blocks only."""

from itertools import combinations, pairwise

import pytest
import torch
from safetensors.torch import save_file

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.families.flux2.footprint import cut
from pressrun.pipeline.families.flux2.transformer import (
    BatchInvariantLinear,
    HiddenStates,
    Positions,
    StepConditioning,
    Transformer,
)
from pressrun.pipeline.models.catalogue import Model, find_model
from pressrun.pipeline.models.precision import PRECISIONS

NONE, SOME = ((), ()), (((4, 4),), ((2, 8),))
"""Each row's references: as many tokens, in another layout."""


def chain(model: Model, cuts: tuple[int, ...], precision: str) -> list[Transformer]:
    """The shards of a model that is cut before these blocks."""
    count = len(Transformer.load(model, precision).blocks)
    return [Transformer.load(model, precision, blocks=range(*ends)) for ends in pairwise((0, *cuts, count))]


def run(shards: list[Transformer], references: tuple[tuple[tuple[int, int], ...], ...]) -> torch.Tensor:
    """The velocity of a unit of two rows, its stream handed from shard to shard."""
    config, dtype = (
        shards[0].network.config,
        shards[0].network.time_guidance_embed.timestep_embedder.linear_1.weight.dtype,
    )
    generator = torch.Generator().manual_seed(3)
    extra = sum(rows * columns for rows, columns in references[0])
    stream: HiddenStates = (
        torch.randn(2, 24 + extra, config.in_channels, generator=generator).to(dtype),
        torch.randn(2, 10, config.joint_attention_dim, generator=generator).to(dtype),
    )
    terms = StepConditioning(Positions(10, (4, 6), references), 0.7, 4.0 if shards[0].takes_guidance else None)
    for shard in shards:
        stream = shard.run(stream, terms)
    [velocity] = stream
    return velocity


@pytest.mark.parametrize(
    ("precision", "references"),
    [
        pytest.param("fp32", NONE, id="fp32"),
        pytest.param("bf16", NONE, id="bf16"),
        *(pytest.param(precision, SOME, id=f"{precision} with references") for precision in PRECISIONS),
    ],
)
@pytest.mark.parametrize("family", ["mini", "klein", "dev"])
def test_every_cut_gives_the_bits_of_the_whole(
    family: str,
    precision: str,
    references: tuple[tuple[tuple[int, int], ...], ...],
    small_models: dict[str, Model],
) -> None:
    model = find_model("mini") if family == "mini" else small_models[family]
    whole = run([Transformer.load(model, precision)], references)
    blocks = len(Transformer.load(model, precision).blocks)
    single = {(number,): number for number in range(1, blocks)}
    several = [cuts for count in (2, 3) for cuts in combinations(range(1, blocks), count)]
    for cuts in [*single, *several[:: max(1, len(several) // 6)]]:
        assert torch.equal(run(chain(model, cuts, precision), references), whole), cuts


def test_a_shard_reads_its_own_blocks_and_the_modulations_only() -> None:
    whole = Transformer.load(find_model("mini"), "fp32")
    names = [set(shard.network.state_dict()) for shard in chain(find_model("mini"), (2, 4), "fp32")]
    every = names[0] & names[1] & names[2]
    assert all(name.startswith(("time_guidance_embed", "double_stream", "single_stream")) for name in every)
    assert names[0] | names[1] | names[2] == set(whole.network.state_dict())
    blocks = [{name for name in some if "transformer_blocks" in name} for some in names]
    assert not blocks[0] & blocks[1] and not blocks[1] & blocks[2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("width", [128, 192, 384, 576, 768, 1024, 3072])
@pytest.mark.parametrize("lines", [1, 7, 48, 64, 112])
def test_a_row_has_the_bits_that_it_has_alone_whatever_the_sizes(dtype: torch.dtype, width: int, lines: int) -> None:
    for rows in (2, 5, 8):
        for seed in range(4):
            generator = torch.Generator().manual_seed(seed)
            batch = torch.randn(rows, lines, width, generator=generator).to(dtype)
            weight = torch.randn(192, width, generator=generator).to(dtype)
            alone = torch.cat([torch.nn.functional.linear(row, weight) for row in batch.split(1)])
            with BatchInvariantLinear():
                assert torch.equal(torch.nn.functional.linear(batch, weight), alone), (rows, seed)


@pytest.mark.parametrize(
    ("shards", "ranges"),
    [
        pytest.param(1, [range(0, 7)], id="whole"),
        pytest.param(2, [range(0, 3), range(3, 7)], id="two"),
        pytest.param(4, [range(0, 1), range(1, 3), range(3, 5), range(5, 7)], id="four"),
    ],
)
def test_blocks_are_cut_evenly(shards: int, ranges: list[range]) -> None:
    assert cut(7, shards) == ranges


def test_more_shards_than_blocks_are_no_cut() -> None:
    with pytest.raises(ValueError, match="7 blocks cannot be cut into 8"):
        cut(7, 8)


def test_weights_that_lack_a_block_are_a_sentence(small_models: dict[str, Model], tmp_path) -> None:  # type: ignore[no-untyped-def]
    from dataclasses import replace

    part = small_models["klein"].path / "transformer"
    (tmp_path / "transformer").mkdir()
    (tmp_path / "transformer/config.json").write_text((part / "config.json").read_text())
    save_file({"x_embedder.weight": torch.zeros(2, 2)}, tmp_path / "transformer/diffusion_pytorch_model.safetensors")
    with pytest.raises(JobError, match="cannot be loaded as Flux2Transformer2DModel"):
        Transformer.load(replace(small_models["klein"], folder=tmp_path), "fp32")
