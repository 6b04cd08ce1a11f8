"""What the dispatcher keeps track of: units on their way, inputs to be encoded, and the calls made for either."""

from dataclasses import dataclass, field
from typing import Any

from pressrun.cluster.protocol.unit import Reference, Unit
from pressrun.cluster.scheduling.conditioning_cache import Key
from pressrun.cluster.scheduling.worker import Worker


@dataclass
class InFlightUnit:
    """A unit on its way. `latents` and `pixels` are what its stages left in the object store, `batch` how many rows
    were denoised at once.

    A `suspect` was the oldest call of a worker that was lost, and runs alone from then on; `strikes` are the workers
    that it lost alone, `losses` the times that its inputs went down with a node.
    """

    number: int
    unit: Unit
    keys: set[Key]
    stage: str = "encode"
    latents: Any = None
    pixels: Any = None
    device: str = ""
    batch: int | None = None
    suspect: bool = False
    strikes: int = 0
    losses: int = 0
    attempts: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class EncodeTask:
    """Inputs that one call encodes, for whoever needs them: prompts together, a reference by itself, whose `pixels`
    have been fetched before. `losses` are the times that those went down with a node."""

    keys: list[Key]
    suspect: bool = False
    strikes: int = 0
    pixels: Any = None
    losses: int = 0

    @property
    def stage(self) -> str:
        """What is to be done next: "fetch" a reference, or "encode"."""
        return "fetch" if isinstance(self.keys[0], Reference) and self.pixels is None else "encode"


@dataclass
class Call:
    """One call that a worker holds, and what it is for."""

    stage: str
    worker: Worker
    payload: list[Any]
    cause: InFlightUnit | EncodeTask

    def __str__(self) -> str:
        return f"{self.stage} of unit {self.cause.unit.index}" if isinstance(self.cause, InFlightUnit) else self.stage
