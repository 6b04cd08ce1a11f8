"""A store in a local folder (or one that is mounted like it).

Every write goes to a temporary file under `.tmp/`, is flushed to the disk, and only then gets its name: by a hard link,
which fails if the name is taken (`create`), or by a rename, which replaces it (`put`). A kill between the two leaves
a file in `.tmp/`, never half a picture; the next `prepare` removes what its dead writer left.

Some file systems have no hard links (exFAT, many network and FUSE mounts), and Python has no rename that refuses to
replace. There, creators take turns by `flock` on one file and rename if the name is free: a lock that dies with its
holder, so no kill can leave it behind. A rename is as whole as a link, so readers notice no difference.
"""

import contextlib
import errno
import fcntl
import filecmp
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from cluster.host import this_host
from cluster.store import Entry, Store, check_path
from pipeline.errors import JobError, RequestError, StorageError

_TEMPORARIES = ".tmp"
_LOCK = "create.lock"
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EINVAL}
_BAD_NAME = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ABANDONED_SEC = 24 * 3600.0
"""A temporary of another machine this much older than ours has no living writer: writes take seconds."""

_serial = itertools.count()


class FolderStore:
    """`Store` in the folder `root`, an absolute path."""

    conditional = True  # by link or by lock; `prepare` refuses a file system that has neither

    def __init__(self, root: Path) -> None:
        self.uri = str(root)
        self._root = root
        self._temporaries = root / _TEMPORARIES
        self._host = this_host()

    def prepare(self) -> None:
        try:
            if self._root.exists() and not self._root.is_dir():
                raise JobError(f"{self.uri} is a file: give a folder, it need not exist yet.")
            with self._written((b"?",)) as temporary:
                named = temporary.with_suffix(".probe")
                self._claim(temporary, named)
                now = named.stat().st_mtime  # by the file system's clock, which need not be ours
                named.unlink()
            self._remove_abandoned(now)
        except OSError as error:
            raise JobError(f"The folder {self.uri} cannot be written ({error.strerror}): choose another one.") from None

    def get(self, path: str) -> bytes:
        with self._failures("read", path):
            return self._file(path).read_bytes()

    def get_range(self, path: str, start: int, length: int) -> bytes:
        with self._failures("read", path), self._file(path).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def head(self, path: str) -> Entry | None:
        with contextlib.suppress(FileNotFoundError), self._failures("read", path):
            file = self._file(path)
            return None if file.is_dir() else _entry(path, file.stat())
        return None

    def put(self, path: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        self.put_chunks(path, (data,), content_type)

    def put_chunks(self, path: str, chunks: Iterable[bytes], content_type: str = "application/octet-stream") -> None:
        with self._failures("write", path), self._written(chunks) as temporary:
            target = self._target(path)
            temporary.replace(target)
            _sync(target.parent)

    def create(self, path: str, data: bytes, content_type: str = "application/octet-stream") -> bool:
        with self._failures("write", path):
            target = self._target(path)
            if _is_taken(target):
                return False
            with self._written((data,)) as temporary:
                created = self._claim(temporary, target)
                _sync(target.parent)
                return created

    def list(self, prefix: str = "") -> Iterator[Entry]:
        folder = prefix.rpartition("/")[0]
        if folder:
            check_path(folder)
        with self._failures("list", folder):
            yield from (entry for entry in self._walk(folder) if entry.path.startswith(prefix))

    def paths(self, prefix: str = "") -> Iterator[str]:
        folder = prefix.rpartition("/")[0]
        if folder:
            check_path(folder)
        with self._failures("list", folder):
            yield from (path for path in self._names(folder) if path.startswith(prefix))

    def level(self, folder: str = "") -> tuple[Sequence[str], Sequence[Entry]]:
        names, entries = [], []
        with self._failures("list", folder), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            root = self._file(folder) if folder else self._root
            for child in sorted(os.scandir(root), key=lambda child: os.fsencode(child.name)):
                path = f"{folder}/{child.name}" if folder else child.name
                if not child.is_dir():
                    with contextlib.suppress(FileNotFoundError):
                        entries.append(_entry(path, child.stat()))
                elif path != _TEMPORARIES:
                    names.append(child.name)
        return names, entries

    def sweep(self) -> None:
        with contextlib.suppress(OSError):
            (self._temporaries / _LOCK).unlink()
        for folder, _, _ in os.walk(self._root, topdown=False):
            with contextlib.suppress(OSError):  # something is left in it
                Path(folder).rmdir()

    def copy(self, source: Store, there: str, path: str, content_type: str = "application/octet-stream") -> str:
        self.put(path, source.get(there))
        with self._failures("read", path):
            return _entry(path, self._file(path).stat()).etag

    def adopt(self, source: Store, pairs: Sequence[tuple[str, str]]) -> Sequence[bool]:
        adopted = [self._adopt(source, there, path) for there, path in pairs]
        for folder in {self._file(path).parent for _, path in pairs}:
            with self._failures("write", folder.name):
                _sync(folder)
        return adopted

    def _adopt(self, source: Store, there: str, path: str) -> bool:
        with self._failures("write", path):
            target = self._target(path)
            if isinstance(source, FolderStore):
                origin = source._file(there)
                try:
                    target.hardlink_to(origin)
                    return True
                except FileExistsError:
                    return _is_same(origin, target)
                except (FileNotFoundError, NotADirectoryError):
                    return False
                except OSError as error:
                    if error.errno not in _NO_LINKS:
                        raise
        try:
            data = source.get(there)
        except FileNotFoundError:
            return False
        return self.create(path, data) or self.get(path) == data

    def delete(self, path: str) -> None:
        with self._failures("delete", path), contextlib.suppress(IsADirectoryError, NotADirectoryError):
            self._file(path).unlink(missing_ok=True)

    def _file(self, path: str) -> Path:
        return self._root / check_path(path)

    def _target(self, path: str) -> Path:
        """The file that `path` means, its folder made."""
        file = self._file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        return file

    @contextlib.contextmanager
    def _written(self, chunks: Iterable[bytes]) -> Iterator[Path]:
        """A temporary file that holds `chunks` on the disk; gone afterwards unless it was renamed."""
        self._temporaries.mkdir(parents=True, exist_ok=True)
        temporary = self._temporaries / f"{self._host}-{os.getpid()}-{next(_serial)}"
        try:
            with temporary.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def _claim(self, temporary: Path, target: Path) -> bool:
        """Give the temporary its name unless the name is taken."""
        try:
            target.hardlink_to(temporary)
            return True
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        with (self._temporaries / _LOCK).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_taken(target):
                return False
            temporary.rename(target)
            return True

    def _walk(self, folder: str) -> Iterator[Entry]:
        """Every file under `folder`, in the order of the whole paths: a folder sorts as its name and a slash."""
        try:
            with os.scandir(self._root / folder) as found:
                children = [(child.name + "/" if child.is_dir() else child.name, child) for child in found]
        except (FileNotFoundError, NotADirectoryError):
            return
        for name, child in sorted(children, key=lambda pair: os.fsencode(pair[0])):
            path = f"{folder}/{name}" if folder else name
            if path == f"{_TEMPORARIES}/":
                continue
            if name.endswith("/"):
                yield from self._walk(path[:-1])
            else:
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile, or a link that leads nowhere
                    yield _entry(path, child.stat())

    def _names(self, folder: str) -> Iterator[str]:
        """Every file under `folder`, without asking the disk for more than its folders."""
        start = f"{folder}/" if folder else ""
        try:
            with os.scandir(self._root / folder) as found:
                for child in found:
                    if not child.is_dir():
                        yield start + child.name
                    elif start + child.name != _TEMPORARIES:
                        yield from self._names(start + child.name)
        except (FileNotFoundError, NotADirectoryError):
            return

    def _remove_abandoned(self, now: float) -> None:
        """Remove temporaries of processes of this machine that are dead, and of other machines if a day old."""
        for file in self._temporaries.iterdir():
            host, _, pid = file.name.rpartition("-")[0].rpartition("-")
            with contextlib.suppress(FileNotFoundError):  # another driver tidies up as well
                if host == self._host and pid.isdecimal():
                    abandoned = not psutil.pid_exists(int(pid))
                else:
                    abandoned = file.name != _LOCK and now - file.stat().st_mtime > _ABANDONED_SEC
                if abandoned:
                    file.unlink()

    @contextlib.contextmanager
    def _failures(self, verb: str, path: str) -> Iterator[None]:
        """Map the operating system's errors to ours, once."""
        try:
            yield
        except UnicodeEncodeError:
            raise RequestError("bad_name", f"{path!r} cannot be a file's name: it is not valid Unicode.") from None
        except OSError as error:
            where = f"{self.uri.rstrip('/')}/{path}"
            if verb == "read" and error.errno in {errno.ENOENT, *_BAD_NAME}:
                raise FileNotFoundError(f"There is no {where}.") from None
            if error.errno in _BAD_NAME:
                message = f"{where} cannot be a file's name here ({error.strerror}): choose another name."
                raise RequestError("bad_name", message) from None
            if error.errno in _FULL:
                raise StorageError(f"No space is left in {self.uri}: free some, then run the command again.") from None
            raise StorageError(f"Cannot {verb} {where}: {error.strerror or error}.") from None


def _is_taken(target: Path) -> bool:
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder of that name exists")
    return target.exists()


def _is_same(one: Path, other: Path) -> bool:
    """Whether two files are one, or have the same bytes."""
    if not (one.is_file() and other.is_file()):
        return False
    return one.samefile(other) or filecmp.cmp(one, other, shallow=False)


def _entry(path: str, stat: os.stat_result) -> Entry:
    modified = datetime.fromtimestamp(stat.st_mtime, UTC)
    return Entry(path, stat.st_size, modified, f"{stat.st_ino:x}-{stat.st_mtime_ns:x}-{stat.st_size:x}")


def _sync(folder: Path) -> None:
    """Flush a folder's names to the disk, so that no result speaks of a picture that a power cut took back."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # some mounts cannot sync a folder
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(descriptor)
