"""The crew: every actor of a run, started together, replaced when lost."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ray

from cluster.actors import FinishActor, ModelActor
from cluster.layout import Layout
from cluster.spec import Finishing, ModelSpec
from pipeline.errors import JobError

DENOISE_SLOTS = 2
"""Calls bound to a model actor per stage: one that computes and one whose inputs travel meanwhile."""
FINISH_SLOTS = 4
FINISH_THREADS = 4
REPLICAS_PER_FINISHER = 4
LOAD_PATIENCE_SEC = 1800.0
_LOAD_ATTEMPTS = 3


@dataclass(eq=False)
class Worker:
    """One actor, or the leader of several `shards`, and its calls, oldest first.

    It takes `slots` calls of each stage. `quiet_since`: when it last made progress, None until loaded.
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


class Crew:
    """Starts every actor at once; `of` names the workers of a stage, `loading` those that have not answered yet, by
    the answer that is awaited. Whatever is asked of Ray while units are under way is asked here."""

    def __init__(self, layout: Layout, workers: Sequence[Worker]) -> None:
        self.layout = layout
        self.workers = list(workers)
        self.loading: dict[Any, Worker] = {}
        for worker in self.workers:
            self._start(worker)

    @classmethod
    def assemble(cls, layout: Layout, spec: ModelSpec, finishing: Finishing) -> "Crew":
        """The workers that a layout asks for: model actors by its roles, and those that finish pictures."""
        workers = []
        for name, role in layout.members():
            part = replace(spec, stages=role.stages, device=layout.device)
            slots = DENOISE_SLOTS * role.shards
            start = _model_actor(part, role.gpus) if role.shards == 1 else _leader(part, role.shards, role.gpus)
            workers.append(Worker(name, role.stages, slots, start, shards=role.shards))
        for number in range(-(-layout.replicas // REPLICAS_PER_FINISHER)):
            workers.append(Worker(f"finish-{number}", ("finish",), FINISH_SLOTS, _finish_actor(finishing)))
        return cls(layout, workers)

    def _start(self, worker: Worker) -> None:
        worker.handle = worker.start()
        worker.ready_ref = worker.handle.ready.remote()
        self.loading[worker.ready_ref] = worker
        worker.quiet_since = None
        worker.started = time.monotonic()

    def of(self, stage: str) -> Sequence[Worker]:
        """The workers that serve a stage."""
        return [worker for worker in self.workers if stage in worker.stages]

    @staticmethod
    def returned(refs: list[Any], timeout_sec: float) -> list[Any]:
        """Those of the calls' reports that are there, all of them, as soon as there is one or the time is over."""
        ready, _ = ray.wait(refs, num_returns=1, timeout=timeout_sec, fetch_local=False)
        if ready and len(refs) > 1:
            ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
        return ready

    @staticmethod
    def result(ref: Any) -> Any:
        """What a call has reported. Raises RayError where it could not."""
        return ray.get(ref)

    @staticmethod
    def now() -> float:
        """The time by which the reports tell when a call ran, in epoch seconds."""
        return time.time()

    def became_ready(self, worker: Worker) -> None:
        """Take note of a loaded worker.

        Raises:
            JobError: it says that it cannot do its work at all (the model is missing on its node, say).
        """
        worker.device, problem = self.result(worker.ready_ref)
        if problem:
            raise JobError(problem)
        del self.loading[worker.ready_ref]
        worker.ready_ref = None
        worker.deaths_while_loading = 0
        worker.quiet_since = time.monotonic()

    def replace(self, worker: Worker, why: str) -> None:
        """End what is left of an actor and start another in its place.

        Raises:
            JobError: it died again and again before it had loaded.
        """
        self.kill(worker)
        self.loading.pop(worker.ready_ref, None)
        if not worker.loaded:
            worker.deaths_while_loading += 1
            if worker.deaths_while_loading >= _LOAD_ATTEMPTS:
                if self._can_do_without(worker):
                    self.workers.remove(worker)
                    return
                raise JobError(
                    f"The worker {worker.name} died {_LOAD_ATTEMPTS} times while it loaded its part of the model "
                    f"({why}). Is there memory enough for it? Fewer --replicas or a smaller model need less."
                )
        self._start(worker)

    def _can_do_without(self, worker: Worker) -> bool:
        others = [other for other in self.workers if other is not worker and other.loaded]
        return all(any(stage in other.stages for other in others) for stage in worker.stages)

    def check_loading(self) -> None:
        """Notice workers that never begin.

        Raises:
            JobError: one has waited for half an hour.
        """
        for worker in self.workers:
            if not worker.loaded and time.monotonic() - worker.started > LOAD_PATIENCE_SEC:
                raise JobError(
                    f"The worker {worker.name} has not loaded for {LOAD_PATIENCE_SEC / 60:.0f} minutes: the cluster "
                    "has no free device for it, or it hangs. Ask for fewer --replicas, or look at the cluster."
                )

    @staticmethod
    def kill(worker: Worker) -> None:
        with contextlib.suppress(Exception):
            ray.kill(worker.handle, no_restart=True)

    def close(self) -> None:
        """End every actor; on a joined cluster nothing else ends them before the driver's process does."""
        for worker in self.workers:
            self.kill(worker)


def _model_actor(spec: ModelSpec, gpus: float) -> Callable[[], Any]:
    # num_cpus=0: more actors than CPUs run slower, they do not hang. Retries are ours alone.
    actor = ray.remote(ModelActor).options(
        num_cpus=0,
        num_gpus=gpus,
        max_concurrency=2,
        max_restarts=0,
        max_task_retries=0,
        scheduling_strategy="SPREAD",
    )
    return lambda: actor.remote(spec)


def _leader(spec: ModelSpec, shards: int, gpus: float) -> Callable[[], Any]:
    from cluster.shards import Leader

    actor = ray.remote(Leader).options(num_cpus=0, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD")
    return lambda: actor.remote(spec, shards, gpus)


def _finish_actor(finishing: Finishing) -> Callable[[], Any]:
    actor = ray.remote(FinishActor).options(
        num_cpus=0, max_concurrency=FINISH_SLOTS, max_restarts=0, max_task_retries=0
    )
    return lambda: actor.remote(finishing, FINISH_THREADS)
