"""A store in an S3 bucket, under a prefix.

Servers differ, so nothing is used but what all of them have (see `s3_client.py`), and `If-None-Match: *` only where
the probe in `prepare` saw it work. Nor are they trusted: see `s3_listing.py` and `s3_answer.py`. Trouble is waited out
twice: botocore repeats a request a few times within seconds, and this module repeats that until its patience is used
up. botocore's errors become ours in `s3_errors.py`.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pressrun.cluster.net.url import shown
from pressrun.cluster.store.conditions import check_content, check_standing, not_kept, read_unchanged
from pressrun.cluster.store.s3_answer import (
    digest_of,
    entry_of,
    etag_of,
    head_of,
    is_digest,
    modified_in,
    part_of_body,
    whole_body,
)
from pressrun.cluster.store.s3_client import s3_client, unsigned_client
from pressrun.cluster.store.s3_errors import (
    FOREIGN,
    Conflict,
    PastEnd,
    Precondition,
    Trouble,
    Unsupported,
    explain,
)
from pressrun.cluster.store.s3_listing import Page, objects_in, pages
from pressrun.cluster.store.s3_patience import asked
from pressrun.cluster.store.s3_probe import PROBES, honours_conditions
from pressrun.cluster.store.s3_upload import in_parts, stream
from pressrun.cluster.store.store import ANYTHING, Changed, Damaged, Entry, Opener, Standing, Store, never
from pressrun.cluster.store.uri import check_path, is_bucket_name
from pressrun.pipeline.errors import JobError, RequestError, StorageError

PATIENCE_SEC = 60.0
"""How long one call is repeated before the store counts as down."""

_PREPARE_SEC = 5.0  # a person waits, and a typing error is likelier than an outage
_THREADS = 16

T = TypeVar("T")


class S3Store:
    """`Store` under `s3://bucket/prefix`, for whoever has the AWS variables of `stores`. With `exact`, paths are keys
    as others wrote them, empty parts included.

    Raises JobError if the URI or the AWS environment cannot be right.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str,
        stores: Opener,
        *,
        conditional: bool | None = None,
        patience_sec: float = PATIENCE_SEC,
        exact: bool = False,
    ) -> None:
        try:
            self._root = check_path(prefix) + "/" if prefix else ""
        except ValueError:
            raise JobError(
                f"s3://{bucket}/{prefix} cannot be a store: leave out empty parts, '.' and '..'.", code="bad_place"
            ) from None
        if not is_bucket_name(bucket):
            raise JobError(
                f"s3://{bucket} is no bucket: a bucket's name is 3 to 63 letters, digits, dots and dashes.",
                code="bad_place",
            )
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self.conditional = conditional is not False
        self._bucket = bucket
        self._exact = exact
        self._patience_sec = patience_sec
        self.stores = stores
        self._variables = tuple(sorted(stores.variables.items()))
        self._client = s3_client(self._variables)

    def prepare(self) -> None:
        seconds = min(self._patience_sec, _PREPARE_SEC)
        impatient = S3Store(self._bucket, self._root.rstrip("/"), self.stores, patience_sec=seconds)
        try:
            next(impatient._pages("", MaxKeys=1))
            self.conditional = honours_conditions(impatient)
        except StorageError as error:
            raise JobError(str(error), code="storage_refused") from None

    def get(self, path: str) -> bytes:
        return self._ask("read", path, lambda: whole_body(self._client, self._where(path)))

    def get_range(self, path: str, start: int, length: int) -> bytes:
        try:
            part = self._ask("read", path, lambda: part_of_body(self._client, self._where(path), start, length))
        except PastEnd:
            return b""
        return self.get(path)[start : start + length] if part is None else part

    def head(self, path: str) -> Entry | None:
        try:
            found = self._ask("read", path, lambda: head_of(self._client, self._where(path)))
            if entry := entry_of(path, found):
                return entry
            data = self.get(path)
        except FileNotFoundError:
            return None
        return Entry(path, len(data), modified_in(found), etag_of(found) or digest_of(data))

    def put(self, path: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        self._ask("write", path, lambda: self._write(path, data, content_type))

    def put_chunks(self, path: str, chunks: Iterable[bytes], content_type: str = "application/octet-stream") -> None:
        # A part is repeated by botocore while it is in memory; the stream itself cannot be read twice.
        try:
            kind = {"ContentType": content_type}
            self._client.upload_fileobj(
                stream(chunks), self._bucket, self._key(path), ExtraArgs=kind, Config=in_parts()
            )
        except FOREIGN as error:
            failure = explain(error, "write", self._bucket, self._root + path, self._client.meta.endpoint_url)
            raise StorageError(str(failure)) if isinstance(failure, Trouble | Conflict) else failure from None

    def create(self, path: str, data: bytes, content_type: str = "application/octet-stream") -> bool:
        if not self.conditional:
            self.put(path, data, content_type)
            return True
        try:
            self._ask("write", path, lambda: self._write(path, data, content_type, IfNoneMatch="*"))
        except Precondition:
            return False
        return True

    def list(self, prefix: str = "") -> Iterator[Entry]:
        entries = self._entries(objects_in(self._pages(prefix), self._root))
        # S3 lists in this order already, but SeaweedFS puts a folder's content where the folder's name would stand.
        yield from sorted(entries, key=lambda entry: entry.path.encode())

    def paths(self, prefix: str = "") -> Iterator[str]:
        yield from (path for path, _ in objects_in(self._pages(prefix), self._root))

    def level(self, folder: str = "") -> tuple[Sequence[str], Sequence[Entry]]:
        start = check_path(folder) + "/" if folder else ""
        names: set[str] = set()
        objects: list[tuple[str, Mapping[str, Any]]] = []
        for page in self._pages(start, Delimiter="/"):
            names |= {folder.removeprefix(self._root + start)[:-1] for folder in page.folders}
            objects += objects_in([page], self._root)
        names = {name for name in names if name and start + name + "/" != PROBES}
        return sorted(names, key=str.encode), sorted(self._entries(objects), key=lambda entry: entry.path.encode())

    def sweep(self, paths: Iterable[str]) -> None: ...

    def linked(self, path: str) -> bool:
        return False

    def public(self, path: str) -> bool:
        anybody = unsigned_client(self._variables)
        with contextlib.suppress(*FOREIGN):
            anybody.head_object(Bucket=self._bucket, Key=self._key(path))
            return True
        with contextlib.suppress(*FOREIGN):
            status = self._client.get_bucket_policy_status(Bucket=self._bucket)
            return bool(status["PolicyStatus"]["IsPublic"])
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
        if not isinstance(source, S3Store):
            data = read_unchanged(source, there, of, content)
            check_standing(self, path, standing)
            fence()
            kind = {**self._where(path), "Body": data, "ContentType": content_type}
            put = self._change("write", path, standing, lambda only: self._client.put_object(**kind, **only))
            return etag_of(put) or self._etag_now(path)
        origin = source.head(there)
        if origin is None:
            raise FileNotFoundError(f"There is no {source.uri}/{there}.")
        if of is not None and origin.etag != of:
            raise Changed(f"{source.uri}/{there} was changed by somebody else.")
        if content and origin.size != content[0]:
            raise Damaged(f"{source.uri}/{there} has other bytes than were written.")
        check_standing(self, path, standing)
        fence()
        copying: dict[str, Any] = {**self._where(path), "CopySource": source._where(there)}
        if not is_digest(origin.etag):
            copying["CopySourceIfMatch"] = f'"{origin.etag}"'
        copied = self._change("copy", path, standing, lambda only: self._client.copy_object(**copying, **only))
        etag = etag_of(copied.get("CopyObjectResult", {})) or self._etag_now(path)
        if etag != origin.etag and content:  # encrypted or in parts: the etags say nothing of the bytes
            check_content(self.get(path), content, f"{self.uri}/{path}")
        return etag

    def _change(self, verb: str, path: str, standing: Standing, call: Callable[[dict[str, str]], T]) -> T:
        """What a changing call answers that gets its condition, where the server knows conditions."""
        only: dict[str, str] = {}
        if self.conditional and standing is not ANYTHING and not is_digest(standing or ""):
            only = {"IfNoneMatch": "*"} if standing is None else {"IfMatch": f'"{standing}"'}
        try:
            return self._ask(verb, path, lambda: call(only))
        except Precondition:
            raise Changed(f"{self.uri}/{path} was changed by somebody else.") from None
        except Unsupported:
            if not only:
                raise
            return self._ask(verb, path, lambda: call({}))

    def adopt(self, source: Store, pairs: Sequence[tuple[str, str]]) -> Sequence[bool]:
        def have(pair: tuple[str, str]) -> bool:
            there, path = pair
            try:
                data = source.get(there)
                return self.create(path, data) or self.get(path) == data
            except FileNotFoundError:
                return False

        with ThreadPoolExecutor(_THREADS) as threads:
            return [*threads.map(have, pairs)]

    def delete(self, path: str, standing: Standing = ANYTHING, fence: Callable[[], None] = never) -> bool:
        check_standing(self, path, standing)
        fence()
        with contextlib.suppress(FileNotFoundError):
            where = self._where(path)
            self._change("delete", path, standing, lambda only: self._client.delete_object(**where, **only))
        return True

    def _key(self, path: str) -> str:
        key = self._root + (path if self._exact else check_path(path))
        try:
            key.encode()
        except UnicodeEncodeError:
            raise RequestError("bad_name", f"{path!r} cannot be an object's name: it is not valid Unicode.") from None
        return key

    def _where(self, path: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._key(path)}

    def _write(self, path: str, data: bytes, content_type: str, **condition: str) -> None:
        self._client.put_object(**self._where(path), Body=data, ContentType=content_type, **condition)

    def _etag_now(self, path: str) -> str:
        """The etag of what was written just now, where the answer did not tell it."""
        if entry := self.head(path):
            return entry.etag
        raise not_kept(self, path)

    def _entries(self, objects: Iterable[tuple[str, Mapping[str, Any]]]) -> Sequence[Entry]:
        """The entries of objects that were listed; each is asked for of which the listing does not tell everything."""
        known = [(path, entry_of(path, found)) for path, found in objects]
        if not (unknown := [path for path, entry in known if entry is None]):
            return [entry for _, entry in known if entry]
        exact = S3Store(self._bucket, self._root.rstrip("/"), self.stores, patience_sec=self._patience_sec, exact=True)
        with ThreadPoolExecutor(_THREADS) as threads:
            asked = dict(zip(unknown, threads.map(exact.head, unknown), strict=True))
        return [one for path, entry in known if (one := entry or asked[path])]

    def _pages(self, prefix: str, **parameters: Any) -> Iterator[Page]:
        parameters |= {"Bucket": self._bucket, "Prefix": self._root + prefix}

        def ask(token: str | None) -> Mapping[str, Any]:
            more = {"ContinuationToken": token} if token else {}
            return self._ask("list", prefix, lambda: self._client.list_objects_v2(**parameters, **more))

        return pages(ask, self._root + prefix, shown(f"s3://{self._bucket}/{self._root}{prefix}").rstrip("/"))

    def _ask(self, verb: str, path: str, call: Callable[[], T]) -> T:
        """The call's answer, asked for again while patience lasts if asking again can help."""

        def explained(error: Exception) -> Exception:
            return explain(error, verb, self._bucket, self._root + path, self._client.meta.endpoint_url)

        return asked(call, explained, self._patience_sec)
