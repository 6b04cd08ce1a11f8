"""A bucket in memory that answers as much of boto3's client as `S3Store` asks for, in microseconds instead of
milliseconds: for tests of thousands of runs. What a real server does is tested with a real one."""

import hashlib
import io
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

_PAGE = 7


class BucketInMemory:
    """The client and all that stands in its one bucket: `objects` has the bytes by key. Listings come in short pages,
    conditions are honoured."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.meta = SimpleNamespace(endpoint_url="http://in.memory")

    def get_object(self, Bucket: str, Key: str, Range: str = "") -> dict[str, Any]:
        data = self._there(Key)
        if Range:
            start, end = map(int, Range.removeprefix("bytes=").split("-"))
            if start >= len(data):
                raise _error(416, "InvalidRange")
            data = data[start : end + 1]
        return {"Body": io.BytesIO(data), "ContentLength": len(data), "ETag": _etag(data)}

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        return self._said(self._there(Key)) | {"ContentLength": len(self.objects[Key])}

    def put_object(self, Bucket: str, Key: str, Body: bytes, ContentType: str = "", **only: str) -> dict[str, Any]:
        self._check(Key, **only)
        self.objects[Key] = bytes(Body)
        return {"ETag": _etag(self.objects[Key])}

    def upload_fileobj(self, file: Any, bucket: str, key: str, **_: Any) -> None:
        self.objects[key] = file.read()

    def copy_object(
        self, Bucket: str, Key: str, CopySource: dict[str, str], CopySourceIfMatch: str = "", **more: str
    ) -> dict[str, Any]:
        data = self._there(CopySource["Key"])
        if CopySourceIfMatch and CopySourceIfMatch != _etag(data):
            raise _error(412, "PreconditionFailed")
        self._check(Key, **{name: value for name, value in more.items() if name.startswith("If")})
        self.objects[Key] = data
        return {"CopyObjectResult": {"ETag": _etag(data)}}

    def delete_object(self, Bucket: str, Key: str, **only: str) -> dict[str, Any]:
        if Key in self.objects:
            self._check(Key, **only)
            del self.objects[Key]
        return {}

    def list_objects_v2(
        self, Bucket: str, Prefix: str = "", Delimiter: str = "", ContinuationToken: str = "", MaxKeys: int = _PAGE
    ) -> dict[str, Any]:
        contents, folders, last = [], [], ""
        for key in sorted(self.objects, key=str.encode):
            if not key.startswith(Prefix) or key.encode() <= ContinuationToken.encode():
                continue
            if len(contents) + len(folders) == MaxKeys:
                return _page(contents, folders) | {"NextContinuationToken": last}
            last = key
            below = key[len(Prefix) :]
            if Delimiter and Delimiter in below:
                folder = Prefix + below[: below.index(Delimiter) + 1]
                folders += [folder] if folder not in folders else []
                last = folder + "\U0010ffff"
                ContinuationToken = last
            else:
                contents.append({"Key": key, "Size": len(self.objects[key]), **self._said(self.objects[key])})
        return _page(contents, folders)

    def get_bucket_policy_status(self, Bucket: str) -> dict[str, Any]:
        raise _error(404, "NoSuchBucketPolicy")

    def _there(self, key: str) -> bytes:
        if key not in self.objects:
            raise _error(404, "NoSuchKey")
        return self.objects[key]

    def _check(self, key: str, IfNoneMatch: str = "", IfMatch: str = "") -> None:
        there = self.objects.get(key)
        if (IfNoneMatch and there is not None) or (IfMatch and (there is None or _etag(there) != IfMatch)):
            raise _error(412, "PreconditionFailed")

    def _said(self, data: bytes) -> dict[str, Any]:
        return {"ETag": _etag(data), "LastModified": datetime.now(UTC).isoformat()}


class Nobody:
    """The client of somebody without credentials, to whom the bucket says nothing."""

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        raise _error(403, "AccessDenied")


def _page(contents: list[dict[str, Any]], folders: list[str]) -> dict[str, Any]:
    return {"Contents": contents, "CommonPrefixes": [{"Prefix": folder} for folder in folders]}


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def _error(status: int, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "call")
