"""Room: how many rows of a shape the memory of a kind of device holds at once, as it was found out by running out.

A batch that did not fit is halved, its unit is computed again in smaller ones, and all units of that shape that come
to devices of that kind are computed so from then on. Each replica remembers for itself, so that it runs out once for
each halving at most; the driver remembers for all of them, and the job's folder for the next run.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pressrun.cluster.protocol.spec import ModelSpec
from pressrun.cluster.protocol.unit import Unit
from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.memory import attempt
from pressrun.pipeline.models.precision import WEIGHT_BYTES

T = TypeVar("T")

OUT_OF_MEMORY = "out_of_memory"
"""The code of rows that a device does not hold even one by one."""


@dataclass(frozen=True)
class BatchLimit:
    """On `device` (as the results name it) `rows` pictures of that size, with references of so many tokens each, are
    denoised at once, because `wanted` did not fit."""

    device: str
    width: int
    height: int
    reference_tokens: int
    rows: int
    wanted: int


class BatchLimits:
    """What is known so far. Steps and guidance do not count: memory does not depend on them."""

    def __init__(self, known: Iterable[BatchLimit] = ()) -> None:
        self._fits: dict[tuple[str, int, int, int], BatchLimit] = {}
        self.learn(*known)

    @property
    def fits(self) -> tuple[BatchLimit, ...]:
        """Every shape that has less than its own batch size, in the order in which that was found out."""
        return tuple(self._fits.values())

    def fitted(self, device: str, unit: Unit) -> Unit:
        """The unit with as large a batch as fits, as far as that is known: itself, unless it is too large."""
        fit = self._fits.get(_place(device, unit.shape))
        return unit if fit is None or unit.batch <= fit.rows else replace(unit, batch=fit.rows)

    def learn(self, *fits: BatchLimit) -> None:
        """Take over what somebody else knows; of two sizes of a shape the smaller one is known to fit."""
        for fit in fits:
            place = fit.device, fit.width, fit.height, fit.reference_tokens
            known = self._fits.get(place, fit)
            self._fits[place] = replace(fit, rows=min(fit.rows, known.rows), wanted=max(fit.wanted, known.wanted))

    def remember(self, device: str, unit: Unit, rows: int) -> None:
        """The unit's batch did not fit; so many rows do, or are to be tried."""
        self.learn(BatchLimit(*_place(device, unit.shape), rows, unit.batch))

    def most(self, device: str, unit: Unit, compute: Callable[[Unit], T]) -> tuple[T | None, int]:
        """What `compute` makes of the unit with the largest batch that fits, and that batch; None and 0 where not even
        one row does. Whatever was computed in larger batches is computed again: a unit has one batch size."""
        while True:
            sized = self.fitted(device, unit)
            made = attempt(compute, sized)
            if made is not None:
                return made, sized.batch
            if sized.batch == 1:
                return None, 0
            self.remember(device, sized, sized.batch // 2)


def _place(device: str, shape: Shape) -> tuple[str, int, int, int]:
    return device, shape.width, shape.height, shape.reference_tokens


def no_room(spec: ModelSpec, device: str, what: str, shape: Shape | None = None) -> tuple[str, str]:
    """Code and sentence for what did not fit even alone: `what` an actor of `spec` was to do, for pictures of `shape`,
    and what can be done about it."""
    size = "" if shape is None else f" of {shape.width} x {shape.height}"
    if shape and shape.reference_tokens and what.startswith("denoise"):
        size += f" with {shape.reference_tokens:,} tokens of references"
    advice = list[str]()
    if shape:
        advice.append("a smaller size")
        advice += ["fewer references"] if "references" in size else []
    if spec.stages != ("decode",) and WEIGHT_BYTES[spec.precision] > WEIGHT_BYTES["fp8"]:
        advice.append("precision fp8")
    if len(spec.stages) > 1:
        advice.append("layout staged")
    if "denoise" in spec.stages:
        advice.append("more shards")
    advice.append("a device with more memory")
    listed = ", ".join(advice[:-1]) + (" or " if len(advice) > 1 else "") + advice[-1]
    model = Path(spec.model).name
    return OUT_OF_MEMORY, f"{model} in {spec.precision} cannot {what}{size} in the memory of {device}; try {listed}."
