"""What Ray's errors mean for us: mapped here and nowhere else."""

import re
from typing import Literal

from ray import exceptions

from pressrun.cluster.runtime.last_words import last_words
from pressrun.pipeline.memory import is_out_of_memory
from pressrun.pipeline.redaction import without_folders

_WORKER = (
    exceptions.RayActorError,
    exceptions.WorkerCrashedError,
    exceptions.NodeDiedError,
    exceptions.OutOfMemoryError,
)
_INPUT = (exceptions.ObjectLostError, exceptions.ObjectFetchTimedOutError, exceptions.GetTimeoutError)
_DEVICE = ("CUDA error", "cuDNN error")
"""How PyTorch's errors read for which it has no class, or not in every version."""
WITHOUT_REASON = "died unexpectedly"
"""What Ray says of an actor whose process is gone."""
_PID = re.compile(r"^\s*pid: (\d+)$", re.MULTILINE)


def is_loss(error: BaseException) -> Literal["worker", "input", ""]:
    """`worker`: the actor or node that held the call is gone, or its device is out of memory or out of order, so that
    the actor is good for nothing more. `input`: something that the call was given is gone, and its worker is well.
    Empty: the call itself raised, which is a bug of ours."""
    if isinstance(error, exceptions.RayTaskError):
        cause = getattr(error, "cause", None)
        if isinstance(cause, _WORKER + _INPUT):
            return "input"
        return "worker" if isinstance(cause, exceptions.RayError) or _is_spent(cause) else ""
    if isinstance(error, _INPUT):
        return "input"
    return "worker"


def _is_spent(error: BaseException | None) -> bool:
    """Whether it was the device that failed, or memory where nobody can do with less: another process, perhaps
    elsewhere, may do it."""
    if is_out_of_memory(error) or type(error).__name__ == "AcceleratorError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _DEVICE)


def sentence(error: BaseException) -> str:
    """An exception's type and first line, or the stack's last line where Ray puts only that, or what a process said
    that is gone, if it is known: without the stack, secrets, and the folders of the host that raised it."""
    cause = getattr(error, "cause", None) or error
    lines = str(cause).strip().splitlines() or ["no text"]
    if "ray::" in lines[0]:
        return without_folders(lines[-1].strip())[:200]
    if WITHOUT_REASON in lines[0] and (pid := _PID.search(str(cause))) and (words := last_words(int(pid[1]))):
        return words
    return f"{type(cause).__name__}: {without_folders(lines[0].strip()) or 'no text'}"[:200]


def internal_error_message(error: BaseException) -> str:
    """What a row says that failed through our fault."""
    return f"Internal error, please report it: {sentence(error)}"
