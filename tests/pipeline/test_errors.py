"""A refusal says why in sentences for people and in codes for programs."""

import ast
import copy
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from pressrun.pipeline.errors import CODES, ClusterError, JobError, Reason, SigningError, StorageError

ROOT = Path(__file__).resolve().parents[2]


def refusals() -> Iterator[tuple[str, ast.Call]]:
    """Every place where the three packages make a JobError, with the call."""
    for package in ("pipeline", "cluster", "jobs"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "JobError":
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def passes_reasons_on(call: ast.Call) -> bool:
    """Whether a call's sentences are Reasons made on the spot, which have their codes."""
    return "Reason(" in ast.unparse(call)


def code_of(call: ast.Call) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == "code"), None)


def test_every_refusal_is_given_a_code() -> None:
    assert [where for where, call in refusals() if code_of(call) is None and not passes_reasons_on(call)] == []


def test_every_code_that_is_given_is_one_of_the_table() -> None:
    codes = [(where, code_of(call)) for where, call in refusals()]
    given = [(where, code.value) for where, code in codes if isinstance(code, ast.Constant)]
    assert len(given) > 200
    assert [(where, code) for where, code in given if code not in CODES] == []


@pytest.mark.parametrize("kind", [ClusterError, SigningError, StorageError])
def test_an_error_that_stops_a_run_has_a_code_of_the_table(kind: type[StorageError]) -> None:
    assert kind("It is gone.").code in CODES


def test_reasons_that_are_gathered_keep_their_codes() -> None:
    first, second = JobError("One.", code="licence"), JobError("Two.", "Three.", code="bad_name")
    gathered = JobError(*first.problems, *second.problems, "Four.", code="bad_option")
    assert gathered.codes == ["licence", "bad_name", "bad_name", "bad_option"]


def test_a_problem_is_a_sentence_to_whoever_reads_it() -> None:
    assert JobError("One.", "Two.", code="licence").problems == ("One.", "Two.")


@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
def test_codes_survive_the_way_to_another_process(copied) -> None:
    error = copied(JobError(Reason("One.", "licence"), "Two.", code="bad_name"))
    assert (str(error), error.codes) == ("One.\nTwo.", ["licence", "bad_name"])
