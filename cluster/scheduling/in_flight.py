"""Units on their way, and the inputs that they wait for: which stage comes next for each, and what became of it.

Knows nothing of workers: the dispatcher binds what stands here to them and tells what came back.
"""

import heapq
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pressrun.cluster.protocol.batch_limits import OUT_OF_MEMORY
from pressrun.cluster.protocol.unit import Item, Outcome, Report, Unit
from pressrun.cluster.scheduling.conditioning_cache import Inputs, Key, keys_of
from pressrun.cluster.scheduling.flight import EncodeTask, InFlightUnit


class Ready:
    """Units that wait for a worker of one stage, costliest first. Suspects, which run alone, wait by themselves."""

    def __init__(self) -> None:
        self._heaps: dict[bool, list[tuple[float, int, int, InFlightUnit]]] = {False: [], True: []}

    def __len__(self) -> int:
        return sum(map(len, self._heaps.values()))

    def add(self, flight: InFlightUnit) -> None:
        """It waits from now on."""
        entry = (-flight.unit.cost, flight.unit.index, flight.number, flight)
        heapq.heappush(self._heaps[flight.suspect], entry)

    def has(self, suspect: bool) -> bool:
        """Whether a suspect waits, or whether somebody else does."""
        return bool(self._heaps[suspect])

    def take(self, suspect: bool) -> InFlightUnit:
        """The costliest of them, which waits no more."""
        return heapq.heappop(self._heaps[suspect])[-1]


class InFlight:
    """`errands` are inputs that nobody fetches or encodes yet, by what is to be done, `ready` units that nobody works
    on although their next stage could begin, `outcomes` what nobody has been told yet."""

    def __init__(self) -> None:
        self.inputs = Inputs()
        self.errands: dict[str, deque[EncodeTask]] = {"fetch": deque(), "encode": deque()}
        self.ready = {stage: Ready() for stage in ("denoise", "decode", "finish")}
        self.outcomes: list[Outcome] = []
        self._flights: dict[int, InFlightUnit] = {}
        self._numbers = 0
        self._at: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._flights)

    def __iter__(self) -> Iterator[InFlightUnit]:
        return iter(self._flights.values())

    def at(self, *stages: str) -> int:
        """How many flights have a call of one of these stages under way, or as their next."""
        return sum(self._at[stage] for stage in stages)

    def move(self, flight: InFlightUnit, stage: str) -> None:
        """Its next call is this stage's: it waits for a worker, or for its inputs."""
        self._at[flight.stage] -= 1
        self._at[stage] += 1
        flight.stage = stage
        self.wait(flight)

    def wait(self, flight: InFlightUnit) -> None:
        """It waits for a worker of its stage (again, if it had one)."""
        if flight.stage in self.ready:
            self.ready[flight.stage].add(flight)

    def launch(self, unit: Unit) -> None:
        """Set a unit on its way."""
        self._numbers += 1
        flight = InFlightUnit(self._numbers, unit, set(keys_of(unit.items, unit.shape.uses_cfg)))
        self._flights[flight.number] = flight
        self._at[flight.stage] += 1
        self.ask_for_inputs(flight)

    def ask_for_inputs(self, flight: InFlightUnit) -> None:
        """Have encoded whatever it needs that is neither there nor asked for."""
        prompts: list[Key] = []
        for key in keys_of(flight.unit.items, flight.unit.shape.uses_cfg):
            entry = self.inputs.take(key, flight.number)
            if entry.asked or entry.failure(key):
                continue
            entry.asked = True
            if isinstance(key, str):
                prompts.append(key)
            else:
                self.send(EncodeTask([key]))
        if prompts:
            self.send(EncodeTask(prompts))
        self.move(flight, "encode")
        self._check_inputs(flight)

    def send(self, errand: EncodeTask) -> None:
        """It waits for a worker (again, if it had one)."""
        self.errands[errand.stage].append(errand)

    def has_inputs(self, flight: InFlightUnit) -> bool:
        """Whether everything it needs is still there."""
        return all(key in self.inputs and self.inputs[key].ready for key in flight.keys)

    def _check_inputs(self, flight: InFlightUnit) -> None:
        """Move a flight on to denoise once all its inputs are there; fail the items whose inputs cannot be had."""
        if self.has_inputs(flight):
            self.move(flight, "denoise")
            return
        guided = flight.unit.shape.uses_cfg
        wanted = keys_of(flight.unit.items, guided)
        if not all(key in self.inputs for key in wanted):
            self.ask_for_inputs(flight)  # some were lost with a node while others were awaited
            return
        missing = [key for key in wanted if not self.inputs[key].ready and not self.inputs[key].failure(key)]
        if missing:
            if not all(self.inputs[key].asked for key in missing):
                self.ask_for_inputs(flight)  # from another place that has the same bytes
            return
        good = []
        for item in flight.unit.items:
            entries = [(self.inputs[key], key) for key in keys_of((item,), guided)]
            failure = next((entry.failure(key) for entry, key in entries if not entry.ready), None)
            if failure:
                self.fail(flight, item, *failure)
            else:
                good.append(item)
        if not good:
            self.land(flight)
            return
        flight.unit = replace(flight.unit, items=tuple(good))
        needed = set(keys_of(flight.unit.items, guided))
        self.inputs.release(flight.keys - needed, flight.number)
        flight.keys = needed
        self.move(flight, "denoise")

    def back(self, errand: EncodeTask, payload: list[Any], report: Report) -> None:
        """An errand has come back: its inputs are there, or it is known why not."""
        if report.stage == "fetch" and not report.failures:
            errand.pixels = payload[0]
            self.send(errand)
            return
        users: set[int] = set()
        for place, key in enumerate(errand.keys):
            if key not in self.inputs:
                continue
            entry = self.inputs[key]
            failure = report.failures.get(place)
            if failure and failure[0] == OUT_OF_MEMORY and not errand.suspect:
                self.send(
                    EncodeTask([key], suspect=True, pixels=errand.pixels)
                )  # with a whole device's memory for itself
                continue
            if failure:
                entry.fail(key, failure)
            else:
                entry.ref = payload[place]
                self.inputs.arrived(key, report.sizes[place])
            share = report.seconds / len(errand.keys) / max(1, len(entry.users))
            for number in entry.users:
                spent = self._flights[number].seconds
                spent["encode"] = spent.get("encode", 0.0) + share
            users |= entry.users
        for number in sorted(users):
            if self._flights[number].stage == "encode":
                self._check_inputs(self._flights[number])

    def give_up(self, errand: EncodeTask, code: str, message: str) -> None:
        """An errand's inputs cannot be had at all."""
        for key in errand.keys:
            if key not in self.inputs:
                continue
            entry = self.inputs[key]
            entry.failures[""] = (code, message)
            for number in sorted(entry.users):
                if self._flights[number].stage == "encode":
                    self._check_inputs(self._flights[number])

    def advance(self, flight: InFlightUnit, payload: list[Any], report: Report) -> None:
        """A stage of a flight is done."""
        flight.seconds[flight.stage] = report.seconds
        if flight.stage == "finish":
            self._tell(flight, report.outcomes)
            if report.again:  # with other seeds, through all stages; what it costs is the same
                share = flight.unit.cost * len(report.again) / len(flight.unit.items)
                self.launch(replace(flight.unit, items=report.again, cost=share))
            self.land(flight)
            return
        flight.suspect, flight.strikes = False, 0  # it ran alone, and well
        if flight.stage == "denoise":
            flight.device, flight.batch = report.device, report.batch
            flight.latents = payload[0]  # kept until the outcome: a lost decoder repeats only its own work
            self.inputs.release(flight.keys, flight.number)
            self.move(flight, "decode")
        else:
            flight.pixels = payload[0]
            self.move(flight, "finish")

    def _tell(self, flight: InFlightUnit, outcomes: Sequence[Outcome]) -> None:
        """Its outcomes are known; its seconds are its items' together."""
        each = {stage: seconds / len(flight.unit.items) for stage, seconds in flight.seconds.items()}
        for outcome in outcomes:
            outcome.attempts = max(1, flight.attempts) + outcome.reseeds
            outcome.seconds = each | outcome.seconds
            outcome.batch_rows = flight.batch
        self.outcomes += outcomes

    def fail(self, flight: InFlightUnit, item: Item, code: str, message: str) -> None:
        """One of its items has failed."""
        outcome = Outcome(item.row, item.request.custom_id, "failed", render_key=item.render_key)
        told = replace(outcome, attempts=max(1, flight.attempts), error_code=code, error_message=message)
        self.outcomes.append(told)

    def fail_all(self, flight: InFlightUnit, code: str, message: str) -> None:
        """Every item that it still has has failed."""
        for item in flight.unit.items:
            self.fail(flight, item, code, message)
        self.land(flight)

    def land(self, flight: InFlightUnit) -> None:
        """It is on its way no more."""
        self.inputs.release(flight.keys, flight.number)
        del self._flights[flight.number]
        self._at[flight.stage] -= 1
