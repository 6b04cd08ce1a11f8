"""A store in an S3 bucket, under a prefix.

Servers differ, so nothing is used but what all of them have: signature version 4, path addressing, checksums only where
an operation demands them (some servers refuse the trailers), and `If-None-Match: *` only where the probe in `prepare`
saw it work.

Trouble is waited out twice: botocore repeats a request a few times within seconds, and this module repeats that until
its patience is used up. botocore's errors become ours in `s3_failure.py`, and nowhere else.
"""

import io
import itertools
import os
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from threading import Barrier
from typing import Any, TypeVar

from boto3.s3.transfer import TransferConfig
from botocore.utils import parse_timestamp

from cluster.s3_client import s3_client
from cluster.s3_failure import FOREIGN, Conflict, PastEnd, Precondition, Trouble, Unsupported, explain
from cluster.store import Entry, Store, check_path, is_bucket_name
from pipeline.errors import JobError, RequestError, StorageError

PATIENCE_SEC = 60.0
"""How long one call is repeated before the store counts as down."""

_PREPARE_SEC = 5.0  # a person waits, and a typing error is likelier than an outage
_LONGEST_WAIT_SEC = 8.0
_PART_BYTES = 16 << 20  # of an object in parts: S3 takes 10,000 of them, 160 GB
_PROBES = ".probe/"
_RACERS = 4
_THREADS = 16

T = TypeVar("T")


class S3Store:
    """`Store` under `s3://bucket/prefix`. Raises JobError if the URI or the AWS environment cannot be right."""

    def __init__(
        self, bucket: str, prefix: str = "", *, conditional: bool | None = None, patience_sec: float = PATIENCE_SEC
    ) -> None:
        try:
            self._root = check_path(prefix) + "/" if prefix else ""
        except ValueError:
            raise JobError(f"s3://{bucket}/{prefix} cannot be a store: leave out empty parts, '.' and '..'.") from None
        if not is_bucket_name(bucket):
            raise JobError(f"s3://{bucket} is no bucket: a bucket's name is 3 to 63 letters, digits, dots and dashes.")
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self.conditional = conditional is not False
        self._bucket = bucket
        self._patience_sec = patience_sec
        self._client = s3_client(tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_"))))

    def prepare(self) -> None:
        impatient = S3Store(self._bucket, self._root.rstrip("/"), patience_sec=min(self._patience_sec, _PREPARE_SEC))
        try:
            impatient._page("", None, MaxKeys=1)
            self.conditional = impatient._honours_conditions()
        except StorageError as error:
            raise JobError(str(error)) from None

    def get(self, path: str) -> bytes:
        return self._ask("read", path, lambda: self._read(Key=self._key(path)))

    def get_range(self, path: str, start: int, length: int) -> bytes:
        wanted = f"bytes={start}-{start + length - 1}"
        try:
            return self._ask("read", path, lambda: self._read(Key=self._key(path), Range=wanted))
        except PastEnd:
            return b""

    def head(self, path: str) -> Entry | None:
        try:
            found = self._ask("read", path, lambda: self._head(path))
        except FileNotFoundError:
            return None
        return _entry(path, found["ContentLength"], found)

    def put(self, path: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        self._ask("write", path, lambda: self._write(path, data, content_type))

    def put_chunks(self, path: str, chunks: Iterable[bytes], content_type: str = "application/octet-stream") -> None:
        # A part is repeated by botocore while it is in memory; the stream itself cannot be read twice.
        try:
            body = io.BufferedReader(_Chunks(chunks), _PART_BYTES)
            kind = {"ContentType": content_type}
            self._client.upload_fileobj(body, self._bucket, self._key(path), ExtraArgs=kind, Config=_in_parts())
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
        entries = [_entry(path, found["Size"], found) for path, found in self._found(prefix)]
        # S3 lists in this order already, but SeaweedFS puts a folder's content where the folder's name would stand.
        yield from sorted(entries, key=lambda entry: entry.path.encode())

    def paths(self, prefix: str = "") -> Iterator[str]:
        yield from (path for path, _ in self._found(prefix))

    def level(self, folder: str = "") -> tuple[Sequence[str], Sequence[Entry]]:
        start = check_path(folder) + "/" if folder else ""
        names, entries = [], []
        for page in self._pages(start, Delimiter="/"):
            names += [found["Prefix"].removeprefix(self._root + start)[:-1] for found in page.get("CommonPrefixes", ())]
            entries += [_entry(path, found["Size"], found) for path, found in self._objects(page)]
        names = [name for name in names if name and start + name + "/" != _PROBES]
        return sorted(names, key=str.encode), sorted(entries, key=lambda entry: entry.path.encode())

    def sweep(self) -> None: ...

    def copy(self, source: Store, there: str, path: str, content_type: str = "application/octet-stream") -> str:
        if not isinstance(source, S3Store):
            self.put(path, source.get(there), content_type)
            return str(self._ask("read", path, lambda: self._head(path))["ETag"]).strip('"')
        origin = {"Bucket": source._bucket, "Key": source._key(there)}
        parameters = {"Bucket": self._bucket, "Key": self._key(path), "CopySource": origin}
        try:
            copied = self._ask("copy", path, lambda: self._client.copy_object(**parameters))
        except FileNotFoundError:
            raise FileNotFoundError(f"There is no {source.uri}/{there}.") from None
        return str(copied["CopyObjectResult"]["ETag"]).strip('"')

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

    def delete(self, path: str) -> None:
        self._ask("delete", path, lambda: self._client.delete_object(Bucket=self._bucket, Key=self._key(path)))

    def _key(self, path: str) -> str:
        key = self._root + check_path(path)
        try:
            key.encode()
        except UnicodeEncodeError:
            raise RequestError("bad_name", f"{path!r} cannot be an object's name: it is not valid Unicode.") from None
        return key

    def _head(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self._client.head_object(Bucket=self._bucket, Key=self._key(path))
        return found

    def _read(self, **parameters: Any) -> bytes:
        found = self._client.get_object(Bucket=self._bucket, **parameters)
        with found["Body"] as body:
            data: bytes = body.read()
        if len(data) != found["ContentLength"]:
            raise Trouble("the answer was cut off")
        return data

    def _write(self, path: str, data: bytes, content_type: str, **condition: str) -> None:
        parameters = {"Key": self._key(path), "Body": data, "ContentType": content_type, **condition}
        self._client.put_object(Bucket=self._bucket, **parameters)

    def _found(self, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every object whose path starts with `prefix`, page by page: its path and what the server says of it."""
        for page in self._pages(prefix):
            yield from self._objects(page)

    def _objects(self, page: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for found in page.get("Contents", ()):
            path = found["Key"].removeprefix(self._root)
            if path and not path.endswith("/") and not path.startswith(_PROBES):
                yield path, found

    def _pages(self, prefix: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        token, more = None, True
        while more:
            page = self._page(prefix, token, **parameters)
            token = page.get("NextContinuationToken")
            more = token is not None
            yield page

    def _page(self, prefix: str, token: str | None, **parameters: Any) -> dict[str, Any]:
        parameters |= {"Bucket": self._bucket, "Prefix": self._root + prefix}
        if token:
            parameters["ContinuationToken"] = token
        return self._ask("list", prefix, lambda: self._client.list_objects_v2(**parameters))

    def _ask(self, verb: str, path: str, call: Callable[[], T]) -> T:
        """The call's answer, asked for again while patience lasts if asking again can help."""
        started = time.monotonic()
        for attempt in itertools.count():
            try:
                return call()
            except FOREIGN as error:
                failure = explain(error, verb, self._bucket, self._root + path, self._client.meta.endpoint_url)
            wait_sec = random.uniform(0.5, 1.0) * min(_LONGEST_WAIT_SEC, 0.25 * 2**attempt)
            if not isinstance(failure, Trouble | Conflict):
                raise failure
            if time.monotonic() - started + wait_sec > self._patience_sec:
                raise StorageError(str(failure))
            time.sleep(wait_sec)
        raise AssertionError("unreachable")

    def _honours_conditions(self) -> bool:
        """Whether `If-None-Match: *` lets exactly one of several writers win, found out by a race for a random key."""
        for _ in range(3):
            path = f"{_PROBES}{uuid.uuid4().hex}"
            start = Barrier(_RACERS)

            def race(_: int, path: str = path, start: Barrier = start) -> bool:
                start.wait()
                try:
                    self._ask("write", path, lambda: self._write(path, b"?", "text/plain", IfNoneMatch="*"))
                except Precondition:
                    return False
                return True

            try:
                with ThreadPoolExecutor(_RACERS) as racers:
                    winners = sum(racers.map(race, range(_RACERS)))
            except Unsupported:
                self.put(path, b"?")  # the place must be writable all the same
                winners = _RACERS
            self._tidy(path)
            if winners:  # nobody wins if the winner's answer was lost: race again
                return winners == 1
        return False

    def _tidy(self, path: str) -> None:
        try:
            self.delete(path)
        except StorageError:  # who may write need not be allowed to delete; `list` leaves probes out
            pass


def _in_parts() -> TransferConfig:
    """How an object is uploaded in parts: of those, five stand in memory."""
    config = TransferConfig(multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES, max_concurrency=3)
    config.max_in_memory_upload_chunks = 2  # what waits for a thread; boto3 passes no such argument on
    return config


class _Chunks(io.RawIOBase):
    """Chunks of bytes as a file that can only be read onwards."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        length = min(len(buffer), len(self._left))
        buffer[:length] = self._left[:length]
        self._left = self._left[length:]
        return length


def _entry(path: str, size: int, found: Mapping[str, Any]) -> Entry:
    return Entry(path, size, parse_timestamp(found["LastModified"]).astimezone(UTC), found["ETag"].strip('"'))
