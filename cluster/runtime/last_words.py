"""What processes of a local Ray have said before they ended: where one dies without an exception, nothing else tells
why. Ray keeps a file for each worker, and a worker that dies before Ray knows it leaves its words in the raylet's."""

import re
from pathlib import Path
from typing import Any

import psutil

from pressrun.pipeline.redaction import without_folders

RAYLET = "raylet.err"
_STARTED = re.compile(r"Started worker process with pid (\d+)")
_FATAL = re.compile(r"^(?:\*\*\* (SIG[A-Z]+) received|Fatal Python error: (.+)$)", re.MULTILINE)
_NOT_ITS_OWN = re.compile(
    r"[: \t]|\[\d{4}-\d\d-\d\d |\*\*\* |PC: |Traceback|Fatal Python error|Python runtime state|Stack \("
    r"|(Current t|T)hread 0x|Extension modules|$"
)
"""How lines begin that are Ray's marks and its log, or a stack's."""
_LONGEST = 200


def logs_here() -> Path | None:
    """The folder in which a local Ray keeps its logs; None on a joined cluster, and without Ray."""
    import ray

    node: Any = ray._private.worker._global_node
    return Path(node.get_logs_dir_path()) if node is not None and node.head else None


def last_words(pid: int) -> str:
    """What a worker's process has said last, "" if nothing is known; without secrets and the host's folders."""
    logs = logs_here()
    return "\n".join(filter(None, map(said_in, logs.glob(f"worker-*-{pid}.err")))) if logs else ""


def said_in(file: Path) -> str:
    """The last line that a process has written itself, else the signal or the fault that ended it."""
    try:
        text = file.read_text(errors="replace")
    except OSError:
        return ""
    faults = ["".join(fault) for fault in _FATAL.findall(text)]
    lines = [line.strip() for line in text.splitlines() if not _NOT_ITS_OWN.match(line)]
    return without_folders([*faults, *lines][-1])[:_LONGEST] if lines or faults else ""


def stillborn() -> str | None:
    """The last words of a local Ray's workers if all of them have died before Ray knew them: it would start the next
    ones a minute later, and never give up. None while that cannot be said."""
    logs = logs_here()
    if logs is None:
        return None
    try:
        pids = _STARTED.findall((logs / "raylet.out").read_text(errors="replace"))
    except OSError:
        return None
    known = any(logs.glob("python-core-worker-*.log"))
    return None if known or not pids or any(map(_is_alive, map(int, pids))) else said_in(logs / RAYLET)


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
