"""The sampling loop: a unit's noise becomes a unit's latents, in as many Euler steps as its requests ask for.

Ours, because diffusers' pipelines give one set of references to a whole batch; their model classes, schedule and
arithmetic are kept, so that a unit's every row equals their one-prompt run bit for bit. What that takes: one generator
per request, on CPU, from its own seed; one timestep and one guidance value that broadcast; rows that never mix.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Self, TypeVar

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.families.flux2.footprint import cut
from pressrun.pipeline.families.flux2.transfer import to_device
from pressrun.pipeline.families.flux2.transformer import (
    HiddenStates,
    Positions,
    StepConditioning,
    Transformer,
    block_count,
)
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.models.checkpoint import load_files
from pressrun.pipeline.request import MULTIPLE, Grid, RenderRequest

T = TypeVar("T")

Reference = tuple[torch.Tensor, Grid]
"""An encoded reference picture: its tokens (h * w, C) and its grid (h, w)."""


class Schedule:
    """A model's own schedule: which noise levels sigma its steps pass through, by the number of steps and tokens."""

    def __init__(self, scheduler: FlowMatchEulerDiscreteScheduler) -> None:
        self.config = scheduler.config

    @classmethod
    def load(cls, model: Model) -> Self:
        """Read the schedule from `model`'s folder. Raises JobError where it cannot be loaded or is not repeatable."""
        schedule = cls(load_files(FlowMatchEulerDiscreteScheduler, model, "scheduler"))
        if schedule.config.stochastic_sampling:
            raise JobError(
                f"{model.path / 'scheduler'} draws noise between steps, which no row's seed covers.",
                code="unsupported_model",
            )
        return schedule

    def start(self, tokens: int, steps: int, device: torch.device) -> FlowMatchEulerDiscreteScheduler:
        """A fresh scheduler before its first step, for a picture of `tokens` tokens (references not counted).

        Its sigmas are on `device`, where they are computed with; its timesteps on the host, which tells them.
        """
        scheduler = FlowMatchEulerDiscreteScheduler.from_config(self.config)
        sigmas = None if self.config.get("use_flow_sigmas") else np.linspace(1.0, 1 / steps, steps)
        scheduler.set_timesteps(steps, device="cpu", sigmas=sigmas, mu=empirical_mu(tokens, steps))
        scheduler.set_begin_index(0)
        scheduler.sigmas = to_device(scheduler.sigmas, device)
        return scheduler


def empirical_mu(tokens: int, steps: int) -> float:
    """Shift mu of the schedule towards noise: larger pictures and fewer steps need more of it.

    Two lines over the token count were fitted at 10 and at 200 steps; in between mu is linear in the steps.
    Source: `compute_empirical_mu` in black-forest-labs/flux2, `sampling.py`; the constants are theirs.
    """
    mu_200 = 0.00016927 * tokens + 0.45666666
    if tokens > 4300:
        return mu_200
    mu_10 = 8.73809524e-05 * tokens + 1.89833333
    slope = (mu_200 - mu_10) / 190.0
    return slope * steps + (mu_200 - 200.0 * slope)


def sample(
    transformer: Transformer,
    schedule: Schedule,
    requests: Sequence[RenderRequest],
    embeddings: Sequence[torch.Tensor],
    references: Sequence[Sequence[Reference]],
    negative_embedding: torch.Tensor | None = None,
) -> torch.Tensor:
    """Latents (B, h * w, C) of a unit: all of `Sampling` with a transformer that is whole."""
    return Sampling(transformer, schedule, requests, embeddings, references, negative_embedding).finish(transformer)


class Sampling:
    """A unit on its way from noise to latents, a step at a time.

    `requests` are of one shape, each with its embedding (L, D) and its references. With `negative_embedding` (L, D),
    the empty prompt's, every step is computed with and without the prompt and extrapolated by the guidance (Ho &
    Salimans, 2022): what [klein] base models want above a guidance of 1. Received tensors are never changed.
    `latents` are (B, h * w, C). `transformer` may be the first shard of several: what its `run` needs for a step are
    `streams` and `terms`, what the last shard gives goes to `advance`.
    Raises ValueError where the requests do not share one shape.
    """

    @torch.no_grad()
    def __init__(
        self,
        transformer: Transformer,
        schedule: Schedule,
        requests: Sequence[RenderRequest],
        embeddings: Sequence[torch.Tensor],
        references: Sequence[Sequence[Reference]],
        negative_embedding: torch.Tensor | None = None,
    ) -> None:
        # 1. What the rows share.
        width, height = _shared(request.render_size for request in requests)
        steps = _shared(request.steps for request in requests)
        guided = transformer.takes_guidance or negative_embedding is not None
        self._scale = _shared(request.guidance if guided else 1.0 for request in requests)
        _shared(sum(h * w for _, (h, w) in row) for row in references)
        rows, columns = height // MULTIPLE, width // MULTIPLE
        device = transformer.device

        # 2. Words, and where everything stands that attends to everything.
        text = to_device(torch.stack(list(embeddings)), device)  # (B, L, D)
        self._texts = [text]
        if negative_embedding is not None:
            self._texts.append(to_device(negative_embedding, device).repeat(len(requests), 1, 1))
        layouts = tuple(tuple(grid for _, grid in row) for row in references)
        self._positions = Positions(text.shape[1], (rows, columns), layouts)
        transformer.rotary(self._positions)
        self._guidance = self._scale if transformer.takes_guidance else None

        # 3. Noise, each row's from its own seed, and each row's references, which stay as they are.
        drawn = [noise(request.seed, transformer.channels, rows, columns, text.dtype) for request in requests]
        self.latents = to_device(torch.cat(drawn), device)  # (B, h * w, C)
        self._clean = None
        if references[0]:
            clean = [torch.cat([tokens for tokens, _ in row]) for row in references]
            self._clean = to_device(torch.stack(clean), device)  # (B, R, C)

        # 4. Noise levels. The times of all steps are numbers from here on: at no step does anybody ask a device.
        self._scheduler = schedule.start(rows * columns, steps, device)
        times = self._scheduler.timesteps.to(text.dtype) / 1000
        self._left: deque[float] = deque(times.tolist())

    def finish(self, transformer: Transformer) -> torch.Tensor:
        """Take all steps that are left with a transformer that is whole: the latents (B, h * w, C)."""
        while (terms := self.terms()) is not None:
            self.advance([transformer.run(stream, terms) for stream in self.streams()])
        return self.latents

    def terms(self) -> StepConditioning | None:
        """What the next step's passes have in common; None behind the last step. One timestep and one guidance for
        all rows: see `Transformer.run`."""
        if not self._left:
            return None
        return StepConditioning(self._positions, self._left[0], self._guidance)

    def streams(self) -> list[HiddenStates]:
        """What enters the first shard in the next step: once, or with the prompt and without."""
        tokens = self.latents if self._clean is None else torch.cat([self.latents, self._clean], dim=1)
        return [(tokens, text) for text in self._texts]  # (B, h * w + R, C), (B, L, D)

    @torch.no_grad()
    def advance(self, streams: Sequence[HiddenStates]) -> None:
        """Take the step along the velocities that came out of the last shard."""
        [velocity], *more = (tuple(part[:, : self.latents.shape[1]] for part in stream) for stream in streams)
        for [without] in more:
            velocity = without + self._scale * (velocity - without)
        t = self._left.popleft()
        self.latents = self._scheduler.step(velocity, t, self.latents, return_dict=False)[0]  # (B, h * w, C)


class Shard:
    """One block range of a transformer, with the schedule that the first of several shards begins units by."""

    def __init__(self, transformer: Transformer, schedule: Schedule) -> None:
        self._transformer, self._schedule = transformer, schedule

    @classmethod
    def load(cls, model: Model, precision: str, device: str, number: int, shards: int) -> Self:
        """Read the block range with this number, of so many."""
        blocks = cut(block_count(model), shards)[number]
        return cls(Transformer.load(model, precision, device, blocks), Schedule.load(model))

    def compile(self) -> None:
        """As `Transformer.compile`."""
        self._transformer.compile()

    def begin(self, *batch: Any) -> Sampling:
        """A unit's rows before their first step; for `batch` see `Sampling`."""
        return Sampling(self._transformer, self._schedule, *batch)

    def run(self, stream: HiddenStates, terms: StepConditioning) -> HiddenStates:
        """As `Transformer.run`."""
        return self._transformer.run(stream, terms)


def noise(seed: int, channels: int, rows: int, columns: int, dtype: torch.dtype) -> torch.Tensor:
    """A request's first latents (1, h * w, C), a function of its seed and size alone, on CPU.

    Drawn as (1, C, h, w) in the embedding's dtype, exactly as `Flux2Pipeline.prepare_latents` does.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn((1, channels, rows, columns), generator=generator, dtype=dtype)
    return drawn.flatten(2).transpose(1, 2)  # (1, h * w, C)


def _shared(values: Iterable[T]) -> T:
    """The one value that all rows have. Raises ValueError where they differ."""
    distinct = set(values)
    if len(distinct) != 1:
        raise ValueError(f"requests of one unit must share one shape, but have {sorted(map(str, distinct))}")
    return distinct.pop()
