"""Whoever watches a run tells apart how it ended."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.conftest import ROOT

PROGRAM = """
import os, signal, sys, time
from pressrun.cluster.runtime.supervisor import guarded
from pressrun.pipeline.errors import ClusterError, JobError

def run():
    %s

try:
    code = guarded(run, "head:6379")
except (ClusterError, JobError) as error:
    print(error)
    code = 3 if isinstance(error, ClusterError) else 2
sys.exit(code)
"""


def ended(run: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM % run], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert not done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("run", "code", "said"),
    [
        pytest.param("return 1", 1, "", id="some rows failed"),
        pytest.param("raise JobError('No.')", 2, "No.", id="refused"),
        pytest.param("os._exit(1)", 3, "head:6379 was lost", id="ended by Ray"),
        pytest.param("os._exit(130)", 130, "", id="a second Ctrl-C"),
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", 137, "", id="killed"),
    ],
)
def test_every_end_has_its_code(run: str, code: int, said: str) -> None:
    returned, out = ended(run)
    assert returned == code
    assert said in out and bool(said) == bool(out)


WAIT = """signal.signal(signal.SIGINT, lambda *_: os.write(1, b'told\\n'))  # which may come within a print
    os.write(1, f'{os.getpid()}\\n'.encode())
    time.sleep(60)"""


def test_ctrl_z_stops_both_until_both_go_on() -> None:
    command = [sys.executable, "-c", PROGRAM % WAIT]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        run, own = psutil.Process(int(watcher.stdout.readline())), psutil.Process(watcher.pid)
        watcher.send_signal(signal.SIGTSTP)
        states(run, own, {psutil.STATUS_STOPPED})
        watcher.send_signal(signal.SIGCONT)
        states(run, own, {psutil.STATUS_SLEEPING})
        watcher.kill()


def states(run: psutil.Process, watcher: psutil.Process, wanted: set[str]) -> None:
    end = time.monotonic() + 60
    while {run.status(), watcher.status()} != wanted:
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_a_signal_is_passed_on_and_a_killed_watcher_takes_the_run_along() -> None:
    command = [sys.executable, "-c", PROGRAM % WAIT]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        child = int(watcher.stdout.readline())
        watcher.send_signal(signal.SIGINT)
        assert watcher.stdout.readline() == "told\n"
        watcher.kill()
        assert watcher.stdout.read() == ""  # the child's end of it is closed as well
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.kill(child, 0)
            time.sleep(0.05)
