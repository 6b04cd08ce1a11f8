"""A store in a local folder (or one that is mounted like it).

Every write goes to a temporary file (see `temporaries.py`), is flushed to the disk, and only then gets its name. A kill
between the two leaves a file in `.tmp/`, never half a picture; the next `prepare` removes what its dead writer left.

Symbolic links are followed to read, and where a user has put one in a job's folder to write, but nothing is removed
behind one, and no change that depends on what stands there is made behind one.
"""

import contextlib
import errno
import filecmp
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from pressrun.cluster.store.conditions import check_standing, read_unchanged
from pressrun.cluster.store.store import ANYTHING, Changed, Entry, Opener, Refusal, Standing, Store, never
from pressrun.cluster.store.temporaries import FOLDER, LOCK, NO_LINKS, Temporaries, is_taken
from pressrun.cluster.store.unlisted import leads_back, listed
from pressrun.cluster.store.uri import check_path
from pressrun.pipeline.errors import JobError, RequestError, StorageError

_BAD_NAME = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FolderStore:
    """`Store` in the folder `root`, an absolute path; `stores` opened it."""

    conditional = True  # by link or by lock; `prepare` refuses a file system that has neither

    def __init__(self, root: Path, stores: Opener) -> None:
        self.stores = stores
        self.uri = str(root)
        self._root = root
        self._temporaries = Temporaries(root)

    def prepare(self) -> None:
        try:
            if self._root.exists() and not self._root.is_dir():
                raise JobError(f"{self.uri} is a file: give a folder, it need not exist yet.", code="bad_place")
            with self._temporaries.written((b"?",)) as temporary:
                named = temporary.with_suffix(".probe")
                self._temporaries.claim(temporary, named)
                now = named.stat().st_mtime  # by the file system's clock, which need not be ours
                named.unlink()
            self._temporaries.remove_abandoned(now)
        except OSError as error:
            raise JobError(
                f"The folder {self.uri} cannot be written ({error.strerror}): choose another one.", code="bad_place"
            ) from None

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
        with self._failures("write", path), self._temporaries.written(chunks) as temporary:
            target = self._target(path)
            temporary.replace(target)
            _sync(target.parent)

    def create(self, path: str, data: bytes, content_type: str = "application/octet-stream") -> bool:
        with self._failures("write", path):
            target = self._target(path)
            if is_taken(target):
                return False
            with self._temporaries.written((data,)) as temporary:
                created = self._temporaries.claim(temporary, target)
                temporary.unlink(missing_ok=True)  # before the wait for the disk: until then both are one file
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
            for child in sorted(listed(root), key=lambda child: child.name.encode()):
                path = f"{folder}/{child.name}" if folder else child.name
                if not child.is_dir():
                    with contextlib.suppress(FileNotFoundError):
                        entries.append(_entry(path, child.stat()))
                elif path != FOLDER:
                    names.append(child.name)
        return names, entries

    def sweep(self, paths: Iterable[str]) -> None:
        folders = {str(parent) for path in paths for parent in PurePosixPath(f"{path}_").parents}
        with contextlib.suppress(OSError):
            (self._temporaries.folder / LOCK).unlink()
        for folder in [FOLDER, *sorted(folders - {"."}, key=len, reverse=True)]:
            if not self.linked(folder):
                with contextlib.suppress(OSError):  # something is left in it
                    self._file(folder).rmdir()
        if folders:
            with contextlib.suppress(OSError):
                self._root.rmdir()

    def public(self, path: str) -> bool:
        return False

    def copy(
        self,
        source: Store,
        there: str,
        path: str,
        content_type: str = "application/octet-stream",
        *,
        of: str | None = None,
        content: tuple[int, str] | None = None,
        standing: Standing = ANYTHING,
        fence: Callable[[], None] = never,
    ) -> str:
        data = read_unchanged(source, there, of, content)
        with self._failures("write", path):
            if standing is not ANYTHING and self.linked(path):
                raise Changed(f"{self.uri}/{path} is a link, or lies behind one.")
            target = self._target(path)
            with self._temporaries.written((data,)) as temporary:
                etag = _entry(path, temporary.stat()).etag
                check_standing(self, path, standing)
                fence()
                if standing is None and not self._temporaries.claim(temporary, target):
                    raise Changed(f"{self.uri}/{path} exists by now.")
                if standing is not None:
                    temporary.replace(target)
                temporary.unlink(missing_ok=True)
                _sync(target.parent)
            return etag

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
                    if error.errno not in NO_LINKS:
                        raise
        try:
            data = source.get(there)
        except FileNotFoundError:
            return False
        return self.create(path, data) or self.get(path) == data

    def delete(self, path: str, standing: Standing = ANYTHING, fence: Callable[[], None] = never) -> bool:
        parts = check_path(path).split("/")
        with self._failures("delete", path), contextlib.ExitStack() as stack:
            try:
                folder = _opened(stack, str(self._root))
                for part in parts[:-1]:
                    folder = _opened(stack, part, os.O_NOFOLLOW, folder)
            except FileNotFoundError:
                return True
            except NotADirectoryError:
                return not self.linked(path)
            check_standing(self, path, standing)
            fence()
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                os.unlink(parts[-1], dir_fd=folder)
            return True

    def linked(self, path: str) -> bool:
        parts = check_path(path).split("/") if path else []
        return any(self._root.joinpath(*parts[: place + 1]).is_symlink() for place in range(len(parts)))

    def _file(self, path: str) -> Path:
        return self._root / check_path(path)

    def _target(self, path: str) -> Path:
        """The file that `path` means, its folder made."""
        file = self._file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        return file

    def _walk(self, folder: str) -> Iterator[Entry]:
        """Every file under `folder`, in the order of the whole paths: a folder sorts as its name and a slash."""
        try:
            found = listed(self._root / folder)
            children = [(child.name + "/" if child.is_dir() else child.name, child) for child in found]
        except (FileNotFoundError, NotADirectoryError):
            return
        for name, child in sorted(children, key=lambda pair: pair[0].encode()):
            path = f"{folder}/{name}" if folder else name
            if path == f"{FOLDER}/" or leads_back(child):
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
            for child in listed(self._root / folder):
                if not child.is_dir():
                    yield start + child.name
                elif start + child.name != FOLDER and not leads_back(child):
                    yield from self._names(start + child.name)
        except (FileNotFoundError, NotADirectoryError):
            return

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
            refused = error.errno in _REFUSED or (verb == "write" and error.errno == errno.ENOENT)  # as in /proc
            raise (Refusal if refused else StorageError)(f"Cannot {verb} {where}: {error.strerror or error}.") from None


def _is_same(one: Path, other: Path) -> bool:
    """Whether two files are one, or have the same bytes."""
    if not (one.is_file() and other.is_file()):
        return False
    return one.samefile(other) or filecmp.cmp(one, other, shallow=False)


def _entry(path: str, stat: os.stat_result) -> Entry:
    modified = datetime.fromtimestamp(stat.st_mtime, UTC)
    return Entry(path, stat.st_size, modified, f"{stat.st_ino:x}-{stat.st_mtime_ns:x}-{stat.st_size:x}")


def _opened(stack: contextlib.ExitStack, name: str, more: int = 0, folder: int | None = None) -> int:
    """A folder's descriptor, closed with the stack. With O_NOFOLLOW a link raises NotADirectoryError."""
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | more, dir_fd=folder)
    stack.callback(os.close, descriptor)
    return descriptor


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
