"""Plans: every pending row once, in units of one shape, costliest first, the same every time."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pressrun.jobs.planning.plan import PlannedUnit, Sizes, batch_size, group_by_shape, plan_units
from pressrun.pipeline.families.flux2.shape import shape_of
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.models.throughput import Throughput, throughput
from pressrun.pipeline.request import MULTIPLE, RenderRequest

DISTILLED = Model("mini", "flux2-klein", distilled=True, text_length=48)
PAIRS = Sizes("cpu", Throughput((64,), (1, 2), ((2.0, 1.0),)))
"""A device on which two rows together cost each of them half as much, and more of them nothing less."""
BASE = Model("base", "flux2-klein", distilled=False, text_length=48)


def manifest(sizes: list[tuple[int, int]], **columns) -> pa.Table:
    width, height = zip(*sizes, strict=True)
    made_up = {
        "steps": [4] * len(sizes),
        "guidance": [1.0] * len(sizes),
        "prompt": [f"p{i}" for i in range(len(sizes))],
    }
    return pa.table({"width": width, "height": height, **made_up, **columns})


@pytest.mark.parametrize(
    ("side", "expected"),
    [(128, 8), (160, 8), (256, 8), (512, 4), (720, 2), (1024, 1), (2048, 1), (16, 8)],
)
def test_small_pictures_share_a_unit_and_large_ones_do_not(side, expected):
    assert batch_size((side // MULTIPLE) ** 2) == expected


def test_sizes_that_are_rendered_alike_share_a_shape():
    [(shape, rows)] = group_by_shape(manifest([(128, 128), (120, 113), (127, 128)]), DISTILLED)
    assert (shape.width, shape.height, shape.text_tokens) == (128, 128, 48)
    assert rows.tolist() == [0, 1, 2]


def test_wide_and_tall_are_two_shapes():
    groups = group_by_shape(manifest([(160, 96), (96, 160), (160, 96)]), DISTILLED)
    assert [((shape.width, shape.height), rows.tolist()) for shape, rows in groups] == [
        ((160, 96), [0, 2]),
        ((96, 160), [1]),
    ]


def test_guidance_that_a_model_ignores_makes_no_shape():
    table = manifest([(64, 64)] * 3, guidance=[1.0, 4.0, 1.0])
    assert len(group_by_shape(table, DISTILLED)) == 1
    [(plain, first), (guided, second)] = group_by_shape(table, BASE)
    assert (plain.uses_cfg, first.tolist()) == (False, [0, 2])
    assert (guided.uses_cfg, guided.guidance, second.tolist()) == (True, 4.0, [1])


def test_reference_tokens_and_steps_make_shapes():
    table = manifest([(64, 64)] * 4, steps=[4, 4, 8, 4])
    groups = group_by_shape(table, DISTILLED, np.array([0, 1, 2, 3]), np.array([0, 64, 0, 64]))
    assert [(shape.steps, shape.reference_tokens, rows.tolist()) for shape, rows in groups] == [
        (4, 0, [0]),
        (4, 64, [1, 3]),
        (8, 0, [2]),
    ]


@pytest.mark.parametrize("model", [DISTILLED, BASE, Model("dev", "flux2")], ids=lambda model: model.name)
def test_a_group_has_the_shape_of_each_of_its_requests(model):
    sizes, guidance = [(64, 64), (100, 50), (512, 768)] * 2, [1.0, 4.0, 0.0, 2.5, 4.0, 1.5]
    for shape, rows in group_by_shape(manifest(sizes, guidance=guidance), model, None, np.full(6, 128)):
        for row in rows:
            request = RenderRequest("r", "p", *sizes[row], 4, guidance[row], 1)
            assert shape_of(request, [(8, 8), (4, 16)], model) == shape


def test_the_costliest_unit_comes_first_and_short_ones_last():
    table = manifest([(64, 64)] * 9 + [(512, 512)] * 5 + [(64, 64)])
    plan = plan_units(group_by_shape(table, DISTILLED))
    assert [unit.rows for unit in plan] == [
        (9, 10, 11, 12),
        (13,),
        (0, 1, 2, 3, 4, 5, 6, 7),
        (8, 14),
    ]
    assert [unit.index for unit in plan] == [0, 1, 2, 3]


def test_equal_prompts_share_units_in_manifest_order():
    table = manifest([(64, 64)] * 6, prompt=["a", "b", "c", "c", "b", "a"])
    plan = plan_units(group_by_shape(table, DISTILLED), PAIRS)
    assert [unit.rows for unit in plan] == [(0, 5), (1, 4), (2, 3)]


def test_a_unit_has_as_many_rows_as_were_measured_to_pay() -> None:
    [(shape, rows)] = group_by_shape(manifest([(128, 128)] * 5), DISTILLED)
    assert [len(unit.rows) for unit in plan_units([(shape, rows)], PAIRS)] == [2, 2, 1]
    mini = Sizes("cpu", throughput("mini", "cpu", "fp32"))
    by_side = {side: shape_of(RenderRequest("r", "p", side, side, 8, 1.0, 1), [], DISTILLED) for side in (64, 256, 512)}
    assert [mini.rows(shape) for shape in by_side.values()] == [8, 2, 1]


def test_a_short_unit_costs_less_where_nothing_is_padded() -> None:
    groups = group_by_shape(manifest([(128, 128)] * 3), DISTILLED)
    on_cpu, on_gpu = (plan_units(groups, Sizes(device, PAIRS.curve)) for device in ("cpu", "cuda"))
    assert on_cpu[0].cost == on_cpu[1].cost, "two rows at half price, one at full"
    assert on_gpu[0].cost == on_gpu[1].cost == on_cpu[0].cost


def test_only_pending_rows_are_planned():
    table = manifest([(64, 64)] * 5, width=pa.array([64, None, 64, 64, 64], pa.int32()))
    plan = plan_units(group_by_shape(table, DISTILLED, np.array([0, 3])))
    assert [unit.rows for unit in plan] == [(0, 3)]


def test_nothing_pending_is_an_empty_plan():
    plan = plan_units(group_by_shape(manifest([(64, 64)]), DISTILLED, np.array([], np.int64)))
    assert len(plan) == 0 and list(plan) == []


def test_a_plan_reads_like_a_list():
    plan = plan_units(group_by_shape(manifest([(1024, 1024)] * 3), DISTILLED))
    assert plan[0] == PlannedUnit(0, plan[0].shape, (0,), plan[0].cost) and plan[-1].rows == (2,)
    assert [unit.index for unit in plan[1:]] == [1, 2]
    with pytest.raises(IndexError):
        plan[3]


SHAPES = st.tuples(st.sampled_from([64, 100, 512, 1024]), st.sampled_from([64, 1024]))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(SHAPES, st.sampled_from([4, 8]), st.sampled_from("abc"), st.booleans()), min_size=1))
def test_every_pending_row_is_in_exactly_one_unit(rows):
    sizes, steps, prompts, wanted = zip(*rows, strict=True)
    table = manifest(list(sizes), steps=steps, prompt=prompts)
    pending = np.flatnonzero(wanted)
    plan = plan_units(group_by_shape(table, DISTILLED, pending))
    assert sorted(row for unit in plan for row in unit.rows) == pending.tolist()
    costs = [unit.cost for unit in plan]
    assert costs == sorted(costs, reverse=True)
    for unit in plan:
        assert list(unit.rows) == sorted(unit.rows)
        assert len(unit.rows) <= batch_size(unit.shape.tokens - unit.shape.text_tokens)
        assert {(steps[row], *(-(-side // 16) * 16 for side in sizes[row])) for row in unit.rows} == {
            (unit.shape.steps, unit.shape.width, unit.shape.height)
        }
    assert list(plan) == list(plan_units(group_by_shape(table, DISTILLED, pending)))
