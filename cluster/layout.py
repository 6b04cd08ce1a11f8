"""A layout says how many actors hold what. Pixels never depend on it.

`whole`: every replica holds the whole model. `staged`: text encoder, transformer and decoder in pools of their own,
so that unit n + 1 denoises while unit n is decoded. `auto` prefers `whole`: data parallel first (four replicas beat
one replica over four GPUs by 1.5x, see the public figures in the README of the vendors).
"""

import math
from dataclasses import dataclass

from pipeline.errors import JobError

NAMES = ("auto", "whole", "staged")

CPU_THREADS = 1
"""Of each model actor. Constant, because pixels depend on it: vectorised loops treat the ends of each thread's part
differently, and MKL splits products differently. Cores are used by more replicas instead, which pays more besides."""

CPU_REPLICAS = 8
"""At most, where nobody says how many."""

LIBRARY_BYTES = 800_000_000
"""What an actor's process takes beside its model: PyTorch and diffusers."""


@dataclass(frozen=True)
class Role:
    """`count` actors that hold the model's parts for `stages`; `gpus` of a device each (0 on a CPU).

    With `shards` above 1 each of the `count` is a chain of that many actors, which share the transformer's blocks.
    """

    stages: tuple[str, ...]
    count: int
    gpus: float
    shards: int = 1

    def describe(self) -> str:
        """As a person says it."""
        cut = f" in {self.shards} shards" if self.shards > 1 else ""
        return f"{self.count} x {'+'.join(self.stages)}{cut}"


@dataclass(frozen=True)
class Layout:
    """Roles of the model actors, and how many denoise replicas they add up to."""

    name: str
    replicas: int
    roles: tuple[Role, ...]
    device: str

    def describe(self) -> str:
        """One line for a person."""
        parts = ", ".join(role.describe() for role in self.roles)
        return f"{self.name}: {parts} on {self.device}"


def choose_layout(
    name: str,
    replicas: int | None,
    shards: int | None,
    *,
    cpus: float,
    gpus: float,
    units: int = 1,
    memory: float = math.inf,
    model_bytes: int = 0,
) -> Layout:
    """The layout for the devices that the cluster has and the units that are to come; without any GPU everything runs
    on CPUs. No more replicas than units, or on CPUs than `memory` holds copies of the model (both in bytes), unless
    somebody asks for them.

    Raises:
        JobError: an unknown name, or numbers that make no layout.
    """
    problems = []
    if name not in NAMES:
        problems.append(f"--layout {name} is not a layout; choose one of {', '.join(NAMES)}.")
    if replicas is not None and replicas < 1:
        problems.append(f"--replicas {replicas} is too few; at least 1 replica renders.")
    if shards is not None and shards < 1:
        problems.append(f"--shards {shards} is too few; 1 keeps the transformer whole.")
    if shards is not None and shards > 1 and name == "whole":
        problems.append(f"--shards {shards} cuts the transformer, which --layout whole keeps whole; say staged.")
    if problems:
        raise JobError(*problems)
    parts = shards or 1
    chosen = name if name != "auto" else "whole" if parts == 1 else "staged"
    on_gpu = gpus >= 1
    count = replicas or min(_default_replicas(chosen, int(cpus), int(gpus), parts), max(1, units))
    if not replicas and not on_gpu:
        count = max(1, min(count, int(min(memory / (model_bytes + LIBRARY_BYTES), CPU_REPLICAS))))
    if chosen == "whole":
        roles: tuple[Role, ...] = (Role(("encode", "denoise", "decode"), count, _share(count, gpus)),)
    else:
        spare = int(gpus) - count * parts  # encode and decode share what the denoisers leave, or everybody shares
        gpu = 1.0 if spare > 0 else _share(count * parts + 2, gpus)
        side = gpu if spare != 1 else 0.5
        roles = (Role(("encode",), 1, side), Role(("denoise",), count, gpu, parts), Role(("decode",), 1, side))
    return Layout(chosen, count, roles, "cuda" if on_gpu else "cpu")


def _default_replicas(layout: str, cpus: int, gpus: int, shards: int) -> int:
    """A replica for each device, or for each `shards` of them; staged leaves one GPU, or the other cores, to encode and
    decode."""
    if gpus:
        return max(1, (gpus - (layout == "staged" and gpus > 1)) // shards)
    return 1 if layout == "staged" else max(1, min(cpus, CPU_REPLICAS))


def _share(actors: int, gpus: float) -> float:
    """The part of one GPU that each of `actors` gets, so that all of them find a place: 1, 1/2, 1/3 …"""
    return 1.0 / math.ceil(actors / int(gpus)) if gpus >= 1 else 0.0
