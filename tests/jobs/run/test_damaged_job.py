"""A job whose description is damaged: what is said about it, and that it helps."""

import shutil
from pathlib import Path

import pytest

from pressrun.jobs.folder.job_file import read_job
from pressrun.pipeline.errors import JobError
from tests.conftest import Pressrun
from tests.opening import open_store


def test_pictures_that_are_there_need_not_be_rendered_again(
    job: Path, job_manifest: Path, pressrun: Pressrun, tmp_path: Path
) -> None:
    (job / "job.json").write_text("{")
    again = ("render", job_manifest, "--out", job, "--json")
    refused = pressrun(*again)
    assert refused.code == 2
    assert "is damaged, and the job's pictures and results are still there. Put back a copy of it" in refused.err
    assert "choose another --out" not in refused.err
    assert (
        "render the same order with --limit 1 to a new --out, and copy the job.json that is made there." in refused.err
    )
    assert pressrun("render", job_manifest, "--out", tmp_path / "new", "--limit", 1).code == 3
    shutil.copy(tmp_path / "new/job.json", job / "job.json")
    ended = pressrun(*again)
    assert (ended.code, ended.json["rendered"]) == (0, 0), ended.err


def test_without_pictures_another_place_does_as_well(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text("[]")
    with pytest.raises(JobError, match=r"put back a copy of it, or choose another `out`\.$"):
        read_job(open_store(str(tmp_path)))
