"""A worker: one actor, or the leader of several, and the calls that it holds; and how each kind of them is started."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.util.placement_group import remove_placement_group

from pressrun.cluster.actors.actors import ModelActor
from pressrun.cluster.actors.job_actor import JobActor
from pressrun.cluster.placement.layout import Role
from pressrun.cluster.placement.node_placement import NodePlacer
from pressrun.cluster.protocol.spec import ModelSpec
from pressrun.pipeline.families.family import family_of
from pressrun.pipeline.models.catalogue import look_up

DENOISE_SLOTS = 2
"""Calls bound to a model actor per stage: one that computes and one whose inputs travel meanwhile."""
FINISH_SLOTS = 4
FINISH_THREADS = 4


_OURS: dict[str, Any] = {"num_cpus": 0, "max_restarts": 0, "max_task_retries": 0}
"""No CPUs: more actors than there are run slower, they do not hang. Retries are ours alone."""


def end_actor(handle: Any) -> None:
    """End an actor, whatever it does."""
    with contextlib.suppress(Exception):  # it is gone already
        ray.kill(handle, no_restart=True)


@dataclass(eq=False)
class Worker:
    """One actor, or the leader of several `shards`, and its calls, oldest first.

    It takes `slots` calls of each stage. `quiet_since`: when it last made progress, None until loaded. `nodes`: where
    its actors are, as far as they have said. One that is `leaving` takes no call any more. `start` gives the actor's
    handle, `ask` has it say that it is ready, `stop` ends it.
    """

    name: str
    stages: tuple[str, ...]
    slots: int
    start: Callable[[], Any]
    stop: Callable[[Any], None] = end_actor
    ask: Callable[[Any], Any] = lambda handle: handle.ready.remote()
    handle: Any = None
    ready_ref: Any = None
    calls: list[Any] = field(default_factory=list)
    quiet_since: float | None = None
    started: float = 0.0
    deaths_while_loading: int = 0
    device: str = ""
    shards: int = 1
    nodes: tuple[str, ...] = ()
    leaving: bool = False

    @property
    def post(self) -> str:
        """What it is called, without its number: who has the same one can stand in for it."""
        return self.name.rpartition("-")[0]

    @property
    def loaded(self) -> bool:
        """Whether the actor has answered that it is ready."""
        return self.ready_ref is None

    @property
    def computing(self) -> int:
        """Calls of one stage that it can compute at the same time; what it takes beyond them waits there."""
        return FINISH_SLOTS if "finish" in self.stages else self.shards

    def load(self, stage: str) -> int:
        """Calls of one stage that it holds."""
        return sum(call.stage == stage for call in self.calls)


@dataclass(frozen=True)
class Post:
    """One kind of worker: what it does, how an actor of it is started, and what ends one."""

    stages: tuple[str, ...]
    slots: int
    start: Callable[[], Any]
    end: Callable[[], None] = lambda: None
    shards: int = 1


def model_post(role: Role, spec: ModelSpec, homes: NodePlacer) -> Post:
    """One that holds the model's parts for a role's stages."""
    part, slots = replace(spec, stages=role.stages), DENOISE_SLOTS * role.shards
    if role.shards > 1:
        replica = _Replica(part, role, homes)
        return Post(role.stages, slots, replica.start, replica.end, role.shards)
    actor, options = ray.remote(ModelActor), {**_OURS, "num_gpus": role.gpus, "max_concurrency": 2}

    def start() -> Any:
        return actor.options(**options, scheduling_strategy=homes.choose(role.gpus)).remote(part)

    return Post(role.stages, slots, start)


class _Replica:
    """A leader and the places of its shards: Ray would keep a placement group until the whole run is over."""

    def __init__(self, spec: ModelSpec, role: Role, homes: NodePlacer) -> None:
        self._spec, self._role, self._homes = spec, role, homes
        self._group: Any = None
        model = look_up(spec.model)
        footprint = family_of(model).footprint(model)
        blocks = footprint.cut(role.shards) if footprint else []
        self._sizes = [footprint.weights(role.stages, spec.precision, some) if footprint else 0 for some in blocks]

    def start(self) -> Any:
        from pressrun.cluster.actors.shards import Leader

        sizes = self._sizes or [0] * self._role.shards
        places, self._group = self._homes.side_by_side(self._role.gpus, sizes)
        # The leader is where its first shard is: one machine less whose loss would end the replica.
        leader = ray.remote(Leader).options(**_OURS, scheduling_strategy=places[0])
        return leader.remote(self._spec, self._role.gpus, places)

    def end(self) -> None:
        if self._group is not None:
            remove_placement_group(self._group)
            self._group = None


def job_post(homes: NodePlacer) -> Post:
    """One that fetches references and turns pixels into stored pictures, for any job."""
    actor, options = ray.remote(JobActor), {**_OURS, "max_concurrency": 2 * FINISH_SLOTS}

    def start() -> Any:
        return actor.options(**options, scheduling_strategy=homes.choose(0)).remote(FINISH_THREADS)

    return Post(("fetch", "finish"), FINISH_SLOTS, start)
