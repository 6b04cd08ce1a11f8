"""`--max-failures`: a job that goes wrong as a whole is stopped."""

import pytest

from pressrun.cluster.protocol.unit import Outcome
from pressrun.jobs.spec.failure_budget import FailureBudget
from pressrun.pipeline.errors import JobError


def failures(count: int) -> list[Outcome]:
    return [Outcome(row, str(row), "failed", error_code="reference_missing") for row in range(count)]


@pytest.mark.parametrize(
    ("text", "rows", "allowed"),
    [
        pytest.param("3", 1000, 3, id="a number"),
        pytest.param("0", 1000, 0, id="none at all"),
        pytest.param("5%", 200, 10, id="a share of the rows"),
        pytest.param("0.5%", 1000, 5, id="a small share"),
    ],
)
def test_one_failure_more_than_allowed_is_too_many(text: str, rows: int, allowed: int) -> None:
    budget = FailureBudget.parse(text, rows)
    assert not budget.exceeded(failures(allowed))
    assert budget.exceeded(failures(1))
    assert f"More than {allowed} rows failed" in budget.sentence()
    assert "reference_missing" in budget.sentence()


def test_without_a_limit_any_number_may_fail() -> None:
    assert not FailureBudget.parse(None, 10).exceeded(failures(10))


@pytest.mark.parametrize("text", ["many", "-1", "5 %%", "101%", ""])
def test_what_is_neither_a_number_nor_a_share_is_refused(text: str) -> None:
    with pytest.raises(JobError, match="write 20 or 5%"):
        FailureBudget.parse(text, 10)
