"""A crew without Ray: replicas that take as long as measured ones, on a clock that jumps from event to event.

What is real is everything above Ray: the plan, the dispatcher, units made and pickled, reports unpickled. Its CPU
seconds are counted and pass on the simulated clock as well, so that a driver that is too slow leaves replicas waiting.
What Ray itself takes of the driver's process is not here to be counted and is added as `RayCosts`, from measurement.
"""

import heapq
import itertools
import pickle
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ray import cloudpickle

from pressrun.cluster.placement.layout import Layout, Role
from pressrun.cluster.protocol.unit import Outcome, Report, Unit
from pressrun.cluster.scheduling.worker import DENOISE_SLOTS, FINISH_SLOTS, Worker
from pressrun.cluster.scheduling.worker_pool import REPLICAS_PER_FINISHER, WorkerPool

STAGES = ("encode", "denoise", "decode")
DEVICE = "cpu AVX512, torch 2.13.0+cpu"


@dataclass(frozen=True)
class RayCosts:
    """Seconds of the driver's process: `call` for a call from submission to its report, `wait` for asking how one more
    outstanding report stands; and `latency` that a call or a report is under way."""

    call: float = 0.00036
    wait: float = 0.0000002
    latency: float = 0.001


@dataclass(frozen=True)
class Service:
    """Mean seconds of a prompt's encoding, and of decoding and finishing one picture; a unit's denoising takes its
    cost. Every time is drawn from `spread`: measured times over their mean."""

    encode: float
    decode: float
    finish: float
    spread: Sequence[float] = (1.0,)


class SimulatedWorkerPool(WorkerPool):
    """`now` is the simulated time, `cpu` what the dispatcher and whoever runs it have spent in reality, `ray` what Ray
    would have spent beside, `idle` how long the driver had nothing to do."""

    def __init__(self, replicas: int, service: Service, costs: RayCosts, seed: int = 0) -> None:
        self._time, self.cpu, self.ray, self.idle, self.calls = 1e9, 0.0, 0.0, 0.0, 0
        self._costs, self._service, self._random = costs, service, random.Random(seed)
        self._events: list[tuple[float, int, Any]] = []
        self._answers: dict[Any, bytes] = {}
        self._numbers = itertools.count()
        self._mark = time.thread_time()
        layout = Layout("whole", replicas, (Role(STAGES, replicas, 0.0),), "cpu")
        workers = [Worker(f"replica-{n}", STAGES, DENOISE_SLOTS, self._actor(1)) for n in range(replicas)]
        for number in range(-(-replicas // REPLICAS_PER_FINISHER)):
            workers.append(Worker(f"finish-{number}", ("finish",), FINISH_SLOTS, self._actor(FINISH_SLOTS)))
        super().__init__(layout, workers)

    def _actor(self, computing: int) -> Callable[[], Any]:
        return lambda: _Actor(self, computing)

    def now(self) -> float:
        self._charge()
        return self._time

    def returned(self, refs: list[Any], timeout_sec: float) -> list[Any]:
        self._charge(len(refs) * self._costs.wait)
        if not self._events or self._events[0][0] > self._time:
            until = min(self._events[0][0] if self._events else self._time, self._time + timeout_sec)
            self.idle += until - self._time
            self._time = until
        ready = []
        while self._events and self._events[0][0] <= self._time:
            ready.append(heapq.heappop(self._events)[-1])
        self._mark = time.thread_time()
        return ready

    def result(self, ref: Any) -> Any:
        return pickle.loads(self._answers.pop(ref))

    def replace(self, worker: Worker, why: str) -> None:
        raise RuntimeError(f"nobody dies in a simulation, but {worker.name} did: {why}")

    def close(self) -> None:
        """Nothing was started."""

    def _charge(self, ray: float = 0.0) -> None:
        """What was spent in reality since the last event, and by Ray, passes on the simulated clock."""
        spent = time.thread_time() - self._mark
        self.cpu += spent
        self.ray += ray
        self._time += spent + ray
        self._mark = time.thread_time()

    def submit(self, actor: "_Actor", stage: str, arguments: tuple[Any, ...], payload: int) -> Any:
        """One call: pickled as Ray would, computed when its actor comes to it."""
        data = cloudpickle.dumps(arguments)
        self._charge(self._costs.call)
        self.calls += 1
        seconds = self._seconds(stage, arguments) * self._random.choice(self._service.spread)
        started = max(self._time + self._costs.latency, heapq.heappop(actor.free_at))
        heapq.heappush(actor.free_at, started + seconds)
        report = self._report(stage, started, started + seconds, arguments, len(data))
        ref = f"report-{next(self._numbers)}"
        self._answers[ref] = pickle.dumps(report)
        heapq.heappush(self._events, (started + seconds + self._costs.latency, next(self._numbers), ref))
        self._mark = time.thread_time()
        return [*[f"object-{next(self._numbers)}" for _ in range(payload)], ref] if payload else ref

    def _seconds(self, stage: str, arguments: tuple[Any, ...]) -> float:
        if stage == "ready":
            return 0.0
        if stage == "encode":
            return self._service.encode * len(arguments[0])
        unit: Unit = arguments[0]
        if stage == "denoise":
            return unit.cost
        return len(unit.items) * (self._service.decode if stage == "decode" else self._service.finish / FINISH_SLOTS)

    def _report(self, stage: str, started: float, ended: float, arguments: tuple[Any, ...], size: int) -> Any:
        if stage == "ready":
            return DEVICE, ""
        if stage == "encode":
            return Report(stage, started, ended, DEVICE, 1, sizes=(48 * 384 * 4,) * len(arguments[0]))
        if stage != "finish":
            return Report(stage, started, ended, DEVICE, 1)
        return Report(stage, started, ended, "cpu", 1, outcomes=tuple(map(_succeeded, arguments[0].items)))


def _succeeded(item: Any) -> Outcome:
    size = item.request.width, item.request.height
    keys = {"render_key": item.render_key, "finish_key": item.finish_key, "device": DEVICE}
    facts = {"image": item.path, "sha256": "0" * 64, "bytes": 20_000, "seconds": {"finish": 0.01}}
    return Outcome(item.row, item.request.custom_id, "succeeded", width=size[0], height=size[1], **keys, **facts)


class _Actor:
    """What a handle looks like from the dispatcher: `actor.denoise.options(num_returns=2).remote(unit, …)`."""

    def __init__(self, crew: SimulatedWorkerPool, computing: int) -> None:
        self._crew, self.free_at = crew, [0.0] * computing

    def __getattr__(self, method: str) -> "_Method":
        return _Method(self._crew, self, method.partition("_")[0])


class _Method:
    def __init__(self, crew: SimulatedWorkerPool, actor: _Actor, stage: str, payload: int = 0) -> None:
        self._crew, self._actor, self._stage, self._payload = crew, actor, stage, payload

    def options(self, num_returns: int) -> "_Method":
        return _Method(self._crew, self._actor, self._stage, num_returns - 1)

    def remote(self, *arguments: Any) -> Any:
        return self._crew.submit(self._actor, self._stage, arguments, self._payload)
