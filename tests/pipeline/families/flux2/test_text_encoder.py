"""The text encoder reads no more of a language model than reaches the embeddings, which stay the same bits."""

from dataclasses import replace

import pytest
import torch

from pressrun.pipeline.families.flux2.text_encoder import TextEncoder
from pressrun.pipeline.models.catalogue import Model


@pytest.mark.parametrize("family", ["klein", "dev"])
def test_layers_behind_the_last_hidden_state_are_not_read_and_change_nothing(
    family: str, small_models: dict[str, Model]
) -> None:
    whole = replace(small_models[family], text_layers=(1, 2, 3))
    part = replace(small_models[family], text_layers=(1, 2, 2))
    all_three = TextEncoder.load(whole, "fp32")
    two = TextEncoder.load(part, "fp32")
    layers, left = (
        sum("layers." in name and "q_proj" in name for name in e.network.state_dict()) for e in (all_three, two)
    )
    assert (layers, left) == (3, 2)
    width = all_three.encode("a mug").shape[1] // 3
    expected = all_three.encode("a mug")[:, [*range(2 * width), *range(width, 2 * width)]]
    assert torch.equal(two.encode("a mug"), expected)


@pytest.mark.parametrize("family", ["klein", "dev"])
def test_nothing_is_kept_that_only_speaks_or_sees(family: str, small_models: dict[str, Model]) -> None:
    names = TextEncoder.load(small_models[family], "fp32").network.state_dict()
    assert not [name for name in names if "lm_head" in name or "vision" in name or "projector" in name]
