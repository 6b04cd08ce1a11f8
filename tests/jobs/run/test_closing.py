"""Closing a job: what it adds up to is what its results say."""

import json
from pathlib import Path

from pressrun.cluster.protocol.unit import Outcome
from pressrun.jobs.folder.job_file import create_job
from pressrun.jobs.resolve.resolved_job import resolve
from pressrun.jobs.results.results import Results
from pressrun.jobs.results.summary import Summary
from pressrun.jobs.run.closing import close_job
from pressrun.jobs.spec.context import Context
from pressrun.jobs.spec.job_spec import JobSpec
from tests.conftest import write_manifest
from tests.opening import open_store


def test_the_summary_counts_the_picture_that_another_driver_made(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "in", [{"custom_id": "a", "prompt": "a mug"}])
    order = resolve(JobSpec(str(manifest), str(tmp_path / "out")), Context.of_this_process())
    store = open_store(str(tmp_path / "out"))
    store.prepare()
    create_job(store, order.job, order.frozen)
    ours, theirs = (Results(store, order.job, order.manifest.table, []) for _ in range(2))
    theirs.add([Outcome(0, "a", "succeeded", image="images/a.png")])
    theirs.flush()
    ours.add([Outcome(0, "a", "failed", error_code="worker_crash")])
    closed = close_job(store, order, ours, Summary(store.uri, "mini", 1, failed=1), None)
    assert (closed.succeeded, closed.failed, closed.causes, closed.exit_code) == (1, 0, (), 0)
    assert json.loads((tmp_path / "out/summary.json").read_text())["succeeded"] == 1
