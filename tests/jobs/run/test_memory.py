"""Devices that do not hold a shape's whole batch: it costs no row, no worker and no pixel, and the job remembers."""

import json
import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pressrun import JobSpec, render
from pressrun.cluster.protocol.batch_limits import BatchLimit
from pressrun.jobs.audit.verify import verify
from pressrun.jobs.results.summary import Summary
from pressrun.jobs.spec.progress import Silent
from tests.cluster.cramped import cramped, cramped_shards
from tests.opening import open_store

HOLDS = {128: 2, 160: 0, 90: -1}
"""Rows at once by the width of the pictures: 128 x 128 goes by two, 160 x 96 not at all, 90 x 160 cannot be decoded."""


@dataclass
class Rendered(Silent):
    """A run on cramped devices: where, what it added up to, and what was said."""

    out: Path
    log: Path
    summary: Summary | None = None
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    @property
    def ran_out(self) -> Counter[tuple[str, int]]:
        """How often memory ran out, by process and width."""
        lines = [line.split() for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return Counter((pid, int(width)) for pid, width, _ in lines)

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        [part] = (self.out / "results").iterdir()
        return {row["custom_id"]: row for row in pq.read_table(part).to_pylist()}


def run(folder: Path, manifest: Path, number: int = 0, **options: Any) -> Rendered:
    """Render on devices that hold so little; in the folder, whatever ran there before."""
    rendered = Rendered(folder / "out", folder / f"ran-out-{number}")
    heard = logging.Handler()
    heard.emit = lambda record: rendered.warnings.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("cluster").addHandler(heard)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pressrun.cluster.scheduling.worker.ModelActor", cramped(HOLDS, rendered.log))
        patch.setattr("pressrun.cluster.actors.shards.Leader", cramped_shards(HOLDS, rendered.log))
        rendered.summary = render(JobSpec(str(manifest), str(rendered.out), **options), events=rendered)
    logging.getLogger("cluster").removeHandler(heard)
    return rendered


@pytest.fixture(scope="module")
def cramped_job(tmp_path_factory: pytest.TempPathFactory, job_manifest: Path) -> Rendered:
    """The mixed rows, rendered by two cramped replicas."""
    return run(tmp_path_factory.mktemp("cramped"), job_manifest, layout="whole", replicas=2)


def undisturbed(finished_job: Path) -> dict[str, str]:
    """The digests that the rows which fit have where there is memory enough."""
    [part] = (finished_job / "results").iterdir()
    return {row["custom_id"]: row["sha256"] for row in pq.read_table(part).to_pylist() if row["width"] == 128}


def test_a_batch_that_does_not_fit_costs_no_row_no_worker_and_no_pixel(
    cramped_job: Rendered, finished_job: Path
) -> None:
    done = {name: row for name, row in cramped_job.rows.items() if row["status"] == "succeeded"}
    assert {name: row["sha256"] for name, row in done.items()} == undisturbed(finished_job)
    assert {row["attempts"] for row in done.values()} == {1}
    assert cramped_job.warnings == []
    assert verify(open_store(str(cramped_job.out))).discrepancies == ()


def test_each_replica_runs_out_once_for_each_halving_at_most(cramped_job: Rendered) -> None:
    halvings = 2  # 8, 4, 2
    counts = [count for (_, width), count in cramped_job.ran_out.items() if width == 128]
    assert counts and max(counts) <= halvings


def test_what_did_not_fit_is_said_once_and_stands_in_summary_results_and_folder(cramped_job: Rendered) -> None:
    device = cramped_job.rows["row-0"]["device"]
    expected = BatchLimit(device, 128, 128, 0, rows=2, wanted=8)
    assert cramped_job.summary and cramped_job.summary.smaller_batches == (expected,)
    assert json.loads((cramped_job.out / "summary.json").read_text())["smaller_batches"][0]["rows"] == 2
    assert [note for note in cramped_job.notes if "at a time" in note] == [
        "Pictures of 128 x 128 are denoised 2 at a time instead of 8, which did not fit the memory of "
        f"{device}; nothing was lost, and this job remembers it."
    ]
    batches = Counter(cramped_job.rows[f"row-{number}"]["batch_rows"] for number in range(9))
    assert {*batches} <= {2, 8} and batches[8] <= 2  # a unit of so few rows fits at once


def test_rows_that_do_not_fit_even_alone_fail_with_what_can_be_done(cramped_job: Rendered) -> None:
    failed = [row for row in cramped_job.rows.values() if row["status"] == "failed"]
    assert {row["custom_id"] for row in failed} == {f"row-{number}" for number in range(9, 14)}
    assert {row["error_code"] for row in failed} == {"out_of_memory"}
    told = {row["custom_id"]: row["error_message"] for row in failed}
    assert told["row-11"].startswith("mini in fp32 cannot denoise a picture of 160 x 96 in the memory of cpu ")
    assert told["row-11"].endswith(
        "; try a smaller size, precision fp8, layout staged, more shards or a device with more memory."
    )
    assert "tokens of references in the memory" in told["row-10"] and "fewer references" in told["row-10"]
    assert "cannot decode a picture of 96 x 160" in told["row-12"]


@pytest.mark.slow
def test_a_resume_begins_with_the_batches_that_fit(cramped_job: Rendered, job_manifest: Path) -> None:
    for number in range(9):
        (cramped_job.out / f"images/row-{number}.png").unlink()
    again = run(cramped_job.out.parent, job_manifest, 1, layout="whole", replicas=2)
    assert again.summary and again.summary.rendered == 9 + 2  # two are denoised again, and cannot be decoded
    assert {width for _, width in again.ran_out} == {160}, "these failed, and are tried again"
    assert [note for note in again.notes if "at a time" in note] == []
    assert again.summary.smaller_batches == cramped_job.summary.smaller_batches  # type: ignore[union-attr]


@pytest.mark.slow
def test_shards_halve_batches_too(tmp_path: Path, job_manifest: Path, finished_job: Path) -> None:
    rendered = run(tmp_path, job_manifest, shards=3)
    done = {name: row["sha256"] for name, row in rendered.rows.items() if row["status"] == "succeeded"}
    assert done == undisturbed(finished_job)
    assert rendered.warnings == []
    assert rendered.rows["row-11"]["error_code"] == "out_of_memory"
    assert rendered.summary and [(fit.width, fit.rows) for fit in rendered.summary.smaller_batches] == [(128, 2)]
