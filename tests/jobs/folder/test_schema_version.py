"""The schema version of a job's folder: it is written, kept by what rewrites a file, and a newer one is refused."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pressrun import JobSpec, render
from pressrun.jobs.audit.verify import verify
from pressrun.jobs.delivery.publishing import publish
from pressrun.jobs.folder.job_file import fingerprint_of
from pressrun.jobs.folder.schema_version import VERSION
from pressrun.jobs.purge.purging import purge
from pressrun.jobs.results.status import read_status
from pressrun.pipeline.errors import JobError
from tests.conftest import mixed_rows, write_manifest
from tests.opening import open_store, stores

PART = "results/part-000000.parquet"


def told(job: Path) -> list[Any]:
    """The versions that a finished job's files tell: job.json, summary.json, the results, metadata.csv."""
    with (job / "metadata.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0][-1] == "schema_version", "a mapping by place finds the columns before it where they were"
    stated = [json.loads((job / name).read_bytes())["schema_version"] for name in ("job.json", "summary.json")]
    metadata = pq.ParquetFile(job / PART).schema_arrow.metadata
    return [*stated, metadata[b"pressrun.schema_version"].decode(), *{line[-1] for line in lines[1:]}]


def newer_job(job: Path) -> None:
    there = json.loads((job / "job.json").read_bytes())
    (job / "job.json").write_text(json.dumps({**there, "schema_version": VERSION + 1}))


def newer_results(job: Path) -> None:
    table = pq.ParquetFile(job / PART).read()
    pq.write_table(table.replace_schema_metadata({"pressrun.schema_version": str(VERSION + 1)}), job / PART)


COMMANDS: dict[str, Callable[[Path, Path], object]] = {
    "render": lambda job, manifest: render(JobSpec(str(manifest), str(job))),
    "since": lambda job, manifest: render(JobSpec(str(manifest), f"{job}-next", since=str(job))),
    "status": lambda job, _: read_status(open_store(str(job))),
    "verify": lambda job, _: verify(open_store(str(job))),
    "publish": lambda job, _: publish(stores(), str(job), f"{job}-shop"),
}


def test_everything_that_carries_one_carries_the_same(finished_job: Path) -> None:
    assert told(finished_job) == [VERSION, VERSION, str(VERSION), str(VERSION)]


def test_it_is_no_part_of_the_fingerprint(finished_job: Path) -> None:
    there = json.loads((finished_job / "job.json").read_bytes())
    without = {name: value for name, value in there.items() if name != "schema_version"}
    assert fingerprint_of(without) == fingerprint_of(there) == there["fingerprint"]


@pytest.mark.parametrize("made_newer", [newer_job, newer_results])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_newer_folder_is_refused(
    job: Path, job_manifest: Path, command: str, made_newer: Callable[[Path], None]
) -> None:
    made_newer(job)
    with pytest.raises(JobError, match=r"was written by a newer Pressrun \(.*\): update Pressrun\.$") as refused:
        COMMANDS[command](job, job_manifest)
    assert len(refused.value.problems) == 1


def test_what_is_no_version_is_damage(job: Path) -> None:
    there = json.loads((job / "job.json").read_bytes())
    (job / "job.json").write_text(json.dumps({**there, "schema_version": "new"}))
    with pytest.raises(JobError, match="is damaged"):
        read_status(open_store(str(job)))


def test_a_customers_column_of_that_name_stands_beside_ours(finished_job: Path, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "in", [{**row, "schema_version": "theirs"} for row in mixed_rows()])
    assert render(JobSpec(str(manifest), str(tmp_path / "out"), since=str(finished_job))).rendered == 0
    with (tmp_path / "out/metadata.csv").open(encoding="utf-8", newline="") as file:
        line = next(csv.DictReader(file))
    assert (line["manifest_schema_version"], line["schema_version"]) == ("theirs", str(VERSION))
    assert {*pq.ParquetFile(tmp_path / "out" / PART).read()["schema_version"].to_pylist()} == {"theirs"}


def test_a_purge_leaves_the_version_that_a_file_has(job: Path, tmp_path: Path) -> None:
    publish(stores(), str(job), str(tmp_path / "shop"))
    purge(stores(), ["row-3.png"], str(tmp_path / "shop"))
    assert told(job) == [VERSION, VERSION, str(VERSION), str(VERSION)]
