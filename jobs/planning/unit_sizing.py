"""The pace: how large the next unit is, so that nobody waits for the driver in a job's middle or for others at its end.

A plan's units are of the size at which the device computes best. Two things change that as a run goes on:

- Many replicas with short units want more units a second than one driver sends. Then neighbours of one shape travel
  together, as one unit that is computed batch by batch.
- At the end every replica should stop at the same time. So no unit is larger than a fair part of what is left, as long
  as a smaller one costs less: where nothing is padded, units are cut, down to where a row alone costs too much.

Either way a row's pixels stay what they are: see the contract in `cluster.actors.batch` and
`pipeline.families.flux2.transformer`.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from pressrun.jobs.planning.plan import Plan, PlannedUnit

DRIVER_SEC = 0.0025
"""What a unit costs the driver: measured with `python -m tests.bench.scale`, rounded up."""

DRIVER_SHARE = 0.25
"""Of its time that the driver spends on units at most, so that it answers at once: beyond, units travel together."""

PARTS = 2
"""Units for each replica in what is left, at least, before a unit is cut; units that travel together may take half of
that each, since smaller ones follow."""


@dataclass(frozen=True)
class UnitSizer:
    """For a crew of `replicas`. `unit_seconds` tells, given a unit's cost, how long a replica takes for one of it, and
    None as long as nobody knows; `together`: whether a replica takes several batches as one unit."""

    replicas: int = 1
    unit_seconds: Callable[[float], float | None] = lambda cost: None
    together: bool = False

    def units(self, plan: Plan) -> Iterator[PlannedUnit]:
        """The plan's rows in its order, as the units that are sent."""
        left, number, index = plan.cost, 0, 0
        while number < len(plan):
            unit = plan[number]
            number += 1
            round_cost = self._round_cost(unit.cost, plan)
            fair = max(left / (PARTS * self.replicas), round_cost)
            wanted = min(PARTS * fair, round_cost / DRIVER_SHARE) if self.together else 0.0
            while number < len(plan) and plan[number].shape == unit.shape and unit.cost + plan[number].cost <= wanted:
                unit = replace(unit, rows=unit.rows + plan[number].rows, cost=unit.cost + plan[number].cost)
                number += 1
            left -= unit.cost
            for part in _cut(plan, unit, max(fair, wanted)):
                yield replace(part, index=index)
                index += 1

    def _round_cost(self, cost: float, plan: Plan) -> float:
        """The cost of a unit that takes as long as the driver takes to send one to every replica: smaller ones would
        spare nobody a wait. 0.0 as long as nobody knows how long units like this one take."""
        seconds = self.unit_seconds(cost) or (cost if plan.sizes.curve else 0.0)
        return cost * self.replicas * DRIVER_SEC / seconds if seconds else 0.0


def _cut(plan: Plan, unit: PlannedUnit, fair: float) -> Iterator[PlannedUnit]:
    rows = len(unit.rows)
    parts = min(math.ceil(unit.cost / fair), rows // plan.sizes.least_rows(unit.shape)) if unit.cost > fair else 1
    if parts <= 1:
        yield unit
        return
    for part in np.array_split(unit.rows, parts):
        yield replace(unit, rows=tuple(part.tolist()), cost=plan.sizes.cost(unit.shape, len(part)))
