"""What S3 answers of one object: its fields, each of which a server or a CDN before it may leave out, and its body.

A missing length is found by reading. A missing time stamp, or one that is none, is now, so that nothing counts as older
than it is. A missing etag is the digest of the bytes: what must change whenever they do is still exact, and only costs
reading them; no server can be asked for it (see `is_digest`), so that what stands there is looked at just before a
change. A body whose length the answer itself tells wrongly (a cache before the server has kept a part) is found out by
the etag where that is the bytes' MD5, and else by asking for the object's length.
"""

import hashlib
import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.utils import parse_timestamp

from pressrun.cluster.store.s3_errors import FOREIGN, Trouble, is_wordless
from pressrun.cluster.store.store import Entry

_DIGEST = "sha256-"
_NO_DATE = re.compile(r"\s*[-+]?[0-9.]*(?:e[0-9]+)?\s*")
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
    """When an object was written, in UTC; now where nobody says, or nothing that is a time."""
    told = str(found.get("LastModified", ""))
    try:
        if _NO_DATE.fullmatch(told):
            raise ValueError  # which would be taken for seconds since 1970
        written: datetime = parse_timestamp(told)
        return written.astimezone(UTC)
    except (ValueError, OverflowError, RuntimeError):
        return datetime.now(UTC)


def head_of(client: Any, where: Mapping[str, str]) -> Mapping[str, Any]:
    """What the server says of an object; what it raises where it says nothing has the reason."""
    try:
        return client.head_object(**where)  # type: ignore[no-any-return]
    except FOREIGN as error:
        if is_wordless(error):
            with client.get_object(**where, Range="bytes=0-0")["Body"]:  # which raises with the reason
                pass
        raise


def whole_body(client: Any, where: Mapping[str, str]) -> bytes:
    """The bytes of a whole object.

    Raises Trouble where they are cut off, have another length than the object, or are packed in a way that cannot be
    undone.
    """
    return _whole(client, where, client.get_object(**where))


def part_of_body(client: Any, where: Mapping[str, str], start: int, length: int) -> bytes | None:
    """Up to `length` bytes of an object from byte `start`; None where they were packed on the way.

    Raises Trouble as `whole_body` does, and where they are another part than was asked for.
    """
    found = client.get_object(**where, Range=f"bytes={start}-{start + length - 1}")
    if "ContentRange" not in found:  # the server knows no ranges
        return _whole(client, where, found)[start : start + length]
    data = _body(found)
    if _is_packed(found):
        return None
    told = re.match(rf"bytes {start}-(\d{{1,18}})(?:/(\d{{1,18}}))?", str(found["ContentRange"]))
    end = int(told[2] or int(told[1]) + 1) if told else start
    if told is None or len(data) != min(length, end - start):
        raise Trouble("the answer is another part than was asked for")
    return data


def _whole(client: Any, where: Mapping[str, str], found: Mapping[str, Any]) -> bytes:
    data = _unpacked(found, _body(found))
    if _has_md5(found, data):
        return data
    if (headers := _headers(found)) and not {"content-length", "transfer-encoding"} & headers.keys():
        raise Trouble("the answer does not say where it ends")
    told = _told(client, where)
    length = told.get("ContentLength")
    if length is None or length == len(data) or _is_packed(told) or etag_of(told) != etag_of(found):
        return data
    raise Trouble(f"sends {len(data):,} bytes of an object that has {length:,}")


def _body(found: Mapping[str, Any]) -> bytes:
    with found["Body"] as body:
        data: bytes = body.read()
    if found.get("ContentLength", len(data)) != len(data):
        raise Trouble("the answer was cut off")
    return data


def _headers(found: Mapping[str, Any]) -> Mapping[str, str]:
    headers: Mapping[str, str] = found.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers


def _told(client: Any, where: Mapping[str, str]) -> Mapping[str, Any]:
    """What the server says of an object; nothing where it does not answer that question."""
    try:
        return client.head_object(**where)  # type: ignore[no-any-return]
    except FOREIGN as error:
        if is_wordless(error):
            return {}
        raise


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
