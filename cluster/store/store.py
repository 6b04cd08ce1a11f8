"""Where bytes live: a folder or an S3 prefix behind one interface.

The store is the only database there is, so its promises are few and hard: a reader sees an object whole, old or new,
never a part; `create` lets one of several writers win where the place can do that. Start reading here, then
`folder_store.py`; `s3_store.py` is the same promises over a network. `opening` finds the store of a URI.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol, TypeAlias

from pressrun.pipeline.errors import StorageError


class Refusal(StorageError):
    """The store understood and said no (access denied, no such bucket): asking again will not help."""

    code = "storage_refused"


class Changed(StorageError):
    """A change was not made, because what stands there is not what was expected, or a folder on the way is a link."""


class Damaged(StorageError):
    """A copy was not made, because the source does not have the bytes that it should have."""


class Anything(Enum):
    """Stands for: whatever stands there, and nothing as well."""

    ANYTHING = "anything"


ANYTHING = Anything.ANYTHING
Standing: TypeAlias = str | Anything | None
"""What must stand at a path for a change to be made: the object with this etag, None for nothing, or ANYTHING."""


def never() -> None:
    """A fence that stops nobody."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object. `path` is relative to the store's root, `size` in bytes, `modified` in UTC by the store's clock.

    `etag` changes whenever the bytes do; nothing else may be read from it.
    """

    path: str
    size: int
    modified: datetime
    etag: str


class Opener(Protocol):
    """Opens stores and single objects for one who may; `opening.Stores` is what it is."""

    @property
    def variables(self) -> Mapping[str, str]:
        """The AWS variables that it opens with."""

    def open(self, uri: str, *, conditional: bool | None = None) -> "Store":
        """The store at a URI."""

    def find(self, uri: str) -> tuple["Store", str]:
        """The store that holds one object, and the object's path in it."""

    def read(self, uri: str, base: str | None = None) -> bytes:
        """The bytes of one object."""

    def write(self, uri: str, chunks: Iterable[bytes], content_type: str = "application/octet-stream") -> None:
        """Write one object piece by piece."""


class Store(Protocol):
    """A place for named bytes. Safe for threads; to send one to another process, send its `Place`.

    Paths are relative, with `/` between parts; `..`, empty parts and NUL raise ValueError. Where nothing else is said,
    methods raise StorageError once the store has failed for longer than patience lasts, and RequestError `bad_name` if
    the place cannot hold an object of that name.
    """

    @property
    def uri(self) -> str:
        """The place, normalised: an absolute path or `s3://bucket/prefix`, without a slash at the end."""

    @property
    def stores(self) -> Opener:
        """Opens other places for whoever opened this one."""

    @property
    def conditional(self) -> bool:
        """Whether `create` lets exactly one writer win. Known after `prepare`, or by being told; until then True."""

    def prepare(self) -> None:
        """Make the place usable at a job's start, or raise JobError with a sentence that says what is in the way."""

    def get(self, path: str) -> bytes:
        """The whole object. Raises FileNotFoundError if there is none."""

    def get_range(self, path: str, start: int, length: int) -> bytes:
        """Up to `length` bytes from byte `start`, fewer where the object ends. Raises FileNotFoundError."""

    def head(self, path: str) -> Entry | None:
        """The object's entry, or None if there is no such object."""

    def put(self, path: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Write or replace an object, at once and whole."""

    def put_chunks(self, path: str, chunks: Iterable[bytes], content_type: str = "application/octet-stream") -> None:
        """As `put`, for an object too large for memory: nothing is there under its name until the last chunk is."""

    def create(self, path: str, data: bytes, content_type: str = "application/octet-stream") -> bool:
        """Write an object if there is none: True if it was written now, False if something was there already.

        False may also mean that our own first attempt arrived and only its answer was lost: compare what is there.
        A store that is not `conditional` replaces what is there and says True.
        """

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Every object whose path starts with `prefix`, in the order of the paths' UTF-8 bytes; no temporaries."""

    def paths(self, prefix: str = "") -> Iterator[str]:
        """The paths that `list` would give, in no order and asking for nothing else: a million of them in seconds."""

    def level(self, folder: str = "") -> tuple[Sequence[str], Sequence[Entry]]:
        """What stands directly in a folder ("" is the root): the names of folders, and objects; both sorted."""

    def delete(self, path: str, standing: Standing = ANYTHING, fence: Callable[[], None] = never) -> bool:
        """Remove an object; it is fine if there is none. False: it was left, for a folder on the way to it is a link.

        `standing` is the etag that it must have, else Changed is raised; `fence` is called just before the change and
        stops it by raising.
        """

    def linked(self, path: str) -> bool:
        """Whether a folder's or object's name, or one on the way to it from the root, is a symbolic link."""

    def sweep(self, paths: Iterable[str]) -> None:
        """Remove the folders on the way to `paths` in which nothing is left, the root included, and the temporaries'.

        A path with `/` at its end is a folder. Without paths the root stays, empty or not.
        """

    def public(self, path: str) -> bool:
        """Whether anybody on the network can read an object without credentials, as far as that can be found out."""

    def copy(
        self,
        source: "Store",
        there: str,
        path: str,
        content_type: str = "application/octet-stream",
        *,
        of: str | None = None,
        content: tuple[int, str] | None = None,
        standing: Standing = ANYTHING,
        fence: Callable[[], None] = never,
    ) -> str:
        """`put` with the bytes of the object `there` of another store (or this one); returns the new object's etag.

        `of` is the etag that the source must have, `content` the size and SHA-256 that it must have, `standing` what
        must stand at `path`; `fence` is called just before the change and stops it by raising. From S3 to S3 the server
        copies, content type included, and no byte passes through this process unless size and etags leave a doubt.

        Raises:
            FileNotFoundError: there is no source.
            Changed: the source or what stands at `path` is not what it should be.
            Damaged: the source has other bytes than `content` says.
        """

    def adopt(self, source: "Store", pairs: Sequence[tuple[str, str]]) -> Sequence[bool]:
        """`create` for many with the bytes of objects of another store: for each pair (there, path) whether `path` has
        those bytes now. False: something else stood there already, or there is nothing to be had.

        In a folder that can be linked from, they are hard links: a picture costs a name and no bytes.
        """
