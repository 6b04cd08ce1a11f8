"""kill -9 at every write boundary: whatever was written last, the same call again completes the job.

No Ray is needed: the pictures are there, and everything else is written again from what they say of themselves.
"""

import shutil
from pathlib import Path

import pytest

from pressrun import JobSpec, render
from pressrun.jobs.audit.verify import verify
from tests.conftest import mixed_rows
from tests.jobs.killed import Killed, killing
from tests.opening import open_store


@pytest.mark.parametrize("what", ["everything but the pictures is gone", "a finished job loses its results"])
def test_a_run_killed_before_any_write_goes_on_to_a_clean_job(
    what: str, finished_job: Path, job_manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = JobSpec(str(job_manifest), str(tmp_path / "out"))
    killed_before = killing(monkeypatch)
    for number in range(100):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        shutil.copytree(finished_job, tmp_path / "out")
        if what.startswith("everything"):
            for path in (tmp_path / "out").iterdir():
                shutil.rmtree(path) if path.name == "results" else path.unlink() if path.is_file() else None
        else:
            shutil.rmtree(tmp_path / "out/results")
        killed_before(number)
        try:
            render(spec)
        except Killed:
            pass
        else:
            break
        killed_before(-1)
        summary = render(spec)
        assert (summary.exit_code, summary.rendered, summary.succeeded) == (0, 0, len(mixed_rows())), number
        assert verify(open_store(spec.out)).discrepancies == (), number
    assert number >= 4, "hardly anything was written"
