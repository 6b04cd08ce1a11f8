"""The dispatcher: units go through encode, denoise, decode and finish on the crew, and come back as outcomes.

Read `Dispatcher.run` first: admit, bind, collect, until nothing is left. A unit is bound to the least-loaded worker
of its next stage when its inputs are ready, costliest first, and its slot on a denoise replica is free again when
*denoise* ends. Only reports visit this process; tensors go from actor to actor. A lost worker costs the calls that
it held: they are bound anew, and what was oldest on it takes a strike (see `recovery`).
"""

import logging
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from threading import Event
from typing import Any

import ray

from cluster.crew import FINISH_SLOTS, Crew, Worker
from cluster.flight import Call, Errand, Flight
from cluster.inputs import EMPTY_PROMPT, Inputs, Key, keys_of
from cluster.recovery import bug, is_loss, sentence, split
from cluster.timeline import STAGES, Timeline
from cluster.unit import Item, Outcome, Report, Unit
from pipeline.errors import StorageError

logger = logging.getLogger(__name__)

PATIENCE_SEC = 900.0
STRIKES = 3
LOSSES = 10
"""Times that a unit's inputs may be lost with a node before the unit is given up."""
_URGENCY = ("decode", "finish", "denoise")  # what is furthest is bound first, so that memory is freed


class Dispatcher:
    """One run's loop. `rendered` counts the pictures that were denoised, `timeline` when and where each call ran."""

    def __init__(self, crew: Crew, *, patience_sec: float = PATIENCE_SEC) -> None:
        self.rendered = 0
        self.timeline = Timeline()
        self._crew = crew
        self._patience = patience_sec
        self._inputs = Inputs()
        self._flights: dict[int, Flight] = {}
        self._to_encode: deque[Errand] = deque()
        self._pending: dict[Any, Call] = {}
        self._outcomes: list[Outcome] = []
        self._storage_error: str | None = None
        self._numbers = 0
        replicas = crew.layout.replicas
        self._ahead = 2 * replicas + 2  # units before the end of denoise
        self._in_flight = 4 * replicas + 6  # units anywhere: what a slow store may pile up

    def run(self, units: Iterator[Unit], stop: Event) -> Iterator[list[Outcome]]:
        """Yield outcomes as they come, at least twice a second (then perhaps none), until all are in or `stop` is set.

        Raises:
            StorageError: the store failed although it was asked again; what is in flight is given up.
            JobError: workers cannot be started.
        """
        more = True
        while not stop.is_set():
            if self._outcomes:
                outcomes, self._outcomes = self._outcomes, []
                yield outcomes
            if self._storage_error:
                raise StorageError(self._storage_error)
            more = more and self._admit(units)
            self._bind()
            if self._outcomes:
                continue
            if not more and not self._flights:
                return
            self._collect()
            if not self._outcomes:
                yield []
        if self._outcomes:
            yield self._outcomes

    def calls_at_once(self) -> dict[str, int]:
        """How many calls of each stage can run at the same time."""
        workers = {stage: self._crew.of(stage) for stage in STAGES}
        return {
            stage: sum(FINISH_SLOTS if stage == "finish" else worker.shards for worker in workers[stage])
            for stage in STAGES
        }

    # 1. Admit: a bounded number of units ahead of the denoisers.

    def _admit(self, units: Iterator[Unit]) -> bool:
        while len(self._flights) < self._in_flight and self._before_denoised() < self._ahead:
            unit = next(units, None)
            if unit is None:
                return False
            self._launch(unit)
        return True

    def _before_denoised(self) -> int:
        return sum(flight.stage in ("encode", "denoise") for flight in self._flights.values())

    def _launch(self, unit: Unit) -> None:
        self._numbers += 1
        flight = Flight(self._numbers, unit, set(keys_of(unit.items, unit.shape.classifier_free)))
        self._flights[flight.number] = flight
        self._ask_for_inputs(flight)

    def _ask_for_inputs(self, flight: Flight) -> None:
        prompts: list[Key] = []
        for key in keys_of(flight.unit.items, flight.unit.shape.classifier_free):
            entry = self._inputs.take(key, flight.number)
            if entry.asked or entry.failure(key):
                continue
            entry.asked = True
            if isinstance(key, str):
                prompts.append(key)
            else:
                self._to_encode.append(Errand([key]))
        if prompts:
            self._to_encode.append(Errand(prompts))
        flight.stage = "encode"
        self._check_inputs(flight)

    def _check_inputs(self, flight: Flight) -> None:
        """Move a flight on to denoise once all its inputs are there; fail the items whose inputs cannot be had."""
        guided = flight.unit.shape.classifier_free
        wanted = keys_of(flight.unit.items, guided)
        if not all(key in self._inputs for key in wanted):
            self._ask_for_inputs(flight)  # some were lost with a node while others were awaited
            return
        missing = [key for key in wanted if not self._inputs[key].ready and not self._inputs[key].failure(key)]
        if missing:
            if not all(self._inputs[key].asked for key in missing):
                self._ask_for_inputs(flight)  # from another place that has the same bytes
            return
        good = []
        for item in flight.unit.items:
            entries = [(self._inputs[key], key) for key in keys_of((item,), guided)]
            failure = next((entry.failure(key) for entry, key in entries if not entry.ready), None)
            if failure:
                self._fail(flight, item, *failure)
            else:
                good.append(item)
        if not good:
            self._land(flight)
            return
        flight.unit = replace(flight.unit, items=tuple(good))
        needed = set(keys_of(flight.unit.items, guided))
        self._inputs.release(flight.keys - needed, flight.number)
        flight.keys = needed
        flight.stage = "denoise"

    # 2. Bind: whatever is ready goes to the least-loaded worker with a free slot, costliest first.

    def _bind(self) -> None:
        while self._to_encode:
            worker = self._free_worker("encode", self._to_encode[0])
            if worker is None:
                break
            self._encode(worker, self._to_encode.popleft())
        bound = {call.cause.number for call in self._pending.values() if isinstance(call.cause, Flight)}
        for stage in _URGENCY:
            ready = [f for f in self._flights.values() if f.stage == stage and f.number not in bound]
            for flight in sorted(ready, key=lambda f: (-f.unit.cost, f.unit.index)):
                worker = self._free_worker(stage, flight)
                if worker is not None:
                    self._submit(worker, flight)

    def _free_worker(self, stage: str, cause: Flight | Errand) -> Worker | None:
        """Nothing is bound before a worker has loaded, so that whoever dies while loading has nobody else to blame.
        A suspect runs alone on its worker, and nothing joins it there."""
        free = [
            worker
            for worker in self._crew.of(stage)
            if worker.loaded
            and not (cause.suspect and worker.calls)
            and worker.load(stage) < worker.slots
            and not any(call.cause.suspect for call in worker.calls)
        ]
        return min(free, key=lambda worker: len(worker.calls), default=None)

    def _encode(self, worker: Worker, errand: Errand) -> None:
        keys = errand.keys
        if isinstance(keys[0], str):
            refs = worker.handle.encode_prompts.options(num_returns=len(keys) + 1).remote(keys)
        else:
            refs = worker.handle.encode_reference.options(num_returns=2).remote(keys[0])
        self._track(Call("encode", worker, refs[:-1], errand), refs[-1])

    def _submit(self, worker: Worker, flight: Flight) -> None:
        unit, handle = flight.unit, worker.handle
        if flight.stage == "denoise":
            if not all(key in self._inputs and self._inputs[key].ready for key in flight.keys):
                self._ask_for_inputs(flight)  # they were lost, or forgotten, since they arrived
                return
            inputs = [self._inputs[item.request.prompt].ref for item in unit.items]
            inputs += [self._inputs[reference].ref for item in unit.items for reference in item.references]
            if unit.shape.classifier_free:
                inputs.append(self._inputs[EMPTY_PROMPT].ref)
            flight.attempts += 1
            # A leader passes them on without ever holding them: inside a list Ray leaves them where they are.
            arguments = [inputs] if worker.shards > 1 else inputs
            refs = handle.denoise.options(num_returns=2).remote(unit, *arguments)
        elif flight.stage == "decode":
            refs = handle.decode.options(num_returns=2).remote(unit, flight.latents)
        else:
            refs = [handle.finish.remote(unit, flight.device, flight.pixels)]
        self._track(Call(flight.stage, worker, refs[:-1], flight), refs[-1])

    def _track(self, call: Call, report: Any) -> None:
        if not call.worker.calls and call.worker.quiet_since is not None:
            call.worker.quiet_since = time.monotonic()
        call.worker.calls.append(call)
        self._pending[report] = call

    # 3. Collect: reports, workers that have loaded, workers that are lost.

    def _collect(self) -> None:
        loading = {worker.ready_ref: worker for worker in self._crew.workers if worker.ready_ref is not None}
        refs = [*self._pending, *loading]
        if not refs:
            raise RuntimeError(f"units are left but nobody works on them: {list(self._flights.values())}")
        ready, _ = ray.wait(refs, num_returns=1, timeout=0.5, fetch_local=False)
        if ready and len(refs) > 1:
            ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
        for ref in ready:
            if ref in loading:
                if loading[ref].ready_ref is ref:  # not if it was replaced a moment ago
                    self._loaded(loading[ref])
            elif ref in self._pending:  # not if its worker was given up a moment ago
                self._returned(ref)
        now = time.monotonic()
        for worker in list(self._crew.workers):
            if worker.calls and worker.quiet_since is not None and now - worker.quiet_since > self._patience:
                self._lose(worker, f"no progress for {self._patience:.0f} s")
        self._crew.check_loading()

    def _loaded(self, worker: Worker) -> None:
        try:
            self._crew.became_ready(worker)
        except ray.exceptions.RayError as error:
            self._lose(worker, sentence(error))

    def _returned(self, ref: Any) -> None:
        call = self._pending[ref]
        try:
            report: Report = ray.get(ref)
        except ray.exceptions.RayError as error:
            self._broken(call, ref, error)
            return
        if report.lost:
            self._lose(call.worker, report.lost)
            return
        del self._pending[ref]
        call.worker.calls.remove(call)
        call.worker.quiet_since = time.monotonic()
        self._storage_error = self._storage_error or report.storage_error
        if isinstance(call.cause, Flight):
            self.timeline.add(report, call.worker.name, call.cause.unit.index)
            self._advanced(call, call.cause, report)
        else:
            self.timeline.add(report, call.worker.name, None)
            self._encoded(call, call.cause, report)

    def _encoded(self, call: Call, errand: Errand, report: Report) -> None:
        for place, key in enumerate(errand.keys):
            if key not in self._inputs:
                continue
            entry = self._inputs[key]
            failure = report.failures.get(place)
            if failure:
                entry.fail(key, failure)
            else:
                entry.ref = call.payload[place]
                self._inputs.arrived(key, report.sizes[place])
            for number in sorted(entry.users):
                flight = self._flights[number]
                share = report.seconds / len(errand.keys) / len(entry.users)
                flight.seconds["encode"] = flight.seconds.get("encode", 0.0) + share
                if flight.stage == "encode":
                    self._check_inputs(flight)

    def _advanced(self, call: Call, flight: Flight, report: Report) -> None:
        flight.seconds[call.stage] = report.seconds
        if call.stage == "finish":
            for outcome in report.outcomes:
                self._outcomes.append(self._timed(outcome, flight))
            self._land(flight)
            return
        flight.suspect, flight.strikes = False, 0  # it ran alone, and well
        if call.stage == "denoise":
            self.rendered += len(flight.unit.items)
            flight.device = report.device
            flight.latents = call.payload[0]  # kept until the outcome: a lost decoder repeats only its own work
            self._inputs.release(flight.keys, flight.number)
            flight.stage = "decode"
        else:
            flight.pixels = call.payload[0]
            flight.stage = "finish"

    def _timed(self, outcome: Outcome, flight: Flight) -> Outcome:
        per_item = {stage: seconds / len(flight.unit.items) for stage, seconds in flight.seconds.items()}
        return replace(outcome, attempts=max(1, flight.attempts), seconds=per_item | outcome.seconds)

    # 4. What went wrong.

    def _broken(self, call: Call, ref: Any, error: Exception) -> None:
        """A call raised: its worker is lost, or what it was given is, or the fault is ours."""
        loss = is_loss(error)
        if loss == "worker":
            self._lose(call.worker, sentence(error))
            return
        del self._pending[ref]
        call.worker.calls.remove(call)
        if isinstance(call.cause, Errand):
            self._give_up(call.cause, "internal_error", bug(error))
        elif loss == "input" and call.cause.losses < LOSSES:
            self._step_back(call.cause)
        else:
            for item in call.cause.unit.items:
                self._fail(call.cause, item, "internal_error", bug(error))
            self._land(call.cause)

    def _step_back(self, flight: Flight) -> None:
        """What a call was given went down with a node: make it again, from the last thing that is still there."""
        flight.losses += 1
        if flight.stage == "finish":
            flight.stage = "decode"
            return
        if flight.stage == "denoise":
            self._inputs.forget(flight.keys)
        self._ask_for_inputs(flight)

    def _lose(self, worker: Worker, why: str) -> None:
        """Replace a worker; its calls are bound anew, the oldest of them as a suspect."""
        calls, worker.calls = worker.calls, []
        held = ", ".join(map(str, calls)) or "nothing"
        logger.warning("Worker %s was lost (%s); it held: %s. Its work goes elsewhere.", worker.name, why, held)
        self._pending = {ref: call for ref, call in self._pending.items() if call.worker is not worker}
        self._crew.replace(worker, why)
        for place, call in enumerate(calls):
            call.cause.suspect = call.cause.suspect or place == 0
            call.cause.strikes += len(calls) == 1
            if isinstance(call.cause, Errand):
                self._encode_again(call.cause)
            elif call.cause.strikes >= STRIKES:
                self._split(call.cause)

    def _encode_again(self, errand: Errand) -> None:
        """Suspects are encoded one by one; one that loses three workers alone is given up."""
        if errand.strikes >= STRIKES and len(errand.keys) == 1:
            text = f"Encoding it alone ended {STRIKES} workers; look at the prompt or the reference."
            self._give_up(errand, "worker_crash", text)
        elif errand.suspect:
            strikes = errand.strikes if len(errand.keys) == 1 else 0
            self._to_encode.extend(Errand([key], True, strikes) for key in errand.keys)
        else:
            self._to_encode.append(errand)

    def _give_up(self, errand: Errand, code: str, message: str) -> None:
        for key in errand.keys:
            if key not in self._inputs:
                continue
            entry = self._inputs[key]
            entry.failures[""] = (code, message)
            for number in sorted(entry.users):
                if self._flights[number].stage == "encode":
                    self._check_inputs(self._flights[number])

    def _split(self, flight: Flight) -> None:
        """After three strikes: a unit's requests go on one by one, a request alone has failed."""
        if len(flight.unit.items) == 1:
            text = f"Rendering it alone ended {STRIKES} workers (memory?); try it smaller or with fewer references."
            self._fail(flight, flight.unit.items[0], "worker_crash", text)
        else:
            for part in split(flight.unit):
                self._launch(part)
        self._land(flight)

    def _fail(self, flight: Flight, item: Item, code: str, message: str) -> None:
        self._outcomes.append(
            Outcome(
                item.row,
                item.request.custom_id,
                "failed",
                render_key=item.render_key,
                attempts=max(1, flight.attempts),
                error_code=code,
                error_message=message,
            )
        )

    def _land(self, flight: Flight) -> None:
        self._inputs.release(flight.keys, flight.number)
        self._flights.pop(flight.number, None)
