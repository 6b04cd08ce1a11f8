"""The layouts that there are for a cluster, best first.

Data parallel first. Every GPU that holds the whole model renders all the time, so where the whole model fits there is
nothing better: four replicas beat one over four GPUs by 1.5x (public figures). Where it does not, the transformer gets
GPUs of its own beside a pool of text encoders and decoders, and is cut into shards, as few as fit, only where it does
not fit one GPU by itself. On CPUs a layout is chosen by cores and memory in the same order.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from pressrun.cluster.placement.devices import Devices, Node
from pressrun.cluster.placement.layout import Layout, PlacementRequest, Role
from pressrun.cluster.placement.requirements import CONTEXT_BYTES, LIBRARY_BYTES, STAGES, Requirements, gib

GPU_SHARE = 0.95
"""Of a GPU's memory is planned with: the rest goes to fragments, and to what convolutions try out."""

CPU_REPLICAS = 8
"""On one machine at most, where nobody says how many."""

POOL = ("encode", "decode")


def first_layout(wishes: PlacementRequest, devices: Devices, needs: Requirements, units: int = 1) -> Layout | None:
    """The best of the layouts that fit, with no more replicas than units unless somebody asks for them; or None."""
    on = _Gpus(wishes, devices, needs, units) if devices.gpus else _Cpus(wishes, devices, needs, units)
    layouts: Iterator[Layout | None] = iter(())
    if wishes.layout != "staged" and wishes.shards in (None, 1):
        layouts = chain(layouts, (on.whole() for _ in range(1)))
    if wishes.layout != "whole" and on.holds_pools():
        several = range(1, (needs.blocks or 1) + 1) if wishes.shards is None else [wishes.shards]
        layouts = chain(layouts, map(on.staged, several))
    return next(filter(None, layouts), None)


@dataclass(frozen=True)
class _Question:
    wishes: PlacementRequest
    devices: Devices
    needs: Requirements
    units: int

    def _count(self, most: int) -> int:
        return self.wishes.replicas or max(1, min(most, self.units))

    def _because(self, shards: int, piece: str, room: int) -> str:
        """Why the model is laid out staged."""
        if self.wishes.layout == "staged" or (self.wishes.shards or 1) > 1:
            return "as asked for"
        whole, part = gib(self.needs.bytes(STAGES)), gib(self.needs.bytes(("denoise",)))
        why = f"the whole model takes {whole} and {piece} has {gib(room)} for it"
        return f"{why}; its transformer alone takes {part}" if shards > 1 else why


class _Gpus(_Question):
    """Layouts over GPUs; the least of them decides, because an actor may get any."""

    @property
    def _room(self) -> float:
        return self.devices.gpu_bytes * GPU_SHARE if self.devices.gpu_bytes else math.inf

    def _fit(self, *actors: int) -> bool:
        """Whether actors of these bytes find room together on one GPU."""
        return sum(size + CONTEXT_BYTES for size in actors) <= self._room

    def holds_pools(self) -> bool:
        """Whether text encoder and decoder, which nobody cuts, fit a GPU each."""
        return all(self._fit(self.needs.bytes((stage,))) for stage in POOL)

    def whole(self) -> Layout | None:
        gpus, size = self.devices.gpus, self.needs.bytes(STAGES)
        count = self._count(gpus)
        together = math.ceil(count / gpus)
        if not self._fit(*[size] * together):
            return None
        why = f"the whole model takes {gib(size)}, which a GPU holds" if self.devices.gpu_bytes and size else ""
        return Layout("whole", count, (Role(STAGES, count, 1 / together),), "cuda", why)

    def staged(self, shards: int) -> Layout | None:
        if not self._fit(self.needs.bytes(("denoise",), shards)):
            return None
        roles = self._apart(shards) or self._together(shards)
        if roles is None:
            return None
        [count] = [role.count for role in roles if "denoise" in role.stages]
        room = int(min(self._room, 1 << 60)) - CONTEXT_BYTES
        return Layout("staged", count, roles, "cuda", self._because(shards, "a GPU", room))

    def _apart(self, shards: int) -> tuple[Role, ...] | None:
        """Every actor on a GPU of its own; what the denoisers leave goes to the pools."""
        gpus = self.devices.gpus
        if self.wishes.replicas:
            best = gpus - self.wishes.replicas * shards
        else:
            sizes = [size for size in range(1, gpus - shards + 1) if self._pools(size)]
            best = max(sizes, key=lambda size: (self._rate((gpus - size) // shards, shards, size), -size), default=0)
        if best < 1 or not self._pools(best):
            return None
        count = self._count((gpus - best) // shards)
        spare = gpus - count * shards
        pools = self._pools(min(spare, max(best, 2))) or self._pools(best)
        assert pools is not None
        encode = [role for role in pools if "encode" in role.stages]
        return (*encode, Role(("denoise",), count, 1.0, shards), *[role for role in pools if role not in encode])

    def _pools(self, gpus: int) -> tuple[Role, ...] | None:
        """Text encoders and decoders on so many GPUs: one that does both, or each in proportion to its seconds."""
        if gpus == 1:
            return (Role(POOL, 1, 1.0),) if self._fit(self.needs.bytes(POOL)) else None
        seconds = self.needs.seconds
        share = seconds.encode / max(seconds.encode + seconds.decode, 1e-9)
        encode = min(max(1, round(gpus * share)), gpus - 1)
        return Role(("encode",), encode, 1.0), Role(("decode",), gpus - encode, 1.0)

    def _rate(self, replicas: int, shards: int, pool: int) -> float:
        """Pictures in a unit of time: what the slowest stage lets through."""
        seconds, pools = self.needs.seconds, self._pools(pool)
        assert pools is not None
        load: dict[Role, float] = {role: sum(getattr(seconds, stage) for stage in role.stages) for role in pools}
        rates = [role.count / load[role] for role in pools if load[role] > 0]
        return min([replicas * shards / max(seconds.denoise, 1e-9), *rates])

    def _together(self, shards: int) -> tuple[Role, ...] | None:
        """Where there are not GPUs enough everybody gets the same part of one, whoever comes to sit together."""
        gpus = self.devices.gpus
        count = self._count(max(1, (gpus - 1) // shards))
        together = math.ceil((count * shards + len(POOL)) / gpus)
        shard = self.needs.bytes(("denoise",), shards)
        actors = sorted([*(self.needs.bytes((stage,)) for stage in POOL), *[shard] * count * shards])
        if not self._fit(*actors[-together:]):
            return None
        part = 1 / together
        return Role(("encode",), 1, part), Role(("denoise",), count, part, shards), Role(("decode",), 1, part)


class _Cpus(_Question):
    """Layouts over cores, one a replica. Numbers that somebody asks for are obeyed: more than the cores run slower."""

    def holds_pools(self) -> bool:
        """As on GPUs."""
        return all(any(_holds(node, self.needs.bytes((stage,))) for node in self.devices.nodes) for stage in POOL)

    def whole(self) -> Layout | None:
        size = self.needs.bytes(STAGES)
        there = [self._replicas(node, size) for node in self.devices.nodes if _holds(node, size)]
        if not there:
            return None
        count = self._count(sum(there))
        why = f"a replica takes {gib(size + LIBRARY_BYTES)}; {self.devices.describe()} carry {sum(there)}"
        return Layout("whole", count, (Role(STAGES, count, 0.0),), "cpu", why)

    @staticmethod
    def _replicas(node: Node, size: int) -> int:
        memory = node.memory or math.inf
        return max(1, int(min(node.cpus, CPU_REPLICAS, memory / (size + LIBRARY_BYTES))))

    def staged(self, shards: int) -> Layout | None:
        """As many replicas as cores and memory carry together with their pools; one, or as many as somebody asked for,
        where there are not cores enough."""
        most = int(min(sum(min(node.cpus, CPU_REPLICAS) for node in self.devices.nodes) // shards, self.units))
        counts = [self.wishes.replicas] if self.wishes.replicas else range(max(1, most), 0, -1)
        for count in counts:
            roles = self._beside(count, shards, *self._pools(count * shards))
            if not self._has_cores(roles):
                if count > 1 and not self.wishes.replicas:
                    continue
                roles = self._beside(count, shards, 1, 1)
            if self._has_memory(roles):
                largest = int(max(node.memory for node in self.devices.nodes))
                return Layout("staged", count, roles, "cpu", self._because(shards, "a machine", largest))
        return None

    def _pools(self, denoisers: int) -> tuple[int, int]:
        """Text encoders and decoders that keep up with so many cores of denoising."""
        seconds = self.needs.seconds
        rate = denoisers / max(seconds.denoise, 1e-9)
        return max(1, math.ceil(rate * seconds.encode - 1e-9)), max(1, math.ceil(rate * seconds.decode - 1e-9))

    @staticmethod
    def _beside(count: int, shards: int, encode: int, decode: int) -> tuple[Role, Role, Role]:
        return Role(("encode",), encode, 0.0), Role(("denoise",), count, 0.0, shards), Role(("decode",), decode, 0.0)

    def _has_cores(self, roles: tuple[Role, ...]) -> bool:
        return sum(role.count * role.shards for role in roles) <= sum(node.cpus for node in self.devices.nodes)

    def _has_memory(self, roles: tuple[Role, ...]) -> bool:
        actors = [[self.needs.bytes(role.stages, role.shards)] * role.count * role.shards for role in roles]
        return self._packed(sorted(chain(*actors), reverse=True))

    def _packed(self, actors: list[int]) -> bool:
        """Whether actors, the largest first, find room on the nodes, each on the first that has it."""
        free = [node.memory or math.inf for node in self.devices.nodes]
        for size in actors:
            place = next((place for place, left in enumerate(free) if left >= size), None)
            if place is None:
                return False
            free[place] -= size
        return True


def _holds(node: Node, size: int) -> bool:
    return not node.memory or node.memory >= size
