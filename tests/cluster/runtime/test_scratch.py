"""A run's scratch: there when it is asked for, gone whatever ends the run."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from pressrun.cluster.runtime.reaper import MARK
from pressrun.cluster.runtime.scratch import LONGEST, Scratch
from pressrun.pipeline.errors import JobError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))  # short enough for sockets
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_nothing_is_made_before_somebody_asks(place: Path) -> None:
    with Scratch() as scratch:
        assert not scratch.used
        assert list(place.iterdir()) == []
    place.rmdir()


def test_without_a_place_for_it_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/none")
    with Scratch() as scratch, pytest.raises(JobError, match="set TMPDIR"):
        assert scratch.folder


def test_the_folder_is_ours_alone_and_goes_with_everything_in_it(place: Path) -> None:
    with Scratch() as scratch:
        (scratch.references / "deep").mkdir(parents=True)
        assert scratch.folder == scratch.references.parent and scratch.used
        assert scratch.folder.stat().st_mode & 0o077 == 0
        marked = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={MARK: scratch.run})
        time.sleep(0.2)  # until it has its own environment, and not yet ours
        scratch.close()
        assert marked.wait(10) == -9
        marked.communicate()
        assert list(place.iterdir()) == []
    place.rmdir()


def test_it_goes_whatever_lies_in_the_working_folder(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("logging", "contextlib", "psutil"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a stranger')")
    monkeypatch.chdir(tmp_path)
    with Scratch() as scratch:
        assert scratch.folder.is_dir()
    assert list(place.iterdir()) == []
    place.rmdir()


def test_a_path_too_long_for_sockets_is_told_with_what_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "a" / ("long" * 10)
    place.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with Scratch() as scratch:
        assert scratch.folder.parent == Path("/tmp")
    can = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != "/tmp" and can(path, mode))
    with Scratch() as scratch, pytest.raises(JobError) as refused:
        assert scratch.folder
    said = str(refused.value)
    assert f"{place}, does not do: its path has {len(str(place))} bytes" in said
    assert f"Set TMPDIR to a folder with a path of at most {LONGEST} bytes." in said


def test_the_longest_path_leaves_room_for_rays_sockets() -> None:
    sockets = "/pressrun-12345678/session_2026-11-29_19-04-37_399960_4194304/sockets/plasma_store"
    assert LONGEST + len(sockets) == 107


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_it_goes_although_the_reaper_is_told_to_end(number: signal.Signals, place: Path) -> None:
    with Scratch() as scratch:
        folder = scratch.folder
        [reaper] = [
            one for one in psutil.Process().children() if "pressrun.cluster.runtime.reaper" in " ".join(one.cmdline())
        ]
        reaper.send_signal(number)
    assert not folder.exists()
    place.rmdir()


def test_it_goes_when_its_process_is_killed(place: Path) -> None:
    program = """
import time
from pressrun.cluster.runtime.scratch import Scratch
scratch = Scratch()
scratch.references.mkdir()
(scratch.references / "mug").write_bytes(b"mug")
print(scratch.folder, flush=True)
time.sleep(600)
"""
    environment = {**os.environ, "TMPDIR": str(place)}
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    assert (folder / "references/mug").exists()
    process.kill()
    process.communicate()
    end = time.monotonic() + 30
    while folder.exists():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
    place.rmdir()
