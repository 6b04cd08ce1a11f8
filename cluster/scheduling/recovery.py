"""What a lost worker costs: the calls that it held, which are made anew, and a strike for the oldest of them.

The oldest call is a suspect: it runs alone from then on. Three workers lost alone, and a unit is split; a request or an
input that loses three workers alone has failed as `worker_crash`, and its former neighbours go on. Memory that does not
suffice costs no worker: batches are halved where they are computed (see `cluster.protocol.batch_limits`), and what does
not fit even row by row has a device for itself before it fails.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pressrun.cluster.protocol.unit import Unit
from pressrun.cluster.runtime.ray_errors import internal_error_message
from pressrun.cluster.scheduling.flight import Call, EncodeTask, InFlightUnit
from pressrun.cluster.scheduling.in_flight import InFlight

STRIKES = 3
LOSSES = 10
"""Times that a unit's inputs may be lost with a node before the unit is given up."""


def after_loss(flights: InFlight, calls: Sequence[Call], excused: bool = False) -> None:
    """A worker was lost with these calls, the oldest first. It is `excused` where no call can have been the reason."""
    for place, call in enumerate(calls):
        if not excused:
            call.cause.suspect = call.cause.suspect or place == 0
            call.cause.strikes += len(calls) == 1
        if isinstance(call.cause, EncodeTask):
            _encode_again(flights, call.cause)
        elif call.cause.strikes >= STRIKES:
            _split(flights, call.cause)
        else:
            flights.wait(call.cause)


def after_no_room(flights: InFlight, flight: InFlightUnit, why: tuple[str, str]) -> None:
    """Not even one row of a flight fits the device that was to compute it. Code and sentence tell `why`."""
    if flight.suspect:
        flights.fail_all(flight, *why)
        return
    flight.suspect = True
    flights.wait(flight)


def after_error(flights: InFlight, cause: InFlightUnit | EncodeTask, loss: str, error: Exception) -> None:
    """A call raised and its worker is well: what it was given is gone (`loss` is "input"), or the fault is ours."""
    if isinstance(cause, EncodeTask) and loss == "input" and cause.losses < LOSSES:
        cause.losses, cause.pixels = cause.losses + 1, None
        flights.send(cause)
    elif isinstance(cause, EncodeTask):
        flights.give_up(cause, "internal_error", internal_error_message(error))
    elif loss == "input" and cause.losses < LOSSES:
        _step_back(flights, cause)
    else:
        flights.fail_all(cause, "internal_error", internal_error_message(error))


def _step_back(flights: InFlight, flight: InFlightUnit) -> None:
    """What a call was given went down with a node: make it again, from the last thing that is still there."""
    flight.losses += 1
    if flight.stage == "finish":
        flights.move(flight, "decode")
        return
    if flight.stage == "denoise":
        flights.inputs.forget(flight.keys)
    flights.ask_for_inputs(flight)


def _encode_again(flights: InFlight, errand: EncodeTask) -> None:
    """Suspects are encoded one by one; one that loses three workers alone is given up."""
    if errand.strikes >= STRIKES and len(errand.keys) == 1:
        text = f"Encoding it alone ended {STRIKES} workers; look at the prompt or the reference."
        flights.give_up(errand, "worker_crash", text)
    elif errand.suspect:
        strikes = errand.strikes if len(errand.keys) == 1 else 0
        for key in errand.keys:
            flights.send(EncodeTask([key], True, strikes, errand.pixels))
    else:
        flights.send(errand)


def _split(flights: InFlight, flight: InFlightUnit) -> None:
    """After three strikes: a unit's requests go on one by one, a request alone has failed."""
    if len(flight.unit.items) == 1:
        text = f"Rendering it alone ended {STRIKES} workers (memory?); try it smaller or with fewer references."
        flights.fail_all(flight, "worker_crash", text)
        return
    for part in _one_by_one(flight.unit):
        flights.launch(part)
    flights.land(flight)


def _one_by_one(unit: Unit) -> Iterator[Unit]:
    for item in unit.items:
        yield replace(unit, items=(item,), cost=unit.cost / len(unit.items))
