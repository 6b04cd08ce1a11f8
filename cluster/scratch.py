"""A run's scratch: a folder on this machine for what must not outlive the run, whatever ends it.

References' pixels lie in it, and the files of a local Ray. It is made when somebody first asks for it, together with
the reaper that removes it even if this process is killed.
"""

import secrets
import tempfile
import threading
from pathlib import Path

from cluster.reaper import Reaper


class Scratch:
    """Gone when the context ends. `run` names the run: what carries it in its environment is killed at the end."""

    def __init__(self) -> None:
        self.run = secrets.token_hex(8)
        self._folder: Path | None = None
        self._reaper: Reaper | None = None
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
        if reaper is not None:
            reaper.close()

    def __enter__(self) -> "Scratch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
