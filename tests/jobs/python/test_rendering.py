"""`pressrun.render`: rows from memory, options as keywords, and what is refused."""

import inspect
import json
import textwrap
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import pressrun
from pressrun import JobError, JobSpec, Silent, render
from pressrun.jobs.folder.job_file import read_manifest_copy
from pressrun.jobs.run import driver
from tests.conftest import ROOT
from tests.jobs.driven import drawn
from tests.jobs.executor_here import HereExecutor
from tests.opening import open_store

HERE = HereExecutor(drawn)


def rows(count: int = 3) -> list[dict[str, Any]]:
    size = {"width": 16, "height": 16, "steps": 1}
    return [{"custom_id": f"r{n}", "prompt": "a red mug", **size, "season": "fall"} for n in range(count)]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_option_of_a_job_is_one_of_the_call_with_the_same_default() -> None:
    parameters = inspect.signature(render).parameters
    ours = {name: parameter.default for name, parameter in parameters.items()}
    wanted = {field.name: None if field.default is MISSING else field.default for field in fields(JobSpec)}
    assert ours.pop("manifest") is inspect.Parameter.empty
    del wanted["manifest"]
    assert dict.fromkeys(("events", "stop", "context", "executor")) | wanted == ours


@pytest.mark.parametrize("form", ["dicts", "polars", "arrow", "file"])
def test_the_same_rows_are_the_same_job_wherever_they_are(form: str) -> None:
    pq.write_table(pa.Table.from_pylist(rows()), "rows.parquet")
    render(rows(), "out", executor=HERE)
    manifests: dict[str, Any] = {
        "dicts": rows(),
        "polars": pl.DataFrame(rows()),
        "arrow": pa.Table.from_pylist(rows()),
        "file": Path("rows.parquet"),
    }
    again = render(manifests[form], Path("out"), executor=HERE)
    assert (again.succeeded, again.rendered) == (3, 0)


def test_rows_in_memory_go_on_where_their_run_stopped() -> None:
    stopped = render(rows(), "out", max_images=1, executor=HERE)
    assert (stopped.exit_code, stopped.pending) == (3, 2)
    rest = render(rows(), "out", executor=HERE)
    assert (rest.exit_code, rest.rendered) == (0, 2)


def test_other_rows_in_memory_are_another_job() -> None:
    render(rows(), "out", executor=HERE)
    with pytest.raises(JobError, match="holds another job already: its manifest is “a table of 3 rows”") as refused:
        render([{**row, "prompt": "a blue mug"} for row in rows()], "out", executor=HERE)
    assert refused.value.code == "another_job"


def test_a_job_says_of_rows_in_memory_how_many_they_were() -> None:
    render(rows(1), "out", executor=HERE)
    assert json.loads(Path("out/job.json").read_text())["manifest"] == "a table of 1 row"


def test_references_of_rows_in_memory_are_meant_from_the_working_folder(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save("mug.png")
    render([{**row, "references": ["mug.png"]} for row in rows(1)], "out", executor=HERE)
    assert read_manifest_copy(open_store("out"))["references"].to_pylist() == [[str(tmp_path / "mug.png")]]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    wrong: dict[str, Any] = {"max_images": "3", "format": "bmp", "precision": "fp99", "layout": "x", "replicas": 0}
    with pytest.raises(JobError) as refused:
        render([{"custom_id": "a"}], "out", max_failures="many", executor=HERE, **wrong)
    named = ("`max_images`", "`format`", "`max_failures`", "fp99", "`layout`", "`replicas`", "“prompt”")
    assert len(refused.value.problems) == len(named)
    for word, problem in zip(named, refused.value.problems, strict=True):
        assert word in problem
    assert not Path("out").exists()


def test_a_call_without_a_place_for_pictures_says_so() -> None:
    with pytest.raises(JobError, match="`out` is missing"):
        render(rows())
    with pytest.raises(JobError, match="`out` is missing"):
        render(rows(), since="latest")


def test_a_spec_stands_for_all_options() -> None:
    assert render(JobSpec(rows(), "out", format="jpeg"), executor=HERE).succeeded == 3
    with pytest.raises(JobError) as refused:
        render(JobSpec(rows(), "out"), "elsewhere", format="jpeg", executor=HERE)
    assert [problem.partition(" ")[0] for problem in refused.value.problems] == ["`out`", "`format`"]


def test_events_are_told_the_run() -> None:
    begun = []

    class Heard(Silent):
        def begin(self, total: int, done: int) -> None:
            begun.append((total, done))

    render(rows(), "out", events=Heard(), executor=HERE)
    assert begun == [(3, 0)]


def test_what_the_readme_shows_is_what_python_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "RayExecutor", lambda: HERE)
    told = (ROOT / "README.md").read_text().partition("From Python, ")[2].partition("\n    ")[2].partition("\n\n")[0]
    names: dict[str, Any] = {}
    exec(textwrap.dedent(f"    {told}"), names)
    assert names["job"].table()["season"].to_pylist() == ["fall", "winter"]


def test_whatever_is_exported_is_there_and_told_to_whoever_presses_tab() -> None:
    assert {*pressrun.__all__} == {*dir(pressrun)}
    for name in pressrun.__all__:
        assert getattr(pressrun, name).__name__ == name
