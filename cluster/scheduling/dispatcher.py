"""The dispatcher: units go through encode, denoise, decode and finish on the crew, and come back as outcomes.

Read `Dispatcher.run` first: admit, bind, collect, until nothing is left. A unit is bound to the least-loaded worker
of its next stage when its inputs are ready, costliest first, and its slot on a denoise replica is free again when
*denoise* ends. Only reports visit this process; tensors go from actor to actor. A lost worker costs the calls that
it held: they are bound anew, and what was oldest on it takes a strike (see `recovery`).
"""

import logging
import time
from collections.abc import Iterator
from threading import Event
from typing import Any

import ray.exceptions

from pressrun.cluster.placement.requirements import PATIENCE_SEC
from pressrun.cluster.protocol.batch_limits import BatchLimits
from pressrun.cluster.protocol.unit import Outcome, Report, Unit
from pressrun.cluster.runtime.ray_errors import is_loss, sentence
from pressrun.cluster.scheduling.conditioning_cache import EMPTY_PROMPT
from pressrun.cluster.scheduling.flight import Call, EncodeTask, InFlightUnit
from pressrun.cluster.scheduling.free_slots import SlotIndex
from pressrun.cluster.scheduling.in_flight import InFlight
from pressrun.cluster.scheduling.recovery import after_error, after_loss, after_no_room
from pressrun.cluster.scheduling.timeline import STAGES, Timeline
from pressrun.cluster.scheduling.worker import Worker
from pressrun.cluster.scheduling.worker_pool import WorkerPool
from pressrun.pipeline.errors import StorageError

logger = logging.getLogger(__name__)

TICK_SEC = 0.5
"""How often it looks for workers that make no progress, and at least comes back to whoever runs it."""
_AWAY_SEC = 10.0
"""A turn of the loop that took longer says nothing of the workers: this process was stopped, or a store kept it."""
_URGENCY = ("decode", "finish", "denoise")  # what is furthest is bound first, so that memory is freed


class Dispatcher:
    """One run's loop. `rendered` counts the pictures that were denoised, `units` those sent on their way, `timeline`
    when and where each call ran. `room` is what is known of batches that are too large, and what becomes known."""

    def __init__(
        self, crew: WorkerPool, *, patience_sec: float = PATIENCE_SEC, room: BatchLimits | None = None
    ) -> None:
        self.rendered = self.units = 0
        self.timeline = Timeline()
        self._crew = crew
        self._room = room or BatchLimits()
        self._patience = patience_sec
        self._flights = InFlight()
        self._roster = SlotIndex()
        self._pending: dict[Any, Call] = {}
        self._more = True
        self._looked = time.monotonic()
        self._denoised = self._denoise_seconds = 0.0
        self._storage_error: str | None = None
        self._reach(crew.layout.replicas)

    @property
    def loaded(self) -> tuple[int, int]:
        """How many actors have loaded their part of the model, and how many there are."""
        actors = len(self._crew.workers)
        return actors - len(self._crew.loading), actors

    def run(self, units: Iterator[Unit], stop: Event) -> Iterator[list[Outcome]]:
        """Yield outcomes as they come, at least twice a second (then perhaps none), until all are in or `stop` is set.

        Raises:
            StorageError: the store failed although it was asked again; what is in flight is given up.
            JobError: workers cannot be started.
        """
        flights, self._more = self._flights, True
        while not stop.is_set():
            if flights.outcomes:
                outcomes, flights.outcomes = flights.outcomes, []
                yield outcomes
            if self._storage_error:
                raise StorageError(self._storage_error)
            if self._more:
                self._admit(units)
            self._bind()
            if flights.outcomes:
                continue
            if not self._more and not flights:
                return
            self._collect()
            if not flights.outcomes:
                yield []
        if flights.outcomes:
            yield flights.outcomes

    def busy(self) -> dict[str, float]:
        """Each stage's busy share in steady state, and the replicas': see `Timeline.shares`."""
        return self.timeline.shares({s: sum(worker.computing for worker in self._crew.of(s)) for s in STAGES})

    def unit_seconds(self, cost: float) -> float | None:
        """How long a replica denoises a unit of that cost, by those that it had; None before the first."""
        return cost * self._denoise_seconds / self._denoised if self._denoised else None

    def _reach(self, replicas: int) -> None:
        """How far it goes ahead of so many replicas."""
        self._ahead = 2 * replicas + 2  # units before the end of denoise
        self._in_flight = 4 * replicas + 6  # units anywhere: what a slow store may pile up

    # 1. Admit: a bounded number of units ahead of the denoisers.

    def _admit(self, units: Iterator[Unit]) -> None:
        while len(self._flights) < self._in_flight and self._flights.at("encode", "denoise") < self._ahead:
            unit = next(units, None)
            if unit is None:
                self._more = False
                self.timeline.ran_dry(self._crew.now())
                return
            self._flights.launch(unit)
            self.units += 1

    # 2. Bind: whatever is ready goes to the least-loaded worker with a free slot, costliest first.

    def _bind(self) -> None:
        for stage, errands in self._flights.errands.items():
            while errands and (worker := self._roster.free(stage, alone=errands[0].suspect)):
                self._send(stage, worker, errands.popleft())
        for stage in _URGENCY:
            ready = self._flights.ready[stage]
            for suspect in (True, False):
                while ready.has(suspect) and (worker := self._free_worker(stage, suspect)):
                    self._submit(worker, ready.take(suspect))

    def _free_worker(self, stage: str, suspect: bool) -> Worker | None:
        """Where a flight can go now. When the last units are left, each waits for whoever can compute it first, instead
        of behind another while others have nothing to do."""
        last = not self._more and self._flights.at("encode", "denoise") <= self._ahead // 2
        return self._roster.free(stage, alone=suspect, ahead=stage != "denoise" or not last)

    def _send(self, stage: str, worker: Worker, errand: EncodeTask) -> None:
        keys = errand.keys
        if stage == "fetch":
            refs = worker.handle.fetch.options(num_returns=2).remote(self._crew.job, keys[0])
        elif errand.pixels is not None:
            refs = worker.handle.encode_reference.options(num_returns=2).remote(errand.pixels)
        else:
            refs = worker.handle.encode_prompts.options(num_returns=len(keys) + 1).remote(keys)
        self._track(Call(stage, worker, refs[:-1], errand), refs[-1])

    def _submit(self, worker: Worker, flight: InFlightUnit) -> None:
        unit, handle = flight.unit, worker.handle
        if flight.stage == "denoise":
            if not self._flights.has_inputs(flight):
                self._flights.ask_for_inputs(flight)  # they were lost, or forgotten, since they arrived
                return
            there = self._flights.inputs
            inputs = [there[item.request.prompt].ref for item in unit.items]
            inputs += [there[reference].ref for item in unit.items for reference in item.references]
            if unit.shape.uses_cfg:
                inputs.append(there[EMPTY_PROMPT].ref)
            flight.attempts += 1
            # A leader passes them on without ever holding them: inside a list Ray leaves them where they are.
            arguments = [inputs] if worker.shards > 1 else inputs
            fitted = self._room.fitted(worker.device, unit)
            refs = handle.denoise.options(num_returns=2).remote(fitted, *arguments)
        elif flight.stage == "decode":
            refs = handle.decode.options(num_returns=2).remote(unit, flight.latents)
        else:
            refs = [handle.finish.remote(self._crew.job, unit, flight.device, flight.pixels)]
        self._track(Call(flight.stage, worker, refs[:-1], flight), refs[-1])

    def _track(self, call: Call, report: Any) -> None:
        if not call.worker.calls and call.worker.quiet_since is not None:
            call.worker.quiet_since = time.monotonic()
        call.worker.calls.append(call)
        self._roster.update(call.worker)
        self._pending[report] = call

    # 3. Collect: reports, workers that have loaded, workers that are lost.

    def _collect(self) -> None:
        loading = self._crew.loading
        refs = [*self._pending, *loading]
        if not refs:
            raise RuntimeError(f"units are left but nobody works on them: {list(self._flights)}")
        for ref in self._crew.returned(refs, TICK_SEC):
            if ref in self._pending:  # not if its worker was given up a moment ago
                self._returned(ref)
            elif ref in loading:  # not if it was replaced a moment ago
                self._loaded(loading[ref])
        now = time.monotonic()
        if (passed := now - self._looked) >= min(TICK_SEC, self._patience):
            self._looked = now
            if passed > _AWAY_SEC:
                self._crew.grant(passed)
            self._look_for_quiet(now)

    def _look_for_quiet(self, now: float) -> None:
        for worker in list(self._crew.workers):
            if worker.calls and worker.quiet_since is not None and now - worker.quiet_since > self._patience:
                self._lose(worker, f"no progress for {self._patience:.0f} s")
        self._crew.check_loading()
        for worker in self._crew.look():
            self._roster.update(worker)
            self._let_go(worker)
        self._reach(max(1, self._crew.replicas))

    def _let_go(self, worker: Worker) -> None:
        """One that leaves goes when it holds no call any more."""
        if worker.leaving and not worker.calls:
            self._roster.remove(worker)
            self._crew.dismiss(worker)

    def _loaded(self, worker: Worker) -> None:
        try:
            self._crew.became_ready(worker)
        except ray.exceptions.RayError as error:
            self._lose(worker, sentence(error))
        else:
            self._roster.update(worker)

    def _returned(self, ref: Any) -> None:
        call = self._pending[ref]
        try:
            report: Report = self._crew.result(ref)
        except ray.exceptions.RayError as error:
            self._broken(call, ref, error)
            return
        if report.lost:
            self._lose(call.worker, report.lost)
            return
        self._take_back(call, ref)
        call.worker.quiet_since = time.monotonic()
        self._storage_error = self._storage_error or report.storage_error
        if isinstance(call.cause, InFlightUnit):
            self.timeline.add(report, call.worker.name, call.cause.unit.index)
            if report.failures:
                after_no_room(self._flights, call.cause, report.failures[0])
                return
            if call.stage == "denoise":
                self._denoised_one(call.cause.unit, report)
            self._flights.advance(call.cause, call.payload, report)
        else:
            self.timeline.add(report, call.worker.name, None)
            self._flights.back(call.cause, call.payload, report)

    def _denoised_one(self, unit: Unit, report: Report) -> None:
        self.rendered += len(unit.items)
        self._denoised += unit.cost
        self._denoise_seconds += report.seconds
        if report.batch is not None and report.batch < unit.batch:
            self._room.remember(report.device, unit, report.batch)

    def _take_back(self, call: Call, ref: Any) -> None:
        del self._pending[ref]
        call.worker.calls.remove(call)
        self._roster.update(call.worker)
        self._let_go(call.worker)

    # 4. What went wrong.

    def _broken(self, call: Call, ref: Any, error: Exception) -> None:
        """A call raised: its worker is lost, or what it was given is, or the fault is ours."""
        loss = is_loss(error)
        if loss == "worker":
            self._lose(call.worker, sentence(error), excused=getattr(error, "preempted", False))
            return
        self._take_back(call, ref)
        after_error(self._flights, call.cause, loss, error)

    def _lose(self, worker: Worker, why: str, excused: bool = False) -> None:
        """Replace a worker; its calls are bound anew."""
        excused = excused or self._crew.excuses(worker)
        calls, worker.calls = worker.calls, []
        held = ", ".join(map(str, calls)) or "nothing"
        logger.warning("Worker %s was lost (%s); it held: %s. Its work goes elsewhere.", worker.name, why, held)
        self._pending = {ref: call for ref, call in self._pending.items() if call.worker is not worker}
        self._roster.remove(worker)
        self._crew.replace(worker, why)
        after_loss(self._flights, calls, excused)
