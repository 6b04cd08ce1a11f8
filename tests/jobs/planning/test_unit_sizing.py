"""How large units are as a run goes on: together where the driver would not keep up, cut where others would wait."""

import heapq

import numpy as np
import pytest

from pressrun.jobs.planning.plan import Plan, Sizes, plan_units
from pressrun.jobs.planning.unit_sizing import DRIVER_SEC, DRIVER_SHARE, UnitSizer
from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.models.throughput import throughput

MINI = Sizes("cpu", throughput("mini", "cpu", "fp32"))


def shape(width: int, height: int) -> Shape:
    return Shape(width, height, 8, 1.0, 0, 48, False)


def plan_of(counts: dict[tuple[int, int], int], sizes: Sizes = MINI) -> Plan:
    ends = np.cumsum(list(counts.values()))
    rows = np.split(np.arange(ends[-1]), ends[:-1])
    return plan_units([(shape(*size), some) for size, some in zip(counts, rows, strict=True)], sizes)


MIXED = {(128, 128): 26, (160, 96): 13, (96, 160): 13, (192, 128): 13, (256, 256): 7, (512, 512): 2}


@pytest.mark.parametrize("replicas", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("together", [False, True])
def test_every_row_is_sent_once(replicas: int, together: bool) -> None:
    units = list(UnitSizer(replicas, lambda cost: cost, together).units(plan_of(MIXED)))
    assert sorted(row for unit in units for row in unit.rows) == list(range(sum(MIXED.values())))
    assert [unit.index for unit in units] == list(range(len(units)))
    assert all(len(unit.rows) == 1 for unit in units if unit.shape.width == 512)


def makespan(costs: list[float], replicas: int) -> float:
    """Each unit goes to whoever is free first."""
    free = [0.0] * replicas
    for cost in costs:
        heapq.heappush(free, heapq.heappop(free) + cost)
    return max(free)


@pytest.mark.parametrize("replicas", [2, 3, 4, 8])
@pytest.mark.parametrize("times", [1, 2, 5])
def test_all_replicas_stop_at_nearly_the_same_time(replicas: int, times: int) -> None:
    plan = plan_of({size: count * times * replicas for size, count in MIXED.items()})
    units = list(UnitSizer(replicas).units(plan))
    assert makespan([unit.cost for unit in units], replicas) <= 1.05 * plan.cost / replicas


def test_units_are_not_cut_where_a_short_one_is_padded() -> None:
    plan = plan_of(MIXED, Sizes("cuda", MINI.curve))
    assert [unit.rows for unit in UnitSizer(5).units(plan)] == [unit.rows for unit in plan]


def test_units_of_one_shape_travel_together_when_the_driver_could_not_send_as_many() -> None:
    plan = plan_of({(128, 128): 80_000, (160, 96): 80_000})
    units = list(UnitSizer(500, lambda cost: cost, together=True).units(plan))
    least = 500 * DRIVER_SEC / DRIVER_SHARE
    assert least / 2 < units[0].cost <= least
    assert len({shape for unit in units for shape in [unit.shape]}) == 2
    assert units[-1].cost < units[0].cost, "smaller ones at the end"
    assert [unit.rows for unit in UnitSizer(2, lambda cost: cost, together=True).units(plan)][:9] == [
        unit.rows for unit in plan[:9]
    ]


def test_before_anybody_knows_the_curve_says_how_long_a_unit_takes() -> None:
    known, unknown = (plan_of({(128, 128): 80_000}, sizes) for sizes in (MINI, Sizes("cpu")))
    assert len(next(UnitSizer(1_000, together=True).units(known)).rows) > 8
    assert len(next(UnitSizer(1_000, together=True).units(unknown)).rows) == 8
    assert len(next(UnitSizer(1_000, lambda cost: cost, together=False).units(known)).rows) == 8


def test_a_large_crew_gets_no_unit_that_is_over_before_everybody_has_one() -> None:
    units = list(UnitSizer(500, together=True).units(plan_of({(128, 128): 80_000})))
    assert min(unit.cost for unit in units[:-1]) > 0.9 * 500 * DRIVER_SEC
