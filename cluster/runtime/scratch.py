"""A run's scratch: a folder on this machine for what must not outlive the run, whatever ends it.

References' pixels lie in it, and the files of a local Ray. It is made when somebody first asks for it, together with
the reaper that removes it even if this process is killed.
"""

import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from pressrun.cluster.runtime.reaper import MARK, Reaper
from pressrun.cluster.store.uri import is_utf8
from pressrun.pipeline.errors import JobError

T = TypeVar("T")

LONGEST = 25
"""Bytes of the path of a folder in which Ray's sockets find room: theirs, below it, may have 107, and 82 are added."""


class Scratch:
    """Gone when the context ends, with every process that was started meanwhile: they carry `run` in their environment
    (`reaper.MARK`), which is put there together with the folder."""

    def __init__(self) -> None:
        self.run = secrets.token_hex(8)
        self._folder: Path | None = None
        self._reaper: Reaper | None = None
        self._before: str | None = None
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """The folder, made now if it is not there yet; only this user may look into it.

        Raises JobError if it cannot be made.
        """
        with self._lock:
            if self._folder is None:
                folder = _place() / f"pressrun-{secrets.token_hex(4)}"
                self._reaper = Reaper(self.run, folder)  # before there is anything to be removed
                try:
                    temporary(partial(folder.mkdir, 0o700))
                except JobError:
                    self._reaper.close()
                    raise
                self._folder = folder
                self._before = os.environ.get(MARK)
                os.environ[MARK] = self.run  # after the reaper, which must not find itself
            return self._folder

    @property
    def references(self) -> Path:
        """Where references' pixels are kept."""
        return self.folder / "references"

    @property
    def used(self) -> bool:
        """Whether anybody asked for the folder."""
        return self._folder is not None

    def close(self) -> None:
        """End what the run left running and remove the folder; the next who asks gets another one."""
        reaper, folder = self._reaper, self._folder
        self._reaper = self._folder = None
        if reaper is None or folder is None:
            return
        reaper.close()
        shutil.rmtree(folder, ignore_errors=True)  # somebody may have ended the reaper
        if self._before is None:
            os.environ.pop(MARK, None)
        else:
            os.environ[MARK] = self._before

    def __enter__(self) -> "Scratch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def temporary(make: Callable[[], T]) -> T:
    """What `make` makes in the folder for temporary files.

    Raises:
        JobError: there is none that can be written.
    """
    try:
        return make()
    except OSError as error:
        raise JobError(
            f"Nothing can be written into the folder for temporary files ({error.strerror}); set TMPDIR to one with "
            "room in it.",
            code="environment",
        ) from None


def _place() -> Path:
    """The folder for temporary files, or /tmp if its path is too long for sockets or no UTF-8, which Ray wants."""
    place = temporary(tempfile.gettempdir)
    length = len(os.fsencode(place))
    if length <= LONGEST and is_utf8(place):
        return Path(place)
    if not os.access("/tmp", os.W_OK | os.X_OK):
        raise JobError(
            f"The folder for temporary files, {place}, does not do: its path has {length} bytes, Ray's sockets leave "
            f"room for {LONGEST}, and /tmp, which is taken in such a case, cannot be written. Set TMPDIR to a folder "
            f"with a path of at most {LONGEST} bytes.",
            code="environment",
        )
    return Path("/tmp")
