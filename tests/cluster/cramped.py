"""Actors whose device holds less than it should: they run out of memory on purpose, and write down when they did."""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from ray import cloudpickle

from pressrun.cluster.actors.actors import ModelActor
from pressrun.cluster.actors.shards import Leader, ShardActor
from pressrun.cluster.protocol.spec import ModelSpec


class Cramped:
    """In place of a renderer or a transformer: denoises at most `rows[width]` rows of a width at once, and decodes no
    picture of a width for which that is -1."""

    def __init__(self, real: Any, rows: Mapping[int, int], log: Path) -> None:
        self._real, self._rows, self._log = real, rows, log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def decode(self, latents: torch.Tensor, request: Any) -> Any:
        if self._rows.get(request.width) == -1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self._real.decode(latents, request)

    def run(self, stream: Any, terms: Any) -> Any:
        self._hold(terms.positions.grid[1] * 16, len(stream[0]))
        return self._real.run(stream, terms)

    def _hold(self, width: int, rows: int) -> None:
        if rows > self._rows.get(width, rows):
            with self._log.open("a") as log:
                log.write(f"{os.getpid()} {width} {rows}\n")
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def _sent_whole() -> None:
    """A run's workers import nothing from here."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])


def cramped(rows: Mapping[int, int], log: Path) -> type[ModelActor]:
    """Model actors that denoise at most so many rows of a width at once."""
    _sent_whole()

    class CrampedActor(ModelActor):
        def __init__(self, spec: ModelSpec) -> None:
            super().__init__(spec)
            transformer: Any = Cramped(self._renderer.transformer, rows, log)
            renderer = replace(self._renderer, transformer=transformer)
            self._renderer = Cramped(renderer, rows, log)  # type: ignore[assignment]

    return CrampedActor


def cramped_shards(rows: Mapping[int, int], log: Path) -> type[Leader]:
    """Replicas of shards the last of which does."""
    _sent_whole()

    class CrampedShard(ShardActor):
        def __init__(self, spec: ModelSpec, number: int, shards: int) -> None:
            super().__init__(spec, number, shards)
            if number == shards - 1:
                self._shard = Cramped(self._shard, rows, log)  # type: ignore[assignment]

    class CrampedLeader(Leader):
        shard = CrampedShard

    return CrampedLeader
