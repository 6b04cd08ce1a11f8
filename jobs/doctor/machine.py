"""This machine: versions, cores, memory, disk, GPUs, and what is there for the extras."""

import contextlib
import os
import resource
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import psutil

from pressrun.cluster.placement.devices import devices_here
from pressrun.cluster.runtime.scratch import Scratch
from pressrun.jobs.doctor.finding import BAD, DOUBTFUL, GOOD, Finding
from pressrun.jobs.doctor.requirements import extras, installed, problems
from pressrun.jobs.text.wording import first_of
from pressrun.pipeline.errors import JobError

_MEMORY = 2 << 30
"""Bytes that mini wants free with Ray beside it."""
_DISK = 4 << 30
_SHARED = 1 << 30
_FILES = 4_096
"""Open files that Ray wants to be allowed."""


def machine_findings() -> Iterator[Finding]:
    """Look at this machine."""
    yield from _versions()
    yield from _room()
    yield from _gpus()
    for extra, lacking in sorted(extras().items()):
        if lacking:
            yield Finding(
                f"extra {extra}", DOUBTFUL, f"not installed ({first_of(lacking)})", f"pip install 'pressrun[{extra}]'"
            )
        else:
            yield Finding(f"extra {extra}", GOOD, "installed")


def _versions() -> Iterator[Finding]:
    found = list(problems())
    told = installed()
    said = ", ".join(
        f"{name} {told[name]}" for name in ("python", "pressrun", "torch", "ray", "pyarrow") if name in told
    )
    if found:
        yield Finding(
            "versions", BAD, f"{said}; {'; '.join(found)}", "install Pressrun again in an environment of its own"
        )
    else:
        yield Finding("versions", GOOD, said)


def _room() -> Iterator[Finding]:
    free, cores = psutil.virtual_memory().available, len(os.sched_getaffinity(0))
    yield _at_least(
        "memory", free, _MEMORY, f"{_gib(free)} free, {cores} cores", "end other programs, or take a larger one"
    )
    try:
        with Scratch() as scratch:
            place = scratch.folder
            yield _at_least(
                "scratch",
                shutil.disk_usage(place).free,
                _DISK,
                f"{_gib(shutil.disk_usage(place).free)} free at {place.parent}",
                "set TMPDIR to a disk with room",
            )
    except JobError as error:
        yield Finding("scratch", BAD, str(error).rstrip("."), "set TMPDIR to a folder that can be written")
    with contextlib.suppress(OSError):
        shared = shutil.disk_usage("/dev/shm").free
        advice = "give the container more (docker run --shm-size 2g): Ray goes to the disk without"
        yield _at_least("/dev/shm", shared, _SHARED, f"{_gib(shared)} free", advice, DOUBTFUL)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield _at_least("open files", files, _FILES, f"{files:,} allowed", f"ulimit -n {_FILES * 16}", DOUBTFUL)


def _gpus() -> Iterator[Finding]:
    devices, torch = devices_here(), version("torch")
    if devices.gpus:
        yield Finding("GPUs", GOOD, f"{devices.describe()}, torch {torch}")
    elif "+cpu" in torch and Path("/proc/driver/nvidia/version").exists():
        advice = "install the build for your driver: pip install torch --index-url https://download.pytorch.org/whl/…"
        yield Finding("GPUs", BAD, f"this machine has NVIDIA's driver, and torch {torch} is for CPUs", advice)
    else:
        yield Finding(
            "GPUs", DOUBTFUL, f"none that torch {torch} can use; models run on the CPU, which suits mini alone"
        )


def _at_least(subject: str, has: int, wants: int, said: str, advice: str, short: str = BAD) -> Finding:
    return Finding(subject, GOOD, said) if has >= wants else Finding(subject, short, said, advice)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
