"""A run's scratch: a folder on this machine for what must not outlive the run, whatever ends it.

References' pixels lie in it, and the files of a local Ray. It is made when somebody first asks for it, together with
the reaper that removes it even if this process is killed.
"""

import os
import secrets
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cluster.reaper import MARK, Reaper
from pipeline.errors import JobError

T = TypeVar("T")


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
                self._folder = Path(temporary(_make_folder))
                self._reaper = Reaper(self.run, self._folder)
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
        reaper, self._reaper, self._folder = self._reaper, None, None
        if reaper is None:
            return
        reaper.close()
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
            "room in it."
        ) from None


def _make_folder() -> str:
    # Sockets allow no path longer than 107 bytes, and Ray needs 86 of them.
    return tempfile.mkdtemp(prefix="pressrun-", dir=None if len(tempfile.gettempdir()) < 20 else "/tmp")
