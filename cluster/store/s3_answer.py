"""What S3 answers of one object: its fields, each of which a server or a CDN before it may leave out, and its body.

A missing length is found by reading. A missing time stamp is now, so that nothing counts as older than it is. A missing
etag is the digest of the bytes: what must change whenever they do is still exact, and only costs reading them; no
server can be asked for it (see `is_digest`), so that what stands there is looked at just before a change.
"""

import hashlib
import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.utils import parse_timestamp

from pressrun.cluster.store.s3_errors import Trouble
from pressrun.cluster.store.store import Entry

_DIGEST = "sha256-"
_PACKED = ("gzip", "x-gzip", "deflate", "br", "zstd", "compress")


def etag_of(found: Mapping[str, Any]) -> str:
    """The etag in an answer, "" if there is none; a weak one, of a CDN that packs, as the server itself gives it."""
    return str(found.get("ETag") or "").strip().removeprefix("W/").strip('"')


def is_digest(etag: str) -> bool:
    """Whether an etag is one that we made, of which the server knows nothing."""
    return etag.startswith(_DIGEST)


def digest_of(data: bytes) -> str:
    """The etag of bytes for which the server has none."""
    return _DIGEST + hashlib.sha256(data).hexdigest()


def entry_of(path: str, found: Mapping[str, Any]) -> Entry | None:
    """The entry of an object; None where the answer leaves out what only its bytes can tell."""
    size = found.get("Size", found.get("ContentLength"))
    etag = etag_of(found)
    if size is None or not etag or _is_packed(found):
        return None
    return Entry(path, size, modified_in(found), etag)


def modified_in(found: Mapping[str, Any]) -> datetime:
    """When an object was written, in UTC; now where nobody says."""
    try:
        written: datetime = parse_timestamp(found["LastModified"])
        return written.astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        return datetime.now(UTC)


def body_of(found: Mapping[str, Any], start: int = 0, length: int | None = None) -> bytes | None:
    """The bytes in an answer, or those of the range that was asked for; None where a range was packed on the way.

    Raises Trouble where they are not whole, or are packed in a way that cannot be undone.
    """
    with found["Body"] as body:
        data: bytes = body.read()
    if found.get("ContentLength", len(data)) != len(data):
        raise Trouble("the answer was cut off")
    headers = found.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    if length is not None and "ContentRange" in found:
        if _is_packed(found):
            return None
        told = re.match(rf"bytes {start}-(\d+)", str(found["ContentRange"]))
        if told is None or len(data) != min(length, int(told[1]) + 1 - start):
            raise Trouble("the answer is another part than was asked for")
        return data
    data = _unpacked(found, data)
    if headers and not {"content-length", "transfer-encoding"} & headers.keys() and not _has_md5(found, data):
        raise Trouble("the answer does not say where it ends")
    return data if length is None else data[start : start + length]


def _is_packed(found: Mapping[str, Any]) -> bool:
    return str(found.get("ContentEncoding") or "").strip().lower() in _PACKED


def _has_md5(found: Mapping[str, Any], data: bytes) -> bool:
    return etag_of(found) == hashlib.md5(data, usedforsecurity=False).hexdigest()


def _unpacked(found: Mapping[str, Any], data: bytes) -> bytes:
    """The bytes as they are stored: those of an object that was stored packed, but not packed by a CDN on the way,
    although nobody said that we take that."""
    if not _is_packed(found) or _has_md5(found, data):
        return data
    try:
        return zlib.decompress(data, zlib.MAX_WBITS | 32)
    except zlib.error:
        raise Trouble("the answer was packed on the way") from None
