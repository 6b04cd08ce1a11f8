"""Temporary files of a store in a folder: what is written here whole, and on the disk, gets its name afterwards.

By a hard link, which fails if the name is taken, or by a rename, which replaces it. Some file systems have no hard
links (exFAT, many network and FUSE mounts), and Python has no rename that refuses to replace. There, creators take
turns by `flock` on one file and rename if the name is free: a lock that dies with its holder, so no kill can leave it
behind. A rename is as whole as a link, so readers notice no difference.

A temporary's name never comes twice, and only a file that was not there is opened for writing: after a kill between
link and unlink a temporary is a second name of a finished picture, which nobody may write into.
"""

import contextlib
import errno
import fcntl
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import psutil

from pressrun.cluster.store.host import this_host

FOLDER = ".tmp"
LOCK = "create.lock"
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EINVAL}
"""What a file system without hard links answers."""

_ABANDONED_SEC = 24 * 3600.0
"""A temporary of another machine this much older than ours has no living writer: writes take seconds."""

_OURS = re.compile(r"(?P<host>[A-Za-z0-9_]+)-(?P<pid>[0-9]{1,10})-[0-9a-f]{1,16}(\.probe)?")


class Temporaries:
    """The folder for temporary files under `root`."""

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER
        self._host = this_host()

    @contextlib.contextmanager
    def written(self, chunks: Iterable[bytes]) -> Iterator[Path]:
        """A temporary file that holds `chunks` on the disk; gone afterwards unless it was renamed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f"{self._host}-{os.getpid()}-{secrets.token_hex(8)}"
        try:
            with temporary.open("xb") as file:  # a file that is there is somebody else's, or a picture's second name
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def claim(self, temporary: Path, target: Path) -> bool:
        """Give the temporary its name unless the name is taken."""
        try:
            target.hardlink_to(temporary)
            return True
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
        with _lock_file(self.folder / LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if is_taken(target):
                return False
            temporary.rename(target)
            return True

    def remove_abandoned(self, now: float) -> None:
        """Remove temporaries of processes of this machine that are dead, and any of ours that is a day old.

        What has another name than ours was put there by somebody else, and stays.
        """
        for file in self.folder.iterdir():
            if (ours := _OURS.fullmatch(file.name)) is None:
                continue
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):  # another driver tidies up as well
                dead = ours["host"] == self._host and not psutil.pid_exists(int(ours["pid"]))
                if dead or now - file.lstat().st_mtime > _ABANDONED_SEC:
                    file.unlink()


def is_taken(target: Path) -> bool:
    """Whether a file has that name, or a link that leads nowhere. Raises IsADirectoryError for a folder."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder of that name exists")
    return os.path.lexists(target)


def _lock_file(path: Path) -> IO[bytes]:
    """A file to lock, made if need be; what stands there is neither cut nor followed."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "rb")
