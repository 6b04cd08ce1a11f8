"""Stores and single objects by their URIs.

Credentials and endpoint come from the standard AWS environment and nothing else.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pressrun.cluster.net.url import is_web, shown
from pressrun.cluster.store.store import Entry, Refusal, Store
from pressrun.cluster.store.uri import SCHEME, local_path, object_key, resolve_uri
from pressrun.pipeline.errors import JobError, RequestError

if TYPE_CHECKING:  # whoever only reads bytes does without what reads pictures
    from pressrun.pipeline.finishing.metadata import Record

_OF_THIS_MACHINE = ("AWS_CONTAINER_", "AWS_WEB_IDENTITY_", "AWS_PROFILE", "AWS_CONFIG_", "AWS_SHARED_", "AWS_CA_BUNDLE")
"""Variables that name files or services of one machine; sent to another they would lead nowhere."""


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
        from pressrun.cluster.store.folder_store import FolderStore

        return FolderStore(Path(local_path(uri)))
    if scheme[1].lower() == "s3":
        from pressrun.cluster.store.s3_store import S3Store

        bucket, _, prefix = uri[len("s3://") :].partition("/")
        return S3Store(bucket, prefix.strip("/"), conditional=conditional)
    raise JobError(f"{uri!r} cannot be a store: give a folder or s3://bucket/prefix.")


def stored_record(store: Store, path: str, format: str) -> "Record | None":
    """The record in a stored picture, fetching no more than needed; None if it carries none.

    Raises FileNotFoundError if the picture is gone.
    """
    from pressrun.pipeline.finishing.metadata import head_bytes, read_record

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
        from pressrun.cluster.store.s3_store import S3Store

        return S3Store(bucket, exact=True), key
    return open_store(f"s3://{bucket}"), key
