"""Bytes and letters where a command begins: what it prints gets out on every terminal, names of files are UTF-8.

A terminal or a log may take ASCII or Latin-1 only; what it cannot show is shown as `\\u676f`. Names are another matter:
tables and buckets hold them in UTF-8, and a picture must be called the same on the disk whatever the locale is.
"""

import os
import sys
from collections.abc import Iterable

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
