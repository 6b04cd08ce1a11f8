"""Decoding in processes that may die: a picture that crashes, chokes or bloats its decoder costs one row, nothing else.

Pillow and the libraries below it are good, and are fed with strangers' bytes. They run in a small process of its own
(`pipeline.references.worker`), which is kept for many pictures, knows no secret of ours, may take only so much memory,
and is killed when a picture takes too long. What it answers is checked as if a stranger had written it. It ends with
the process that started it, whatever ended that: its stdin ends then.
"""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import LifoQueue
from typing import Any

import numpy as np

from pressrun.cluster.runtime.reaper import MARK
from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.import_path import isolated, program
from pressrun.pipeline.references.worker import ANSWER, PIXELS, QUESTION, REFUSAL
from pressrun.pipeline.request import MULTIPLE

SECONDS = 60.0
"""For one picture, a new process's start included: the largest photograph takes two or three."""

MEMORY_BYTES = 2 << 30
"""Address space of a decoder: 50 megapixels in their costliest form, a WebP with alpha, take three quarters of it."""

CODES = ("reference_unreadable", "reference_too_large", "reference_unsuitable")
_LONGEST_REFUSAL = 4096
_GRACE_SEC = 2.0
"""A decoder ends by itself this much after we should have ended it, if we are no more."""
_INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", MARK)
"""All that a decoder gets of our environment, which may hold credentials."""


class Decoder:
    """One such process, started when it is first needed and again after it was lost. For one thread at a time."""

    def __init__(self, seconds: float = SECONDS, memory_bytes: int = MEMORY_BYTES) -> None:
        self._seconds, self._memory_bytes = seconds, memory_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process else None

    def decode(self, data: bytes, cap: int) -> np.ndarray:
        """A picture's pixels (H, W, 3), uint8, as `pipeline.references.decode.decode_reference` makes them under a
        model whose `reference_pixels` are `cap`.

        Raises RequestError: what it raises, `reference_timeout`, and `reference_unreadable` if the process dies of it.
        """
        fresh = self._process is None
        try:
            return self._ask(data, cap)
        except _Lost as loss:
            if fresh or loss.code == "reference_timeout":
                raise RequestError(loss.code, f"The reference picture {loss.reason}.") from None
        return self.decode(data, cap)  # an earlier picture may be to blame: once more, in a process that has seen none

    def close(self) -> None:
        """End the process for good; a picture that is in it is lost."""
        self._closed = True
        self._end()

    def _ask(self, data: bytes, cap: int) -> np.ndarray:
        process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        with self._in_time(process) as late:
            try:
                _write(process.stdin, QUESTION.pack(len(data), cap))
                _write(process.stdin, data)
                return _answer(process.stdout, cap)
            except (OSError, ValueError):  # it is gone, or talks nonsense
                code = self._end()
        if late.is_set():
            raise _Lost("reference_timeout", f"takes longer than {self._seconds:g} s to decode; save it again")
        raise _Lost("reference_unreadable", f"ends its decoder ({_cause(code)}); save it again as PNG, JPEG or WebP")

    def _start(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise RuntimeError("this decoder was closed")
        # Without `site`, which takes longer than all the rest; so Pillow is looked for where we have found it.
        limits = f"{self._memory_bytes}, {self._seconds + _GRACE_SEC}"
        call = f"from pressrun.pipeline.references.worker import main; main({limits})"
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        self._process = subprocess.Popen(
            [*isolated(), "-S", "-c", program(call)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**inherited, "OPENBLAS_NUM_THREADS": "1"},  # each of its threads would take address space
            start_new_session=True,  # the terminal's Ctrl-C is for us
        )
        return self._process

    def _end(self) -> int:
        """Kill and forget the process; its exit status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.poll() is None:
            _wait(process, 0.2 if not self._closed else 0.0)
        process.kill()
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        return code

    @contextmanager
    def _in_time(self, process: subprocess.Popen[bytes]) -> Iterator[threading.Event]:
        """Kills the process when time is up, and says so."""
        late = threading.Event()

        def kill() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._seconds, kill)
        timer.daemon = True
        timer.start()
        try:
            yield late
        finally:
            timer.cancel()
            timer.join()


class Decoders:
    """Several decoders for many threads; ended with the context."""

    def __init__(self, count: int, seconds: float = SECONDS, memory_bytes: int = MEMORY_BYTES) -> None:
        self._all = [Decoder(seconds, memory_bytes) for _ in range(count)]
        self._idle: LifoQueue[Decoder] = LifoQueue()  # who has started already is asked first
        for decoder in self._all:
            self._idle.put(decoder)

    def decode(self, data: bytes, cap: int) -> np.ndarray:
        """As `Decoder.decode`; waits for one that is idle."""
        decoder = self._idle.get()
        try:
            return decoder.decode(data, cap)
        finally:
            self._idle.put(decoder)

    def close(self) -> None:
        """End them all, whatever they are doing."""
        for decoder in self._all:
            decoder.close()

    def __enter__(self) -> "Decoders":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Lost(Exception):
    """The process is gone: a code, and why, as the rest of a sentence."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code)
        self.code, self.reason = code, reason


def _answer(pipe: Any, cap: int) -> np.ndarray:
    """What a decoder answers. Raises RequestError if it refuses the picture, ValueError if it makes no sense."""
    kind, width, height, length = ANSWER.unpack(_exactly(pipe, ANSWER.size))
    if kind == PIXELS:
        whole = width > 0 and height > 0 and width % MULTIPLE == height % MULTIPLE == 0
        if not whole or width * height > cap or length != width * height * 3:
            raise ValueError("no pixels")
        return np.frombuffer(_exactly(pipe, length), np.uint8).reshape(height, width, 3)
    if kind != REFUSAL or length > _LONGEST_REFUSAL:
        raise ValueError("no answer")
    refusal = json.loads(_exactly(pipe, length))
    code, message = (refusal.get(name) for name in ("code", "message")) if isinstance(refusal, dict) else ("", "")
    if code not in CODES or not isinstance(message, str) or not message.isprintable():
        raise ValueError("no refusal")
    raise RequestError(code, message)


def _exactly(pipe: Any, length: int) -> bytearray:
    data = bytearray(length)
    view, filled = memoryview(data), 0
    while filled < length:
        count = pipe.readinto(view[filled:])
        if not count:
            raise ValueError("cut off")
        filled += count
    return data


def _write(pipe: Any, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) or 0 :]


def _cause(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"
    except ValueError:
        return f"signal {-code}"


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Let a process that is about to end do so by itself, for the sake of its exit status."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass
