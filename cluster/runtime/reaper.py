"""A small process that outlives a crashed driver just long enough to clear away what its run left on this machine.

After `kill -9` of a driver, Ray's own processes notice one after the other, the last of them after a minute. The
reaper holds the reading end of a pipe whose only writer is the driver: when the pipe ends, however that came about,
every process that carries this run's mark in its environment is killed and the run's scratch folder removed.
"""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from pressrun.pipeline.import_path import isolated, program

logger = logging.getLogger(__name__)

MARK = "PRESSRUN_RUN"
"""Environment variable that every process started by a run inherits; its value names the run."""

_CALL = "from pressrun.cluster.runtime.reaper import main; main(*sys.argv[1:])"
_ROUNDS = 60
_QUIET_ROUNDS = 4


class Reaper:
    """Started with the scratch folder; `close()` ends the run's leftovers and returns once they are gone."""

    def __init__(self, run: str, scratch: Path) -> None:
        self._process = subprocess.Popen(
            [*isolated(), "-c", program(_CALL), run, str(scratch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # the terminal's Ctrl-C is for the driver
        )

    def close(self, timeout_sec: float = 15.0) -> None:
        """End the pipe and wait until everything that carried the mark is gone."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._process.wait(timeout_sec):
                logger.warning("The run's leftovers could not be cleared away; look for processes called ray::")


def marked(run: str) -> list[psutil.Process]:
    """Processes of this user whose initial environment names the run."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK) == run:
                found.append(process)
    return found


def main(run: str, scratch: str) -> None:
    """Wait for the driver's end, then kill and remove, until nothing has come back for a moment.

    A dying raylet may just have forked a worker, whose environment cannot be read before it is that worker's, and who
    makes the folder again when it starts; and whoever was killed while it wrote a file may have made it after its
    folder was emptied.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the run, which ends first
    sys.stdin.buffer.read()
    quiet = 0
    for _ in range(_ROUNDS):
        left = marked(run)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=1)
        if not left:
            shutil.rmtree(scratch, ignore_errors=True)
        quiet = 0 if left or Path(scratch).exists() else quiet + 1
        if quiet == _QUIET_ROUNDS:
            break
        time.sleep(0.05)
