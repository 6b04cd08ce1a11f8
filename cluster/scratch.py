"""A run's scratch: a folder on this machine for what must not outlive the run, whatever ends it.

References' pixels lie in it, and the files of a local Ray. It is made when somebody first asks for it, together with
the reaper that removes it even if this process is killed.
"""

import os
import secrets
import tempfile
import threading
from pathlib import Path

from cluster.reaper import MARK, Reaper


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
        """The folder, made now if it is not there yet; only this user may look into it."""
        with self._lock:
            if self._folder is None:
                # Sockets allow no path longer than 107 bytes, and Ray needs 86 of them.
                place = None if len(tempfile.gettempdir()) < 20 else "/tmp"
                self._folder = Path(tempfile.mkdtemp(prefix="pressrun-", dir=place))
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
