"""Bytes and letters where a command begins: what it prints gets out on every terminal, names of files are UTF-8.

A terminal or a log may take ASCII or Latin-1 only; what it cannot show is shown as `\\u676f`. Names are another matter:
tables and buckets hold them in UTF-8, and a picture must be called the same on the disk whatever the locale is.

A disk may be full, and a reader may go: what cannot be printed stops nothing, unless it is what was asked for.
"""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from pressrun.cluster.store.uri import escaped, is_utf8
from pressrun.pipeline.errors import JobError

_SHOWN = "backslashreplace"


def begin_in_utf8() -> None:
    """Begin this program again in Python's UTF-8 mode where the locale has another encoding; what it prints stays in
    the terminal's. Its workers inherit the mode."""
    mark = os.environ.get("PYTHONIOENCODING", "")
    if sys.flags.utf8_mode and mark.endswith(f":{_SHOWN}"):
        del os.environ["PYTHONIOENCODING"]  # it was for this process
    if sys.flags.utf8_mode or sys.getfilesystemencoding() == "utf-8":
        return
    os.environ["PYTHONUTF8"] = "1"
    if not mark and sys.stdout is not None:
        os.environ["PYTHONIOENCODING"] = f"{sys.stdout.encoding}:{_SHOWN}"
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def show_everything() -> None:
    """Let output that its stream cannot encode be escaped, and nothing end because of it."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_SHOWN)


def check_arguments(arguments: Iterable[str]) -> None:
    """Raise JobError for arguments that are no text."""
    strange = [escaped(argument) for argument in arguments if not is_utf8(argument)]
    if strange:
        raise JobError(
            *(f"“{argument}” is not UTF-8, which no table can hold: rename it." for argument in strange),
            code="bad_option",
        )


class NotPrinted(Exception):
    """What was asked for cannot be printed; `cause` is why."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class LastingStream:
    """A stream to which a failure to write does nothing, or raises NotPrinted while the output is `demanded`. `lost` is
    the last failure."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.demanded = False
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        """Write, if that can be done; the number of characters."""
        with self._failures():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Let out what was written, if that can be done."""
        with self._failures():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.lost = error
            if self.demanded:
                raise NotPrinted(error) from None


@contextlib.contextmanager
def lasting_streams() -> Iterator[LastingStream]:
    """Inside, `sys.stdout` and `sys.stderr` are lasting streams, to nowhere where there is none; gives `sys.stdout`."""
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
        out, err = (LastingStream(nowhere if stream is None else stream) for stream in before)
        sys.stdout, sys.stderr = out, err
        try:
            yield out
        finally:
            sys.stdout, sys.stderr = before
