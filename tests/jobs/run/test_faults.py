"""kill -9 at bad moments: the same command again completes the job and renders no finished picture twice."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pressrun.jobs.audit.verify import verify
from tests.conftest import Pressrun, mixed_rows, write_manifest
from tests.opening import open_store

ROWS = 32


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rows = [{**mixed_rows()[0], "custom_id": f"row-{number}", "prompt": f"mug {number}"} for number in range(ROWS)]
    return write_manifest(tmp_path / "in", rows)


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Where Ray keeps its files in a run; its sockets allow no long path."""
    folder = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def pictures(out: Path) -> int:
    return len(list(out.glob("images/*")))


def wait_until(true: Callable[[], object], timeout_sec: float = 120) -> None:
    end = time.monotonic() + timeout_sec
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def ray_processes(run: str | None = None) -> list[psutil.Process]:
    """Processes that some run of ours (or the one named) has left or is using."""
    found = []
    for process in psutil.process_iter():
        try:
            mark = process.environ().get("PRESSRUN_RUN")
        except psutil.Error:
            continue
        if mark and run in (None, mark):
            found.append(process)
    return found


def mark_of(driver_pid: int) -> str:
    """The mark that a driver's children carry."""
    for child in psutil.Process(driver_pid).children(recursive=True):
        try:
            mark = child.environ().get("PRESSRUN_RUN")
        except psutil.Error:
            continue
        if mark:
            return mark
    return ""


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(1, id="first picture", marks=pytest.mark.slow),
        pytest.param(9, id="in the middle", marks=pytest.mark.long),
        pytest.param(ROWS, id="last picture", marks=pytest.mark.slow),
    ],
)
def test_a_killed_driver_leaves_no_process_and_its_job_goes_on(
    moment: int, manifest: Path, pressrun: Pressrun, scratch: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    driver = pressrun.start("render", manifest, "--out", out, TMPDIR=str(scratch))
    wait_until(lambda: pictures(out) >= 1)
    run = mark_of(driver.pid)
    wait_until(lambda: pictures(out) >= moment)
    driver.kill()
    driver.communicate()
    assert run
    wait_until(lambda: not ray_processes(run) and not list(scratch.glob("pressrun-*")), timeout_sec=15)
    done = pictures(out)

    ended = pressrun("render", manifest, "--out", out, "--json")
    assert ended.code == 0, ended.err
    assert ended.json["succeeded"] == ROWS
    assert ended.json["rendered"] == ROWS - done
    assert verify(open_store(str(out))).discrepancies == ()


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "count", "killed", "shards"),
    [
        pytest.param("ModelActor", 3, 3, 1, id="every stage's"),
        pytest.param("ShardActor", 2, 1, 2, id="a shard"),
    ],
)
def test_a_killed_actor_costs_its_units_only(
    kind: str, count: int, killed: int, shards: int, manifest: Path, pressrun: Pressrun, tmp_path: Path
) -> None:
    out, rows = tmp_path / "out", ROWS * shards
    write_manifest(
        manifest.parent, [{**mixed_rows()[0], "custom_id": f"{n}", "prompt": f"mug {n}"} for n in range(rows)]
    )
    driver = pressrun.start("render", manifest, "--out", out, "--json", "--layout", "staged", "--shards", shards)
    wait_until(lambda: pictures(out) >= 1)
    run = mark_of(driver.pid)
    actors = [process for process in ray_processes(run) if kind in " ".join(process.cmdline())]
    assert len(actors) == count
    for process in actors[:killed]:
        process.kill()
    stdout, stderr = driver.communicate(timeout=240)
    assert driver.returncode == 0, stderr
    assert stderr.count("was lost") >= 1, "nobody noticed"
    assert f'"succeeded": {rows}' in stdout
    assert verify(open_store(str(out))).discrepancies == ()


@pytest.mark.parametrize("moment", ["while Ray starts", "in the middle"])
def test_ctrl_c_stops_cleanly_and_nothing_is_left_running(
    moment: str, manifest: Path, pressrun: Pressrun, scratch: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    driver = pressrun.start("render", manifest, "--out", out, TMPDIR=str(scratch))
    wait_until(lambda: mark_of(driver.pid) if moment == "while Ray starts" else pictures(out))
    run = mark_of(driver.pid)
    os.kill(driver.pid, signal.SIGINT)
    stdout, stderr = driver.communicate(timeout=60)
    assert driver.returncode == 3, stderr
    assert "The same command goes on" in stdout
    assert "Traceback" not in stderr
    assert run and not ray_processes(run)
    assert not list(scratch.glob("pressrun-*"))
