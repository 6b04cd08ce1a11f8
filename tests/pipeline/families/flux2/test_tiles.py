"""Large pictures are decoded tile by tile: the same picture, in memory that a tile bounds."""

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from pressrun.pipeline.families.flux2 import autoencoder
from pressrun.pipeline.families.flux2.autoencoder import Autoencoder
from pressrun.pipeline.families.flux2.tiles import decode_in_tiles
from pressrun.pipeline.models.catalogue import find_model
from pressrun.pipeline.request import RenderRequest, render_key


@pytest.fixture(scope="module")
def mini() -> Autoencoder:
    return Autoencoder.load(find_model("mini"), "fp32")


@pytest.fixture(scope="module")
def latents() -> torch.Tensor:
    """Of a picture 208 pixels wide and 144 high, whose halves are of different brightness."""
    drawn = torch.randn((1, 32, 18, 26), generator=torch.Generator().manual_seed(1))
    drawn[..., :13] = drawn[..., :13] * 2 + 1
    return drawn


@torch.no_grad()
def test_tiles_make_the_picture_that_is_decoded_whole(mini: Autoencoder, latents: torch.Tensor) -> None:
    whole = mini.network.decode(latents, return_dict=False)[0]
    assert torch.equal(whole, mini.network.decode(latents, return_dict=False)[0])
    for side in (48, 64, 112):
        torch.testing.assert_close(decode_in_tiles(mini.network, latents, side), whole, rtol=0, atol=2e-5)


@torch.no_grad()
def test_tiles_that_do_not_overlap_would_be_seen(mini: Autoencoder, latents: torch.Tensor, monkeypatch) -> None:
    from pressrun.pipeline.families.flux2 import tiles

    real = tiles._tiles
    monkeypatch.setattr(tiles, "_tiles", lambda height, width, side, overlap: real(height, width, side, 0))
    whole = mini.network.decode(latents, return_dict=False)[0]
    assert (decode_in_tiles(mini.network, latents, 64) - whole).abs().max() > 2 * 2 / 255


class Largest(TorchFunctionMode):
    """Notes the largest result of any convolution: numbers in it by channels."""

    pixels = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func is torch.nn.functional.conv2d or func is torch.conv2d:
            self.pixels = max(self.pixels, result.shape[-1] * result.shape[-2])
        return result


@torch.no_grad()
def test_what_is_computed_at_once_does_not_grow_with_the_picture(mini: Autoencoder) -> None:
    seen = []
    for sides in ((24, 24), (48, 40)):
        with Largest() as largest:
            decode_in_tiles(mini.network, torch.zeros((1, 32, *sides)), 64)
        seen.append(largest.pixels)
    assert seen[0] == seen[1] <= (64 + 2 * 12) ** 2


def test_the_size_alone_decides_how_a_picture_is_decoded(mini: Autoencoder, monkeypatch) -> None:
    monkeypatch.setattr(autoencoder, "WHOLE_PIXELS", 64 * 64)
    monkeypatch.setattr(autoencoder, "decode_in_tiles", lambda network, latents: torch.ones((1, 3, 80, 64)))
    tokens = torch.zeros((20, 128))
    assert np.all(mini.decode(tokens, 80, 64) == 255)
    assert not np.all(mini.decode(tokens[:16], 64, 64) == 255)


def test_pictures_that_are_decoded_whole_have_the_keys_that_they_always_had() -> None:
    request = RenderRequest("a", "p", 1024, 1024, 4, 1.0, 1)
    assert (
        render_key(request, (), "digest", "fp32") == "ded082a5a49e1bbec4a5634e411743e9860be53b752488617eb03fd6a11f05a2"
    )
