"""Weights in eight bits: how near they are, which products a device has for them, what happens without torchao."""

from typing import Any

import pytest
import torch

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.families.flux2.renderer import Renderer
from pressrun.pipeline.families.flux2.transformer import Transformer
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.models.precision import SCALE_BYTES
from pressrun.pipeline.models.quantisation import _recipe, has_fp8, library, quantise, unpacked


@pytest.fixture
def weight() -> torch.Tensor:
    """A matrix whose rows are of very different sizes."""
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(64, 512, generator=generator) * torch.logspace(-3, 1, 64)[:, None]).bfloat16()


@pytest.mark.parametrize(("precision", "error"), [("int8", 0.012), ("fp8", 0.03)])
def test_each_row_keeps_its_numbers_whatever_the_others_are(precision: str, error: float, weight: torch.Tensor) -> None:
    near = unpacked(quantise(weight, precision))
    assert near.dtype == torch.bfloat16
    off = (near.float() - weight.float()).norm(dim=1) / weight.float().norm(dim=1)
    assert 0 < off.max() < error


@pytest.mark.parametrize("precision", SCALE_BYTES)
def test_a_part_of_the_rows_gives_a_part_of_the_matrix(precision: str, weight: torch.Tensor) -> None:
    """What a matrix becomes depends on nothing around it: the ground of equal pixels for every cut into shards."""
    assert torch.equal(unpacked(quantise(weight, precision))[10:20], unpacked(quantise(weight[10:20], precision)))


@pytest.mark.parametrize("precision", SCALE_BYTES)
def test_a_single_row_is_multiplied_like_the_rows_of_a_batch(precision: str, small_models: dict[str, Model]) -> None:
    """The encoder takes torchao's own product and one prompt at a time: the same one twice is the same embedding."""
    renderer = Renderer.load(small_models["dev"], precision, stages=["encode"])
    again = Renderer.load(small_models["dev"], precision, stages=["encode"])
    assert torch.equal(renderer.encode_prompt("a red mug"), again.encode_prompt("a red mug"))


@pytest.mark.parametrize("precision", SCALE_BYTES)
def test_blocks_and_layers_are_in_eight_bits_and_nothing_else(precision: str, small_models: dict[str, Model]) -> None:
    renderer = Renderer.load(small_models["dev"], precision)
    assert renderer.transformer is not None and renderer.text_encoder is not None and renderer.autoencoder is not None
    parts = (renderer.transformer.network, renderer.text_encoder.network, renderer.autoencoder.network)
    names = [{name for name, value in part.named_parameters() if unpacked(value) is not value} for part in parts]
    assert "single_transformer_blocks.0.attn.to_qkv_mlp_proj.weight" in names[0]
    assert not [name for name in names[0] if "transformer_blocks" not in name or "norm" in name]
    assert len(names[1]) == 3 * 7 and not names[2]


def test_a_device_with_fp8_units_multiplies_in_fp8_and_int8_stays_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda:0")
    for capability, fast in (((8, 0), False), ((8, 9), True), ((9, 0), True), ((12, 0), True)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, capability=capability: capability)
        assert has_fp8(cuda) is fast
    assert not has_fp8(torch.device("cpu"))
    names = [type(_recipe(*how)).__name__ for how in (("fp8", True), ("fp8", False), ("int8", True))]
    assert names == ["Float8DynamicActivationFloat8WeightConfig", "Float8WeightOnlyConfig", "Int8WeightOnlyConfig"]


def test_products_of_fp8_units_are_near_and_rows_stay_apart(
    weight: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fast path on a CPU, whose library multiplies fp8 as well, slowly: the same calls that a GPU gets."""
    monkeypatch.setattr("pressrun.pipeline.models.quantisation.has_fp8", lambda _: True)
    monkeypatch.setattr("torchao.quantization.quant_api._check_hardware_support", lambda _: None)
    fast = quantise(weight, "fp8")
    rows = torch.randn(3, 16, 512, generator=torch.Generator().manual_seed(1)).bfloat16()
    rows[2] *= 1000
    exact = torch.nn.functional.linear(rows.float(), weight.float())
    found = torch.nn.functional.linear(rows, fast).float()
    for row in range(3):
        assert (found[row] - exact[row]).norm() < 0.05 * exact[row].norm()
        assert torch.equal(found[row], torch.nn.functional.linear(rows[row : row + 1], fast).float()[0])


@pytest.mark.parametrize("precision", SCALE_BYTES)
def test_without_torchao_the_sentence_says_what_to_install(
    precision: str, small_models: dict[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(name: str, *_: Any) -> None:
        assert name == "torchao"

    monkeypatch.setattr("pressrun.pipeline.models.precision.find_spec", found)
    for load in (lambda: Transformer.load(small_models["klein"], precision), lambda: library(precision)):
        with pytest.raises(
            JobError, match=rf"`precision` {precision} needs torchao.*pip install 'pressrun\[quantised\]'"
        ):
            load()
    assert library("bf16") == ""
