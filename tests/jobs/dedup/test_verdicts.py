"""Duplicates: every near repetition of an earlier picture is found, and what becomes of its row."""

import numpy as np
import pyarrow as pa
import pytest

from pressrun.jobs.dedup.near_duplicates import earliest_alike, first_that_stays
from pressrun.jobs.dedup.reseeding import repetitions
from pressrun.jobs.dedup.verdicts import judged
from pressrun.jobs.folder.result_schema import SCHEMA
from pressrun.pipeline.checks.likeness import BITS
from pressrun.pipeline.checks.spec import CheckSpec


def hashes(count: int) -> np.ndarray:
    """Random hashes, many of which repeat an earlier one but for a few bits."""
    random = np.random.default_rng(7)
    made = random.integers(0, 2**64, count, np.uint64)
    for place in range(count // 2, count):
        flips = random.choice(BITS, random.integers(0, 12), replace=False)
        made[place] = made[random.integers(0, place)] ^ np.uint64(sum(1 << int(flip) for flip in flips))
    return made


@pytest.mark.parametrize("varied", [64, 40, 8])
@pytest.mark.parametrize("least", [0, 1, 6, 12])
def test_the_bands_find_what_comparing_all_with_all_finds(least: int, varied: int) -> None:
    made = hashes(1_200) & np.uint64(2**varied - 1)
    away = np.bitwise_count(made[:, None] ^ made[None])
    alike = np.tril(away < least, -1)
    wanted = np.where(alike.any(1), alike.argmax(1), -1)
    found, distance = earliest_alike(made, least)
    assert found.tolist() == wanted.tolist()
    assert all(distance[place] == (away[place, first] if first >= 0 else BITS) for place, first in enumerate(wanted))
    assert (wanted >= 0).any() == (least > 0)


ROWS = [
    {"custom_id": "a", "status": "succeeded", "image": "images/a.png", "likeness": 0},
    {"custom_id": "b", "status": "failed", "error_code": "bad_size"},
    {"custom_id": "c", "status": "succeeded", "image": "images/c.png", "likeness": 2**63, "flags": "sharpness"},
    {"custom_id": "d", "status": "succeeded", "image": "images/d.png", "likeness": 2**64 - 1},
]


def after(action: str) -> list[dict]:
    return judged(pa.Table.from_pylist(ROWS, SCHEMA), CheckSpec("duplicate", action, 6.0)).to_pylist()


def test_a_repetition_is_flagged_beside_what_flagged_it_before() -> None:
    rows = after("flag")
    assert [row["check_duplicate"] for row in rows] == ["passed", None, "flagged", "passed"]
    assert (rows[2]["flags"], rows[2]["check_duplicate_score"]) == ("sharpness, duplicate", 1.0)
    assert rows[2]["findings"] == "It nearly repeats the picture of a."
    assert rows[2]["status"] == "succeeded"


def test_a_rejected_repetition_has_no_picture_and_stays_rejected_when_the_job_is_closed_again() -> None:
    rows = after("reject")
    assert [row["status"] for row in rows] == ["succeeded", "failed", "rejected", "succeeded"]
    assert (rows[2]["image"], rows[2]["error_code"]) == (None, "duplicate")
    assert rows[2]["error_message"] == "It nearly repeats the picture of a."
    assert judged(pa.Table.from_pylist(rows, SCHEMA), CheckSpec("duplicate", "reject", 6.0)).to_pylist() == rows


def stays_one_by_one(made: np.ndarray, reseeds: np.ndarray, rows: np.ndarray, least: int) -> list[int]:
    first, stay = [-1] * len(made), []
    for place in np.lexsort((rows, reseeds)).tolist():
        near = [one for one in stay if int(made[one] ^ made[place]).bit_count() < least]
        if near:
            first[place] = near[0]
        else:
            stay.append(place)
    return first


@pytest.mark.parametrize("least", [0, 6, 12])
def test_what_stays_is_what_taking_one_after_the_other_keeps(least: int) -> None:
    random = np.random.default_rng(11)
    made, reseeds, rows = hashes(400), random.integers(0, 3, 400), random.permutation(400)
    found = first_that_stays(made, reseeds, rows, least).tolist()
    assert found == stays_one_by_one(made, reseeds, rows, least)
    assert (max(found) >= 0) == (least > 0)


def test_a_row_that_came_to_no_other_picture_does_not_end_the_rounds_of_the_others() -> None:
    made = [("first", 0, 0), ("failed", 0, 0), ("second", 1, 0)]
    outcomes = pa.table(
        {
            "custom_id": [name for name, _, _ in made],
            "status": ["succeeded"] * 3,
            "seed": [7, 8, 9],
            "reseeds": pa.array([reseeds for _, reseeds, _ in made], SCHEMA.field("reseeds").type),
            "render_key": ["a", "b", "c"],
            "findings": pa.nulls(3, pa.string()),
            "likeness": pa.array([likeness for _, _, likeness in made], SCHEMA.field("likeness").type),
        }
    )
    check = CheckSpec("duplicate", "reseed", 6.0, attempts=2)
    rows = np.arange(3)
    assert list(repetitions(rows, outcomes, check)) == [1]
    assert list(repetitions(rows, outcomes, check, {(1, 0)})) == [2]
    assert not repetitions(rows, outcomes, check, {(1, 0), (2, 1)})
