"""The crew: every actor of a run, started together, replaced when lost; replicas join and leave with their nodes."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray

from pressrun.cluster.placement.devices import Devices, devices_of_cluster, draining
from pressrun.cluster.placement.layout import Layout
from pressrun.cluster.placement.node_placement import NodePlacer
from pressrun.cluster.runtime.last_words import stillborn
from pressrun.cluster.runtime.ray_errors import WITHOUT_REASON
from pressrun.cluster.runtime.ray_runtime import head_answers, joined
from pressrun.cluster.scheduling.worker import Worker
from pressrun.pipeline.errors import JobError

logger = logging.getLogger(__name__)

REPLICAS_PER_FINISHER = 4
LOAD_PATIENCE_SEC = 1800.0
LOOK_SEC = 5.0
"""How often it looks for nodes that have come, or that were told to leave."""
_LOAD_ATTEMPTS = 3

PoolSizes = Mapping[str, int]
"""How many workers of each kind there are to be, by what they are called without their number."""


class WorkerPool:
    """Starts every actor at once; `of` names the workers of a stage, `loading` those that have not answered yet, by
    the answer that is awaited. Whatever is asked of Ray while units are under way is asked here.

    `hire` makes a worker of that name; `wanted` says how many there are to be on the devices that there are now.
    Without them a crew stays as it is. `job` is the context of the job that they work for.
    """

    def __init__(
        self,
        layout: Layout,
        workers: Sequence[Worker],
        hire: Callable[[str], Worker] | None = None,
        wanted: Callable[[Devices], PoolSizes] | None = None,
        homes: NodePlacer | None = None,
        job: Any = None,
    ) -> None:
        self.layout, self.job = layout, job
        self.workers = list(workers)
        self.loading: dict[Any, Worker] = {}
        self._hire, self._wanted, self._homes = hire, wanted, homes or NodePlacer()
        self._posts: dict[str, int] = Counter(worker.post for worker in workers)
        self._hired = Counter(self._posts)
        self._known = self._homes.devices
        self._warned: set[str] = set()
        self._complete = False  # whether all of the first crew have loaded
        self._looked = time.monotonic()
        for worker in self.workers:
            self._start(worker)

    @property
    def replicas(self) -> int:
        """How many workers denoise, or will."""
        return sum(not worker.leaving for worker in self.of("denoise"))

    def _start(self, worker: Worker) -> None:
        worker.handle = worker.start()
        worker.ready_ref = worker.ask(worker.handle)
        self.loading[worker.ready_ref] = worker
        worker.quiet_since, worker.nodes = None, ()
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
        """Take note of a loaded worker. One that came later than the first crew and says that it cannot do its work at
        all (the model is missing on its node, say) is done without, if others do that work.

        Raises:
            JobError: what it says, otherwise.
        """
        worker.device, problem, *nodes = self.result(worker.ready_ref)
        if problem:
            if not (self._complete and self._can_do_without(worker)):
                raise JobError(problem, code="cluster")
            self._do_without(worker, problem)
            return
        del self.loading[worker.ready_ref]
        self._complete = self._complete or not self.loading
        worker.ready_ref = None
        worker.deaths_while_loading = 0
        worker.quiet_since = time.monotonic()
        worker.nodes = tuple(nodes)

    def replace(self, worker: Worker, why: str) -> None:
        """End what is left of an actor and start another in its place, unless it was about to leave.

        Raises:
            JobError: it died again and again before it had loaded.
        """
        if worker.leaving:
            self.dismiss(worker)
            return
        self.kill(worker)
        if not worker.loaded:
            worker.deaths_while_loading += 1
            if worker.deaths_while_loading >= _LOAD_ATTEMPTS:
                if self._can_do_without(worker):
                    self._do_without(worker, why)
                    return
                raise JobError(
                    f"The worker {worker.name} died {_LOAD_ATTEMPTS} times while it loaded its part of the model: "
                    f"{why.rstrip('.')}.{_advice(why)}",
                    code="cluster",
                )
        if self._wanted is not None and head_answers():  # it may have gone with its node
            self._homes.devices = devices_of_cluster(wait=False)
            self._looked = 0.0
        self._start(worker)

    def _can_do_without(self, worker: Worker) -> bool:
        others = [other for other in self.workers if other is not worker and other.loaded]
        return all(any(stage in other.stages for other in others) for stage in worker.stages)

    def _do_without(self, worker: Worker, why: str) -> None:
        """Nobody is hired in its place before the cluster changes."""
        logger.warning("Worker %s is done without: %s", worker.name, why)
        self._posts[worker.post] -= 1
        self.dismiss(worker)

    def excuses(self, worker: Worker) -> bool:
        """Whether it was no call's fault that a worker was lost: its node had been told to leave."""
        if worker.leaving or self._warned.intersection(worker.nodes):
            return True
        return bool(self._wanted and head_answers() and self._draining().intersection(worker.nodes))

    def look(self) -> list[Worker]:
        """Notice, every few seconds, what nodes have come, have gone or were told to leave: workers on those that leave
        take no more calls, others are hired where there is room. Returns whoever is to take no more calls from now on.
        """
        if self._wanted is None or time.monotonic() - self._looked < LOOK_SEC:
            return []
        self._looked = time.monotonic()
        if not head_answers():  # Ray would keep a core busy with asking until it gives up
            return []
        told = self._draining()
        leaving = [worker for worker in self.workers if told.intersection(worker.nodes) and not worker.leaving]
        for worker in leaving:
            worker.leaving = True
            logger.warning("Worker %s takes no more calls: its node was told to leave the cluster.", worker.name)
        devices = devices_of_cluster(wait=False)
        self._homes.devices = devices
        if devices.nodes and devices != self._known:
            self._known = devices
            self._posts = {**self._posts, **self._wanted(devices)}
            replicas = sum(self._posts.get(role.title, 0) for role in self.layout.roles if "denoise" in role.stages)
            self._posts |= {"finish": finishers(replicas)} if "finish" in self._posts else {}
        return leaving + self._fill_posts()

    def _draining(self) -> set[str]:
        self._warned |= draining()
        return self._warned

    def _fill_posts(self) -> list[Worker]:
        """Hire who is missing. Returns who is too many: those first that have not loaded, then the latest."""
        surplus = []
        for post, wanted in self._posts.items():
            here = [worker for worker in self.workers if worker.post == post and not worker.leaving]
            for _ in range(wanted - len(here)):
                assert self._hire is not None, "who wants workers says who they are"
                worker = self._hire(f"{post}-{self._hired[post]}")
                self._hired[post] += 1
                self.workers.append(worker)
                self._start(worker)
                logger.warning("Worker %s joins.", worker.name)
            for worker in sorted(here, key=lambda one: one.loaded)[: len(here) - wanted]:
                worker.leaving = True
                surplus.append(worker)
                logger.warning("Worker %s leaves: there is no room for it any more.", worker.name)
        return surplus

    def dismiss(self, worker: Worker) -> None:
        """End a worker for good."""
        self.kill(worker)
        self.workers.remove(worker)

    def grant(self, seconds: float) -> None:
        """Count some seconds for nobody, in which nobody has looked at what they did."""
        for worker in self.workers:
            worker.started += seconds
            if worker.quiet_since is not None:
                worker.quiet_since += seconds

    def check_loading(self) -> None:
        """Notice workers that never begin.

        Raises:
            JobError: one has waited for half an hour, and nobody else does its work; or Ray cannot start any.
        """
        if len(self.loading) == len(self.workers) and (words := stillborn()) is not None:
            raise JobError(
                f"Ray's workers cannot be started on this machine: {words or 'they say nothing'}.", code="cluster"
            )
        for worker in self.loading.values():
            late = time.monotonic() - worker.started > LOAD_PATIENCE_SEC
            if late and not self._can_do_without(worker):
                raise JobError(
                    f"The worker {worker.name} has not loaded for {LOAD_PATIENCE_SEC / 60:.0f} minutes: the cluster "
                    "has no free device for it, or it hangs. Ask for fewer `replicas`, or look at the cluster.",
                    code="cluster",
                )

    def kill(self, worker: Worker) -> None:
        """End an actor, whatever it does."""
        self.loading.pop(worker.ready_ref, None)
        self._homes.left(worker.nodes)
        worker.stop(worker.handle)


def _advice(why: str) -> str:
    """What to do about a worker that cannot load: memory is blamed only where something speaks for it."""
    need_less = "fewer `replicas` or a smaller model need less."
    if WITHOUT_REASON in why:
        where = "What its process said is in Ray's logs on its node. " if joined() else "Its process said nothing. "
        return f" {where}Where the system ended it for want of memory, {need_less}"
    return f" {need_less.capitalize()}" if "memory" in why.lower() else ""


def finishers(replicas: int) -> int:
    """How many workers finish pictures for so many that denoise."""
    return -(-replicas // REPLICAS_PER_FINISHER)
