"""A command as a process of its own, and what it took: wall time, CPU time and memory, its children's included."""

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
_SAMPLE_SEC = 0.1
"""Looking at all processes takes milliseconds, which would be missing on a small machine if it were done more often."""


@dataclass(frozen=True)
class Measured:
    """`seconds` of wall time, `cpu_seconds` of the process and all that it started, `peak_mib` of resident memory
    of the whole process tree: the sum at each sample, so shared pages count in every process that has them."""

    code: int
    seconds: float
    cpu_seconds: float
    peak_mib: float
    out: str
    err: str


def run_measured(command: Sequence[str], **environment: str) -> Measured:
    """Run a command to its end. Processes are looked at ten times a second."""
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said: list[str] = ["", ""]
    readers = [
        threading.Thread(target=lambda place=place, stream=stream: said.__setitem__(place, stream.read()))
        for place, stream in enumerate((process.stdout, process.stderr))
    ]
    for reader in readers:
        reader.start()
    peak = 0
    busy: dict[int, float] = {}
    root = psutil.Process(process.pid)
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        peak = max(peak, _look(root, busy))
        time.sleep(_SAMPLE_SEC)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    for reader in readers:
        reader.join()
    for stream in (process.stdout, process.stderr):
        stream.close()
    # The kernel knows those that were waited for; Ray's daemons were not, and are known by their last sample.
    cpu = max(used.ru_utime + used.ru_stime, sum(busy.values()))
    return Measured(process.returncode, seconds, cpu, max(peak / 2**20, used.ru_maxrss / 2**10), *said)


def _look(root: psutil.Process, busy: dict[int, float]) -> int:
    """Resident bytes of the process and of everything that it started; notes the CPU seconds of each in `busy`."""
    total = 0
    try:
        for process in [root, *root.children(recursive=True)]:
            try:
                used = process.cpu_times()
                busy[process.pid] = used.user + used.system
                total += process.memory_info().rss
            except psutil.Error:  # it has ended meanwhile
                continue
    except psutil.Error:
        pass
    return total
