"""A layout says how many actors hold what. Pixels never depend on it.

`whole`: every replica holds the whole model. `staged`: text encoder and decoder in pools beside replicas that hold the
transformer, each in one piece or in shards. Which one, see `cluster.placement.choice`.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pressrun.pipeline.errors import JobError

NAMES = ("auto", "whole", "staged")

CPU_THREADS = 1
"""Of each model actor. Constant, because pixels depend on it: vectorised loops treat the ends of each thread's part
differently, and MKL splits products differently. Cores are used by more replicas instead, which pays more besides."""


@dataclass(frozen=True)
class PlacementRequest:
    """What somebody asked for: a layout by name, how many denoise replicas, in how many shards; None is up to us."""

    layout: str = "auto"
    replicas: int | None = None
    shards: int | None = None

    def check(self, blocks: int | None = None) -> None:
        """Raises JobError with all that makes no layout, whatever the devices are. `blocks` has the transformer."""
        problems = []
        if self.layout not in NAMES:
            problems.append(f"`layout` {self.layout} is not a layout; choose one of {', '.join(NAMES)}.")
        if self.replicas is not None and self.replicas < 1:
            problems.append(f"`replicas` {self.replicas} is too few; at least 1 replica renders.")
        if self.shards is not None and self.shards < 1:
            problems.append(f"`shards` {self.shards} is too few; 1 keeps the transformer whole.")
        if self.shards is not None and self.shards > 1 and self.layout == "whole":
            problems.append(
                f"`shards` {self.shards} cuts the transformer, which `layout` whole keeps whole; say staged."
            )
        if self.shards is not None and blocks and self.shards > blocks:
            problems.append(
                f"`shards` {self.shards} is too many: the transformer has {blocks} blocks, each in one piece."
            )
        if problems:
            raise JobError(*problems, code="bad_option")


@dataclass(frozen=True)
class Role:
    """`count` actors that hold the model's parts for `stages`; `gpus` of a device each (0 on a CPU).

    With `shards` above 1 each of the `count` is a chain of that many actors, which share the transformer's blocks.
    """

    stages: tuple[str, ...]
    count: int
    gpus: float
    shards: int = 1

    @property
    def title(self) -> str:
        """What its actors are called, before their number."""
        return "replica" if "denoise" in self.stages and len(self.stages) > 1 else "+".join(self.stages)

    def describe(self) -> str:
        """As a person says it."""
        cut = f" in {self.shards} shards" if self.shards > 1 else ""
        return f"{self.count} x {'+'.join(self.stages)}{cut}"


@dataclass(frozen=True)
class ActorMemory:
    """One actor: what it `holds`, the bytes of its weights and of what it computes in at most, and on which device."""

    actor: str
    holds: str
    weights_bytes: int
    activations_bytes: int
    device: str


@dataclass(frozen=True)
class Layout:
    """Roles of the model actors, how many denoise replicas they add up to, and `why` it was chosen."""

    name: str
    replicas: int
    roles: tuple[Role, ...]
    device: str
    why: str = ""

    def members(self) -> Iterator[tuple[str, Role]]:
        """Every worker's name and role."""
        numbers = Counter[str]()
        for role in self.roles:
            for _ in range(role.count):
                yield f"{role.title}-{numbers[role.title]}", role
                numbers[role.title] += 1

    def describe(self) -> str:
        """One line for a person."""
        parts = ", ".join(role.describe() for role in self.roles)
        return f"{self.name}: {parts} on {self.device}"
