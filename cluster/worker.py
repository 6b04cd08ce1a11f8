"""A worker: one actor, or the leader of several, and the calls that it holds; and how each kind of them is started."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import ray

from cluster.actors import FinishActor, ModelActor
from cluster.homes import Homes
from cluster.layout import Role
from cluster.spec import Finishing, ModelSpec

DENOISE_SLOTS = 2
"""Calls bound to a model actor per stage: one that computes and one whose inputs travel meanwhile."""
FINISH_SLOTS = 4
FINISH_THREADS = 4


@dataclass(eq=False)
class Worker:
    """One actor, or the leader of several `shards`, and its calls, oldest first.

    It takes `slots` calls of each stage. `quiet_since`: when it last made progress, None until loaded. `nodes`: where
    its actors are, as far as they have said. One that is `leaving` takes no call any more.
    """

    name: str
    stages: tuple[str, ...]
    slots: int
    start: Callable[[], Any]
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


def model_worker(name: str, role: Role, spec: ModelSpec, homes: Homes) -> Worker:
    """One that holds the model's parts for a role's stages."""
    part = replace(spec, stages=role.stages)
    start = _model_actor(part, role.gpus, homes) if role.shards == 1 else _leader(part, role.shards, role.gpus, homes)
    return Worker(name, role.stages, DENOISE_SLOTS * role.shards, start, shards=role.shards)


def finish_worker(name: str, finishing: Finishing) -> Worker:
    """One that turns pixels into stored pictures."""
    actor = ray.remote(FinishActor).options(**_OURS, max_concurrency=FINISH_SLOTS)
    return Worker(name, ("finish",), FINISH_SLOTS, lambda: actor.remote(finishing, FINISH_THREADS))


_OURS: dict[str, Any] = {"num_cpus": 0, "max_restarts": 0, "max_task_retries": 0}
"""No CPUs: more actors than there are run slower, they do not hang. Retries are ours alone."""


def _model_actor(spec: ModelSpec, gpus: float, homes: Homes) -> Callable[[], Any]:
    actor, options = ray.remote(ModelActor), {**_OURS, "num_gpus": gpus, "max_concurrency": 2}
    return lambda: actor.options(**options, scheduling_strategy=homes.choose(gpus)).remote(spec)


def _leader(spec: ModelSpec, shards: int, gpus: float, homes: Homes) -> Callable[[], Any]:
    from cluster.shards import Leader

    actor = ray.remote(Leader)
    return lambda: actor.options(**_OURS, scheduling_strategy=homes.choose(gpus)).remote(spec, shards, gpus)
