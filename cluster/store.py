"""Where bytes live: a folder or an S3 prefix behind one interface.

The store is the only database there is, so its promises are few and hard: a reader sees an object whole, old or new,
never a part; `create` lets one of several writers win where the place can do that. Start reading here, then
`folder_store.py`; `s3_store.py` is the same promises over a network.

Credentials and endpoint come from the standard AWS environment and nothing else.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cluster.conditions import ANYTHING, Standing, never
from cluster.uri import SCHEME, local_path, object_key, resolve_uri
from cluster.url import is_web, shown
from pipeline.errors import JobError, RequestError, StorageError

if TYPE_CHECKING:  # whoever only reads bytes does without what reads pictures
    from pipeline.metadata import Record

_OF_THIS_MACHINE = ("AWS_CONTAINER_", "AWS_WEB_IDENTITY_", "AWS_PROFILE", "AWS_CONFIG_", "AWS_SHARED_", "AWS_CA_BUNDLE")
"""Variables that name files or services of one machine; sent to another they would lead nowhere."""


class Refusal(StorageError):
    """The store understood and said no (access denied, no such bucket): asking again will not help."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object. `path` is relative to the store's root, `size` in bytes, `modified` in UTC by the store's clock.

    `etag` changes whenever the bytes do; nothing else may be read from it.
    """

    path: str
    size: int
    modified: datetime
    etag: str


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


@dataclass(frozen=True)
class Place:
    """A store as something that can be pickled: a worker opens it and need not probe again.

    `environment` holds what `aws_environment()` returned on the driver, for nodes that lack it; it is not shown.
    """

    uri: str
    conditional: bool | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def open(self) -> Store:
        """The store, after the environment was put in place of this process's. Raises JobError as `open_store` does."""
        adopt_environment(self.environment)
        return open_store(self.uri, conditional=self.conditional)


def aws_environment() -> dict[str, str]:
    """The AWS variables of this process that mean the same on another machine. They are secrets: not to be stored."""
    return {k: v for k, v in os.environ.items() if k.startswith("AWS_") and not k.startswith(_OF_THIS_MACHINE)}


def adopt_environment(environment: Mapping[str, str]) -> None:
    """Put what `aws_environment` returned elsewhere in place of this process's own."""
    if "AWS_ACCESS_KEY_ID" in environment:
        os.environ.pop("AWS_SESSION_TOKEN", None)  # of another key: together they would be refused
    os.environ.update(environment)


def open_store(uri: str, *, conditional: bool | None = None) -> Store:
    """The store at a local path, a `file:///` URI or `s3://bucket[/prefix]`; nothing is read, written or asked yet.

    `conditional` is what an earlier `prepare` found. Raises JobError for another scheme or a malformed URI.
    """
    scheme = SCHEME.match(uri)
    if scheme is None or scheme[1].lower() == "file":
        from cluster.folder_store import FolderStore

        return FolderStore(Path(local_path(uri)))
    if scheme[1].lower() == "s3":
        from cluster.s3_store import S3Store

        bucket, _, prefix = uri[len("s3://") :].partition("/")
        return S3Store(bucket, prefix.strip("/"), conditional=conditional)
    raise JobError(f"{uri!r} cannot be a store: give a folder or s3://bucket/prefix.")


def stored_record(store: Store, path: str, format: str) -> "Record | None":
    """The record in a stored picture, fetching no more than needed; None if it carries none.

    Raises FileNotFoundError if the picture is gone.
    """
    from pipeline.metadata import head_bytes, read_record

    length = head_bytes(format)
    record = read_record(store.get_range(path, 0, length)) if length else None
    return record or read_record(store.get(path))


def read_uri(uri: str, base: str | None = None) -> bytes:
    """The bytes of one object, given by a path or `s3://bucket/key`, relative ones to the folder or prefix `base`.

    Raises FileNotFoundError or PermissionError (messages are sentences), StorageError if the store fails, RequestError
    `bad_reference` as `resolve_uri` does and for `https://`, which is not read here.
    """
    store, path = open_object(resolve_uri(uri, base))
    try:
        return store.get(path)
    except Refusal as error:
        raise PermissionError(str(error)) from None


def stat_uri(uri: str, base: str | None = None) -> Entry | None:
    """Size, time and etag of one object, or None if there is none. Raises as `read_uri` does."""
    store, path = open_object(resolve_uri(uri, base))
    try:
        return store.head(path)
    except Refusal as error:
        raise PermissionError(str(error)) from None


def write_uri(uri: str, chunks: Iterable[bytes], content_type: str = "application/octet-stream") -> None:
    """Write one object, given by a path or `s3://bucket/key`, piece by piece; it is there whole or not at all.

    Raises FileNotFoundError where its folder is missing, StorageError and RequestError as a store does.
    """
    store, path = open_object(resolve_uri(uri, None))
    if uri.lower().startswith("s3://"):
        if "//" in f"/{path}":
            raise RequestError("bad_reference", f"“{shown(uri)}” has an empty part: write s3://bucket/key.")
        store.put_chunks(path, chunks, content_type)
        return
    folder = Path(store.uri)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}.")
    temporaries = folder / ".tmp"
    ours = not temporaries.exists()
    try:
        store.put_chunks(path, chunks, content_type)
    finally:
        if ours:  # a customer's folder is left as it was
            with contextlib.suppress(OSError):
                temporaries.rmdir()


def open_object(uri: str) -> tuple[Store, str]:
    """The store that holds one object, and the object's path in it. Raises RequestError `bad_reference`."""
    if is_web(uri):
        raise RequestError("bad_reference", f"“{shown(uri)}” is on the web; give a path or s3://bucket/key.")
    if not uri.lower().startswith("s3://"):
        folder, _, name = uri.rpartition("/")
        return open_store(folder or "/"), name
    bucket, key = object_key(uri)
    if "//" in f"/{key}":
        from cluster.s3_store import S3Store

        return S3Store(bucket, exact=True), key
    return open_store(f"s3://{bucket}"), key
