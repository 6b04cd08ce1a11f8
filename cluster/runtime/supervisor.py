"""A run on a joined cluster is a process of its own, watched by the one that was started: when the node that it uses or
the cluster's head is gone, Ray ends the process where it stands, without a word, and with the code of a run some of
whose rows have failed."""

import contextlib
import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from pressrun.pipeline.errors import ClusterError

_PARENT_DEATH = 1  # PR_SET_PDEATHSIG in prctl(2)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def guarded(run: Callable[[], int], cluster: str) -> int:
    """The exit code of `run`, which goes on in a child of this process; the child returns from here as well.

    Called before there are threads. A signal is passed on; a child whose watcher is killed ends too, and Ctrl-Z stops
    both until both go on.

    Raises:
        ClusterError: the child was ended by Ray. What `run` raises, it raises in the child.
    """
    ours, theirs = os.pipe()
    watcher = os.getpid()
    # One that comes now waits until it can be passed on.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (*_SIGNALS, signal.SIGTSTP))
    child = os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(ours)
        return _reported(run, theirs, watcher)
    os.close(theirs)
    with _passing_signals(child, mask):
        _, status = os.waitpid(child, 0)
    with os.fdopen(ours, "rb") as answer:
        has_ended = bool(answer.read(1))
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return 128 - code
    if not has_ended and code < 128:
        raise ClusterError(
            f"The Ray cluster at {cluster} was lost: its head is gone, or the node that this run used. What is "
            "finished is kept; the same command goes on, there or elsewhere."
        )
    return code


@contextlib.contextmanager
def _passing_signals(child: int, mask: set[int | signal.Signals]) -> Iterator[None]:
    """Signals are passed on to a child, from now on those as well that `mask` lets through."""

    def pass_on(number: int, _: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(child, number)

    def pause(_: int, __: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(child, signal.SIGCONT)  # as soon as this process goes on

    before = {number: signal.signal(number, pass_on) for number in _SIGNALS}
    if signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
        before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, pause)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reported(run: Callable[[], int], pipe: int, watcher: int) -> int:
    os.setpgid(0, 0)  # a terminal's Ctrl-C reaches the watcher alone, who passes it on, once
    ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)
    if os.getppid() != watcher:
        os._exit(128 + signal.SIGKILL)
    try:
        return run()
    finally:
        os.write(pipe, b".")
        os.close(pipe)
