"""The doctor says what a machine, a place and a cluster have, and what to do where something is missing."""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from pressrun.cluster.store.folder_store import FolderStore
from pressrun.jobs.cli.command import main
from pressrun.jobs.doctor.cluster import cluster_findings
from pressrun.jobs.doctor.finding import BAD, DOUBTFUL, GOOD, Finding
from pressrun.jobs.doctor.machine import machine_findings
from pressrun.jobs.doctor.model import model_findings
from pressrun.jobs.doctor.place import place_findings
from pressrun.jobs.doctor.requirements import constraints, differences, installed
from tests.opening import open_store, stores


def states(findings: list[Finding]) -> dict[str, str]:
    return {one.subject: one.state for one in findings}


def test_this_machine_has_what_the_wheel_asks_for() -> None:
    found = {one.subject: one for one in machine_findings()}
    assert found["versions"].state == GOOD and "ray 2." in found["versions"].said


def test_a_version_that_the_wheel_does_not_want_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pressrun.jobs.doctor.requirements.version", lambda name: "0.0.1")
    versions = next(one for one in machine_findings() if one.subject == "versions")
    assert versions.state == BAD and "pyarrow is 0.0.1, and Pressrun wants" in versions.said


def test_a_place_is_used_and_left_as_it_was(tmp_path: Path, s3_bucket: str) -> None:
    for uri in (f"{tmp_path}/jobs", f"{s3_bucket}/jobs"):
        found = states(list(place_findings(stores(), uri)))
        assert {found["place"], found["clock"], found["conditional create"]} == {GOOD}
        assert [*open_store(uri).paths()] == []
    assert [*(tmp_path / "jobs").iterdir()] == []


def test_a_bucket_that_is_not_there_is_told_in_its_own_sentence(s3_bucket: str) -> None:
    [found] = place_findings(stores(), "s3://nobody-has-this-bucket/jobs")
    assert found.state == BAD and "nobody-has-this-bucket" in found.said


def test_a_clock_that_is_far_from_the_stores_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = FolderStore.head

    def late(store: FolderStore, path: str) -> object:
        entry = real(store, path)
        return entry and type(entry)(entry.path, entry.size, entry.modified - timedelta(hours=1), entry.etag)

    monkeypatch.setattr(FolderStore, "head", late)
    found = {one.subject: one for one in place_findings(stores(), f"{tmp_path}/jobs")}
    assert found["clock"].state == BAD and "3,600 s from the store's" in found["clock"].said


@pytest.mark.parametrize(("name", "state"), [("mini", GOOD), ("flux2-klein-4b", DOUBTFUL), ("no-such-model", BAD)])
def test_a_model_is_here_or_would_be_fetched_or_is_unknown(
    name: str, state: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert next(iter(model_findings(name))).state == state


def test_every_node_is_asked_what_it_has(tmp_path: Path) -> None:
    found = list(cluster_findings("mini", str(tmp_path)))
    assert [one.state for one in found] == [GOOD, GOOD], found
    assert found[1].subject.startswith("node ") and [*tmp_path.iterdir()] == []


def test_a_cluster_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    [found] = cluster_findings("mini")
    assert found.state == BAD and "RAY_ADDRESS=127.0.0.1:1 could not be joined" in found.said


def test_a_node_with_other_versions_differs() -> None:
    there = {**installed(), "torch": "1.0"}
    del there["ray"]
    told = differences(installed(), there)
    assert [line.split(" (")[0] for line in told] == ["ray is missing", "torch 1.0"]


def test_constraints_are_for_pip_and_name_no_python() -> None:
    lines = constraints().splitlines()
    assert all(line.count("==") == 1 for line in lines)
    assert {line.split("==")[0] for line in lines} >= {"ray", "torch", "pyarrow", "numpy"} - {"python", "pressrun"}


def test_the_command_ends_with_one_where_something_is_to_be_mended(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--no-ray", "--out", "s3://nobody-has-this-bucket/jobs", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["bad"] == sum(one["state"] == BAD for one in told["findings"]) >= 1


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told() -> None:
    [found] = place_findings(stores(), "/proc/jobs")
    assert found.state == BAD
