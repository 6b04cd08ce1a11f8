"""Stores and single objects by their URIs, for one who has certain AWS variables.

Endpoint and credentials are what boto3 would take from an environment, and travel with the job that they are for: one
process opens stores for many who do not share their keys.
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
class Stores:
    """Opens stores with the AWS `given` variables of one who may, and with nobody else's. With `at_home`, what only a
    machine has (a profile, a role) is that of the machine where a store is opened."""

    given: Mapping[str, str] = field(default_factory=dict, repr=False)
    at_home: bool = False

    @property
    def variables(self) -> Mapping[str, str]:
        """The AWS variables that it opens with."""
        if not self.at_home:
            return self.given
        return {k: v for k, v in os.environ.items() if k.startswith(_OF_THIS_MACHINE)} | dict(self.given)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Stores":
        """Those that an environment gives access to."""
        return cls({name: value for name, value in environment.items() if name.startswith("AWS_")})

    def portable(self) -> "Stores":
        """The same for another machine, which has a profile or a role of its own."""
        return Stores({k: v for k, v in self.given.items() if not k.startswith(_OF_THIS_MACHINE)}, at_home=True)

    def open(self, uri: str, *, conditional: bool | None = None, exact: bool = False) -> Store:
        """The store at a local path, a `file:///` URI or `s3://bucket[/prefix]`; nothing is read, written or asked yet.

        `conditional` is what an earlier `prepare` found; with `exact`, keys of a bucket are taken as others wrote them.
        Raises JobError for another scheme or a malformed URI.
        """
        scheme = SCHEME.match(uri)
        if scheme is None or scheme[1].lower() == "file":
            from pressrun.cluster.store.folder_store import FolderStore

            return FolderStore(Path(local_path(uri)), self)
        if scheme[1].lower() == "s3":
            from pressrun.cluster.store.s3_store import S3Store

            bucket, _, prefix = uri[len("s3://") :].partition("/")
            return S3Store(bucket, prefix.strip("/"), self, conditional=conditional, exact=exact)
        raise JobError(f"{uri!r} cannot be a store: give a folder or s3://bucket/prefix.", code="bad_place")

    def find(self, uri: str) -> tuple[Store, str]:
        """The store that holds one object, and the object's path in it. Raises RequestError `bad_reference`."""
        if is_web(uri):
            raise RequestError("bad_reference", f"“{shown(uri)}” is on the web; give a path or s3://bucket/key.")
        if not uri.lower().startswith("s3://"):
            folder, _, name = uri.rpartition("/")
            return self.open(folder or "/"), name
        bucket, key = object_key(uri)
        return self.open(f"s3://{bucket}", exact="//" in f"/{key}"), key

    def read(self, uri: str, base: str | None = None) -> bytes:
        """The bytes of one object, given by a path or `s3://bucket/key`, relative ones to the folder or prefix `base`.

        Raises FileNotFoundError or PermissionError (messages are sentences), StorageError if the store fails,
        RequestError `bad_reference` as `resolve_uri` does and for `https://`, which is not read here.
        """
        store, path = self.find(resolve_uri(uri, base))
        try:
            return store.get(path)
        except Refusal as error:
            raise PermissionError(str(error)) from None

    def entry(self, uri: str, base: str | None = None) -> Entry | None:
        """Size, time and etag of one object, or None if there is none. Raises as `read` does."""
        store, path = self.find(resolve_uri(uri, base))
        try:
            return store.head(path)
        except Refusal as error:
            raise PermissionError(str(error)) from None

    def write(self, uri: str, chunks: Iterable[bytes], content_type: str = "application/octet-stream") -> None:
        """Write one object, given by a path or `s3://bucket/key`, piece by piece; it is there whole or not at all.

        Raises FileNotFoundError where its folder is missing, StorageError and RequestError as a store does.
        """
        store, path = self.find(resolve_uri(uri, None))
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


@dataclass(frozen=True)
class Place:
    """A store as something that can be pickled: a worker opens it and need not probe again."""

    uri: str
    conditional: bool | None = None
    stores: Stores = field(default_factory=Stores, repr=False)

    def open(self) -> Store:
        """The store. Raises JobError as `Stores.open` does."""
        return self.stores.open(self.uri, conditional=self.conditional)


def stored_record(store: Store, path: str, format: str) -> "Record | None":
    """The record in a stored picture, fetching no more than needed; None if it carries none.

    Raises FileNotFoundError if the picture is gone.
    """
    from pressrun.pipeline.finishing.metadata import head_bytes, read_record

    length = head_bytes(format)
    record = read_record(store.get_range(path, 0, length)) if length else None
    return record or read_record(store.get(path))
