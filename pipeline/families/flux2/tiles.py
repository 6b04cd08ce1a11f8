"""Decoding a large picture tile by tile: memory that a tile bounds, and the pixels of the picture decoded whole.

What stands in the way of tiles is the decoder's group norms, which take mean and variance over the whole picture.
diffusers' own tiling takes them over each tile and blends the seams: measured with mini at 512 x 512 in tiles of 256,
some values are 111/255 away from the picture decoded whole, with smaller tiles more. Here every norm gets the whole
picture's statistics: they are gathered over all tiles, norm by norm, each in a pass of its own through what lies before
it, and the tiles overlap by as much as the convolutions see. What is left is rounding: 7e-7 of a range of 2, hence now
and then a value that is 1/255 away. It takes three to five times the arithmetic of decoding whole, which at the sizes
where it is done is still little beside denoising.

The decoder's first, small level runs whole. Each further one is a stage: the step up to it and its blocks. Between two
stages stands the picture in one tensor, before the step up, hence a quarter of what it would be behind it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from diffusers import AutoencoderKLFlux2
from torch.overrides import TorchFunctionMode

TILE = 512
"""Side of a tile behind its stage's step up, overlap not counted."""


@dataclass
class Moments:
    """Mean and variance of each group (G,), gathered tile by tile (Chan et al., 1979), in double precision."""

    count: int = 0
    mean: torch.Tensor | None = None
    squares: torch.Tensor | None = None

    def add(self, hidden: torch.Tensor, groups: int) -> None:
        """Take in a tile (1, C, h, w)."""
        values = hidden.reshape(groups, -1)
        variance, mean = torch.var_mean(values.float(), dim=1, correction=0)  # (G,)
        mean, squares, count = mean.double(), variance.double() * values.shape[1], values.shape[1]
        if self.mean is None or self.squares is None:
            self.count, self.mean, self.squares = count, mean, squares
            return
        total, apart = self.count + count, mean - self.mean
        self.squares = self.squares + squares + apart**2 * (self.count * count / total)
        self.mean = self.mean + apart * (count / total)
        self.count = total

    def normalise(self, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
        """`torch.nn.functional.group_norm` of a tile (1, C, h, w) with these statistics."""
        assert self.mean is not None and self.squares is not None
        each = len(weight) // len(self.mean)
        mean = self.mean.repeat_interleave(each)  # (C,)
        scale = weight * torch.rsqrt(self.squares / self.count + eps).repeat_interleave(each)
        shift = bias - mean * scale
        shift, scale = (factor.float().view(1, -1, 1, 1) for factor in (shift, scale))
        return torch.addcmul(shift, scale, hidden.float()).to(hidden.dtype)


@dataclass(frozen=True)
class Tile:
    """Where a tile lies before its stage's step up: its `inner` part, with its overlap the `outer` one, in (rows,
    columns)."""

    inner: tuple[range, range]
    outer: tuple[range, range]

    def cut(self, hidden: torch.Tensor) -> torch.Tensor:
        """What enters the stage."""
        rows, columns = self.outer
        return hidden[..., rows.start : rows.stop, columns.start : columns.stop]

    def core(self, hidden: torch.Tensor) -> torch.Tensor:
        """The inner part of what the stage makes of it, at twice the size."""
        (top, left), (height, width) = zip(
            *(((i.start - o.start) * 2, len(i) * 2) for i, o in zip(self.inner, self.outer, strict=True)), strict=True
        )
        return hidden[..., top : top + height, left : left + width]


class _Gathered(Exception):
    """A norm has what it wanted of a tile."""


class PictureNorms(TorchFunctionMode):
    """Inside it group norms, in the order in which they are called for a tile, take the statistics in `known`; the
    first without any adds the tile to `gathering` and ends it."""

    def __init__(self, tile: Tile, known: Sequence[Moments], gathering: Moments) -> None:
        self._tile, self._known, self._gathering = tile, iter(known), gathering
        super().__init__()

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.nn.functional.group_norm:
            return func(*args, **(kwargs or {}))
        hidden, groups = args
        moments = next(self._known, None)
        if moments is None:
            self._gathering.add(self._tile.core(hidden), groups)
            raise _Gathered
        return moments.normalise(hidden, **(kwargs or {}))


def decode_in_tiles(network: AutoencoderKLFlux2, latents: torch.Tensor, side: int = TILE) -> torch.Tensor:
    """What `network.decode` makes of latents (1, C, h, w): pixels (1, 3, 8 h, 8 w)."""
    decoder = network.decoder
    hidden = latents if network.post_quant_conv is None else network.post_quant_conv(latents)
    hidden = decoder.mid_block(decoder.conv_in(hidden))
    for resnet in decoder.up_blocks[0].resnets:
        hidden = resnet(hidden, None)
    for before, block in pairwise(decoder.up_blocks):
        out = () if block.upsamplers else (decoder.conv_norm_out, decoder.conv_act, decoder.conv_out)
        hidden = _stage([*before.upsamplers, *block.resnets, *out], hidden, side)
    return hidden


def _stage(modules: Sequence[torch.nn.Module], hidden: torch.Tensor, side: int) -> torch.Tensor:
    """`modules`, of which the first doubles the size, over all tiles of `hidden` (1, C, h, w): (1, C', 2 h, 2 w)."""
    parts = [part for module in modules for part in module.modules()]
    convolutions = sum(isinstance(part, torch.nn.Conv2d) and part.kernel_size == (3, 3) for part in parts)
    norms = sum(isinstance(part, torch.nn.GroupNorm) for part in parts)
    tiles = list(_tiles(hidden.shape[-2], hidden.shape[-1], side // 2, -(-convolutions // 2)))
    known: list[Moments] = []
    while len(known) < norms:
        gathering = Moments()
        for tile in tiles:
            try:
                _through(modules, tile, hidden, PictureNorms(tile, known, gathering))
            except _Gathered:
                continue
        known.append(gathering)
    whole: torch.Tensor | None = None
    for tile in tiles:
        part = tile.core(_through(modules, tile, hidden, PictureNorms(tile, known, Moments())))
        if whole is None:
            whole = part.new_empty(*part.shape[:2], 2 * hidden.shape[-2], 2 * hidden.shape[-1])
        rows, columns = ([2 * line.start, 2 * line.stop] for line in tile.inner)
        whole[..., slice(*rows), slice(*columns)] = part
    assert whole is not None, "a picture has at least one tile"
    return whole


def _through(modules: Sequence[torch.nn.Module], tile: Tile, hidden: torch.Tensor, norms: PictureNorms) -> torch.Tensor:
    part = tile.cut(hidden)
    with norms:
        for module in modules:
            part = module(part, None) if hasattr(module, "norm1") else module(part)
    return part


def _tiles(height: int, width: int, side: int, overlap: int) -> Iterator[Tile]:
    """Tiles of about equal size, at most `side` long."""

    def lines(length: int) -> list[range]:
        count = -(-length // side)
        ends = [number * length // count for number in range(count + 1)]
        return [range(start, stop) for start, stop in pairwise(ends)]

    def wider(line: range, length: int) -> range:
        return range(max(0, line.start - overlap), min(length, line.stop + overlap))

    for rows in lines(height):
        for columns in lines(width):
            yield Tile((rows, columns), (wider(rows, height), wider(columns, width)))
