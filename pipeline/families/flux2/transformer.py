"""The transformer: from noisy latents, words and references, the velocity that leads towards the picture.

The blocks are diffusers' own; the path through them is ours, for two reasons. Rows of one unit may carry different
references, hence different rotary positions, where diffusers' `forward` knows one layout for the whole batch. And a
model too large for one GPU is cut between blocks: each shard holds a range of them and reads nothing else.
"""

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import torch
from diffusers import Flux2Transformer2DModel
from torch.overrides import TorchFunctionMode

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.families.flux2.kernels import best_attention, compile_blocks
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.models.checkpoint import load_slice
from pressrun.pipeline.models.quantisation import unpacked
from pressrun.pipeline.request import Grid

TIME_SCALE = 10
"""Rotary time of reference k is 10 + 10 k, of the picture 0: `Flux2Pipeline._prepare_image_ids`."""


BLOCKS = ("transformer_blocks.", "single_transformer_blocks.")
"""What the names of weights in its blocks begin with."""

ROTARY_KEPT = 8
"""Units whose rotary factors are kept: as many as are in flight on one shard."""


class PerSampleRope:
    """Rotary factors that differ by row, in the place where diffusers expects one table (S, D) for all rows.

    `apply_rotary_emb` takes a table as `table[None, :, None, :]` to broadcast it over (B, S, heads, D). This answers
    with (B or 1, S, 1, D); the products that follow are element by element, so the bits are those of single runs.
    """

    def __init__(self, tables: torch.Tensor) -> None:
        self.tables = tables  # (B or 1, S, D)

    def __getitem__(self, _index: tuple[slice | None, ...]) -> torch.Tensor:
        return self.tables.unsqueeze(2)  # (B or 1, S, 1, D)


Rotary = tuple[PerSampleRope, PerSampleRope]
"""Cosines and sines of the positions of a unit's whole sequence: text, picture, references."""


WORTH_TRYING = 1 << 24
"""Numbers in a batch up to which one product may beat its rows' own; trying larger ones would cost memory."""


class BatchInvariantLinear(TorchFunctionMode):
    """Inside it, linear layers give each row of a batch (B, S, D) the bits that it has alone.

    For the matrix libraries of a CPU a batch is one matrix of B * S lines, and the number of lines decides where they
    cut the sum over D: measured with torch 2.13 from D = 768 on, in bfloat16 line by line differently. Where a batch's
    product was found to be that of its rows it is taken, elsewhere rows are multiplied one by one. Attention, norms
    and everything else keep rows apart by themselves. A matrix of eight bits is unpacked once for all rows.
    """

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.linear:
            args = (args[0], unpacked(args[1]), *args[2:])
        if func is torch.nn.functional.linear and args[0].ndim == 3 and len(args[0]) > 1:
            batch, weight = args[:2]
            tried = batch.numel() <= WORTH_TRYING
            if not (tried and _rows_keep(*batch.shape, len(weight), batch.dtype, torch.get_num_threads())):
                return torch.cat([func(row, *args[1:], **(kwargs or {})) for row in batch.split(1)])
        return func(*args, **(kwargs or {}))


@functools.cache
def _rows_keep(rows: int, lines: int, width: int, outputs: int, dtype: torch.dtype, threads: int) -> bool:
    """Whether a linear layer gives a batch (rows, lines, width) the bits of its rows, on this machine.

    In what order a sum is taken depends on sizes alone, never on values. So it is tried once with numbers whose sums
    are nothing but their order: every product stands in them twice, with either sign, at places drawn at random. What
    is left of such a sum is its rounding errors, all of which another order changes.
    """
    generator = torch.Generator().manual_seed(0)
    half = width // 2
    places = torch.randperm(half, generator=generator)
    values = torch.randn((rows, lines, half), generator=generator).to(dtype)
    factors = torch.randn((outputs, half), generator=generator).to(dtype)
    batch = torch.cat([values, -values[..., places], torch.zeros(rows, lines, width % 2, dtype=dtype)], dim=-1)
    weight = torch.cat([factors, factors[:, places], torch.zeros(outputs, width % 2, dtype=dtype)], dim=-1)
    linear = torch.nn.functional.linear
    return torch.equal(linear(batch, weight), torch.cat([linear(row, weight) for row in batch.split(1)]))


HiddenStates = tuple[torch.Tensor, ...]
"""What enters, leaves or crosses a cut of the transformer: see `Transformer.run`."""


@dataclass(frozen=True)
class Positions:
    """Where a unit's tokens stand: `text_length` words, a picture of `grid`, and each row's reference grids."""

    text_length: int
    grid: Grid
    references: tuple[tuple[Grid, ...], ...]


@dataclass(frozen=True)
class StepConditioning:
    """What one pass of a unit tells every shard besides the stream. Small: numbers only.

    `timestep` runs from 1 to 0; `guidance` is None where it is no input of the model.
    """

    positions: Positions
    timestep: float
    guidance: float | None


class Transformer:
    """A model's transformer or one shard of it: the blocks of a range, double-stream ones counted first.

    Every row's bits are those of diffusers' pipeline with that row alone, wherever the transformer is cut.
    """

    def __init__(self, network: Flux2Transformer2DModel, blocks: range | None = None) -> None:
        self.network = network
        self.doubles: int = network.config.num_layers
        count = self.doubles + network.config.num_single_layers
        self.blocks = range(count) if blocks is None else blocks
        self.first, self.last = self.blocks.start == 0, self.blocks.stop == count
        self._rotary: dict[Positions, Rotary] = {}
        self._rotary_lock = threading.Lock()  # a unit is prepared while another one is computed

    @classmethod
    def load(cls, model: Model, precision: str, device: str = "cpu", blocks: range | None = None) -> Self:
        """Read the weights of `blocks` (all of them, if None) from `model`'s folder, and what every shard needs:
        modulations, and at the two ends the ways in and out.

        Raises JobError where they cannot be loaded, or not in that precision.
        """
        what = (Flux2Transformer2DModel, model, "transformer", precision, device)
        return cls(load_slice(*what, _part_of(blocks), BLOCKS), blocks)

    @property
    def device(self) -> torch.device:
        return torch.device(self.network.double_stream_modulation_img.linear.weight.device)

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.network.double_stream_modulation_img.linear.weight.dtype
        return dtype

    @property
    def channels(self) -> int:
        """Channels C of a latent token."""
        return int(self.network.config.in_channels)

    @property
    def takes_guidance(self) -> bool:
        """Whether guidance is an input ([dev]) instead of a second pass ([klein] base)."""
        return bool(self.network.config.guidance_embeds)

    def rotary(self, positions: Positions) -> Rotary:
        """Rotary factors of a unit. Positions are (time, row, column, place in the text).

        Every layout is computed once, however many rows have it, and those of the last units are kept. Positions are
        counted on the device itself, so that nothing has to be brought there.
        """
        with self._rotary_lock:
            return self._known_rotary(positions)

    def _known_rotary(self, positions: Positions) -> Rotary:
        if positions not in self._rotary:
            while len(self._rotary) >= ROTARY_KEPT:
                del self._rotary[next(iter(self._rotary))]
            self._rotary[positions] = self._computed_rotary(positions)
        return self._rotary[positions]

    def _computed_rotary(self, positions: Positions) -> Rotary:
        start = range(1)
        text = self._positions(start, start, start, range(positions.text_length))
        text_cos, text_sin = self.network.pos_embed(text)  # (L, D) each
        layouts = {}
        for layout in set(positions.references):
            pictures = []
            for number, (height, width) in enumerate((positions.grid, *layout)):
                time = number * TIME_SCALE
                pictures.append(self._positions(range(time, time + 1), range(height), range(width), start))
            cos, sin = self.network.pos_embed(torch.cat(pictures))  # (N, D) each
            layouts[layout] = torch.cat([text_cos, cos]), torch.cat([text_sin, sin])  # (S, D) each
        rows = list(layouts.values()) if len(layouts) == 1 else [layouts[row] for row in positions.references]
        cosines, sines = zip(*rows, strict=True)
        return PerSampleRope(torch.stack(cosines)), PerSampleRope(torch.stack(sines))

    def _positions(self, *axes: range) -> torch.Tensor:
        """Positions (tokens, 4) of what these axes span, the last one fastest."""
        return torch.cartesian_prod(*(torch.arange(axis.start, axis.stop, device=self.device) for axis in axes))

    @torch.no_grad()
    def run(self, stream: HiddenStates, terms: StepConditioning) -> HiddenStates:
        """Take a unit through this transformer's blocks.

        What enters the first shard is `(tokens, text)`: (B, N, C), the picture's tokens and then the references', and
        (B, L, D). Between double-stream blocks `(picture, words)` crosses a cut: (B, N, width) and (B, L, width);
        behind the last of them one tensor (B, L + N, width) of both. The last shard gives `(velocity,)`: (B, N, C).
        One timestep and one guidance broadcast over the batch. That is part of what keeps a row's bits independent of
        its neighbours; on a CPU, `BatchInvariantLinear` is the other.
        Source: `Flux2Transformer2DModel.forward` in diffusers 0.42.
        """
        with BatchInvariantLinear() if self.device.type == "cpu" else best_attention(self.device):
            return self._run(stream, terms)

    def compile(self, backend: str | Callable[..., Any] = "inductor") -> None:
        """Have blocks compiled from now on, for each shape in its first pass (see `pipeline.families.flux2.kernels`),
        and try it.

        Raises JobError where that cannot be had.
        """
        compile_blocks(self.network, backend)
        width = self.network.config.num_attention_heads * self.network.config.attention_head_dim
        sizes = [(1, 4, width), (1, 8, width)]  # of four tokens and eight words
        if self.first:
            sizes = [(1, 4, self.channels), (1, 8, self.network.config.joint_attention_dim)]
        elif self.blocks.start >= self.doubles:
            sizes = [(1, 12, width)]
        stream = tuple(torch.zeros(size, dtype=self.dtype, device=self.device) for size in sizes)
        try:
            self.run(stream, StepConditioning(Positions(8, (2, 2), ((),)), 1.0, 1.0 if self.takes_guidance else None))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a compiler, its compiler, a driver: whatever is missing, nothing was rendered yet
            why = " ".join(str(error).split())[:300] or type(error).__name__
            message = f"Nothing can be compiled for this device: {why} Leave out `compile`."
            raise JobError(message, code="environment") from error

    def _run(self, stream: HiddenStates, terms: StepConditioning) -> HiddenStates:
        network, rotary = self.network, self.rotary(terms.positions)
        # 1. Time and guidance modulate every block alike: every shard computes these for itself.
        moment = network.time_guidance_embed(self._scaled(terms.timestep), self._scaled(terms.guidance))  # (1, width)
        # 2. Into the model's width.
        if self.first:
            tokens, text = stream
            stream = network.x_embedder(tokens.to(self.dtype)), network.context_embedder(text)  # (B, N and L, width)
        # 3. Two streams that attend to each other.
        arguments: dict[str, Any] = {"image_rotary_emb": rotary, "joint_attention_kwargs": None}
        if self.blocks.start < self.doubles:
            modulation_picture = network.double_stream_modulation_img(moment)
            modulation_text = network.double_stream_modulation_txt(moment)
            hidden, words = stream
            for block in filter(None, network.transformer_blocks):
                words, hidden = block(hidden, words, modulation_picture, modulation_text, **arguments)
            stream = hidden, words
            if self.blocks.stop < self.doubles:
                return stream
            stream = (torch.cat([words, hidden], dim=1),)  # (B, L + N, width)
        # 4. One stream of both.
        [hidden] = stream
        modulation_both = network.single_stream_modulation(moment)
        for block in filter(None, network.single_transformer_blocks):
            hidden = block(hidden, None, modulation_both, **arguments)
        if not self.last:
            return (hidden,)
        # 5. Out of the model's width again.
        hidden = network.norm_out(hidden[:, terms.positions.text_length :], moment)
        return (network.proj_out(hidden),)  # (B, N, C)

    def _scaled(self, value: float | None) -> torch.Tensor | None:
        """A thousand times `value` (1,), written by the device: a tensor made of a number would be copied there, and
        everybody would wait for that."""
        return None if value is None else torch.full((1,), value, dtype=self.dtype, device=self.device) * 1000


def block_count(model: Model) -> int:
    """Blocks of `model`'s transformer, from its configuration alone."""
    config = Flux2Transformer2DModel.load_config(model.path / "transformer", local_files_only=True)
    return int(config["num_layers"]) + int(config["num_single_layers"])


def _part_of(blocks: range | None) -> Callable[[Flux2Transformer2DModel], None]:
    """What takes out of an empty network whatever the shard of `blocks` does not need.

    The blocks that stay keep their places, hence the names that the checkpoint gives them.
    """

    def keep(network: Flux2Transformer2DModel) -> None:
        lists = (network.transformer_blocks, network.single_transformer_blocks)
        count = sum(map(len, lists))
        kept = range(count) if blocks is None else blocks
        for number in set(range(count)).difference(kept):
            place = number - len(lists[0])
            lists[place >= 0][place if place >= 0 else number] = None
        if kept.start > 0:
            network.x_embedder = network.context_embedder = None
        if kept.stop < count:
            network.norm_out = network.proj_out = None

    return keep
