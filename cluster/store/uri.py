"""Places and objects by their names: a path, a `file:///` URI, `s3://bucket/key`, or an address on the web."""

import contextlib
import os
import posixpath
import re
from pathlib import Path

from pressrun.cluster.net.url import is_data, shown
from pressrun.pipeline.errors import JobError, RequestError

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")

_OF_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_WITHOUT_SCHEME = re.compile(r"//[^\s/\\@?#]+\.[^\s/\\@?#.]+/.")
"""As shops write it, `//cdn.example/mug.jpg`; a folder at the root whose name has a dot is written with one slash."""


def check_path(path: str) -> str:
    """`path` itself, if it cannot leave the store; otherwise ValueError. The manifest's check has its own sentences."""
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"{path!r} is no path inside a store.")
    return path


def is_bucket_name(name: str) -> bool:
    """Whether S3 or a server like it can have a bucket of that name."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]", name) is not None


def local_path(uri: str) -> str:
    """The absolute path that a local path or a `file:///` URI means. Raises JobError for `file://host/…`."""
    if uri[:7].lower() == "file://":
        if not uri[7:].startswith("/"):
            raise JobError(f"{uri!r} names another machine: write file:///absolute/path.", code="bad_place")
        uri = uri[7:]
    if not uri or "\0" in uri:
        raise JobError(f"{uri!r} names no folder: give a path or s3://bucket/prefix.", code="bad_place")
    folder = os.path.expanduser(uri)  # noqa: PTH111 (which leaves a name without a home as it is)
    return _as_text(os.path.normpath(Path(folder).absolute()))


def real_uri(uri: str) -> str:
    """The one name of a place that may have several: of a folder the path without symbolic links. Raises as
    `local_path` does."""
    if uri.lower().startswith("s3://"):
        return uri.rstrip("/")
    path = local_path(uri)
    with contextlib.suppress(PermissionError):  # behind a link that only others may read
        path = _as_text(os.path.realpath(path))
    return path


def _as_text(path: str) -> str:
    """`path` itself, if tables and other machines can hold it. Raises JobError for bytes that are no UTF-8."""
    if not is_utf8(path):
        raise JobError(
            f"“{escaped(path)}” has a name that is not UTF-8, which no table can hold: rename it.", code="bad_place"
        )
    return path


def is_utf8(name: str) -> bool:
    """Whether a file's name, as the operating system gives it, is UTF-8; others are somebody else's."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def escaped(name: str) -> str:
    """`name` to be shown, with `\\xe9` in place of a byte that is no UTF-8."""
    bytes_as_text = re.sub("[\udc80-\udcff]", lambda sign: f"\\x{ord(sign[0]) - 0xDC00:02x}", name)
    return bytes_as_text.encode(errors="backslashreplace").decode()


def resolve_uri(reference: str, base: str | None) -> str:
    """What `reference` means in a manifest that stands in the folder or prefix `base`: an absolute path or a URI.

    Without a base it is what a user typed, relative to the working folder. `s3://`, `https://`, `http://` and `data:`
    stand for themselves, and `//host.example/…` is on the web; who may fetch them is not decided here.

    Raises:
        RequestError: `bad_reference` for another scheme, for a reference that leaves the bucket or names no object,
            and for an absolute path in a manifest out of a bucket (whoever wrote it has no business with this machine's
            files); `reference_windows_path` for a path of a drive or a share.
    """
    if base is None and reference.lower().startswith("file://"):
        return local_path(reference)
    if base is not None:
        if is_data(reference):
            return reference
        if _OF_WINDOWS.match(reference):
            why = "is a path on a Windows machine: put the picture beside the manifest, or on the web"
            raise RequestError("reference_windows_path", f"The reference “{shown(reference)}” {why}.")
        if _WITHOUT_SCHEME.match(reference):
            return f"https:{reference}"
    scheme = SCHEME.match(reference)
    if scheme and scheme[1].lower() in ("s3", "https", "http"):
        if scheme[1].lower() == "s3":
            object_key(reference)
        return reference
    if scheme or not reference or "\0" in reference:
        raise RequestError("bad_reference", f"“{shown(reference)}” must be a path, s3://bucket/key or https://….")
    if base is None or not base.lower().startswith("s3://"):
        return os.path.normpath(Path(local_path(base or "."), reference))
    bucket, slash, prefix = base[len("s3://") :].partition("/")
    parts, below = prefix.split("/") if slash else [], posixpath.normpath(reference).split("/")
    up = below.count("..")  # all of them stand in front; the place itself stays as it is written, empty parts included
    key = "/".join([*parts[: max(0, len(parts) - up)], *below[up:]])
    if reference.startswith("/") or up > len(parts) or below[up:] in ([], ["."]):
        raise RequestError(
            "bad_reference", f"The reference “{shown(reference)}” leads out of {base}: keep it in the bucket."
        )
    return f"s3://{bucket}/{key}"


def refused_uri(reference: str, base: str) -> str:
    """A reference that `resolve_uri` refuses, as it is kept: out of a bucket it remains one of that bucket, which no
    place can resolve, so that it does not name this machine's files when it is read again from its disk."""
    if not base.lower().startswith("s3://") or not (text := reference.strip()):
        return reference
    if SCHEME.match(text) or is_data(text) or _OF_WINDOWS.match(text):
        return reference
    return f"{base}/./{reference}"


def object_key(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`. Others' keys may have empty parts (`photos//mug.png`), which mean that very
    key. Raises RequestError `bad_reference` where no object can be meant."""
    bucket, _, key = uri[len("s3://") :].partition("/")
    is_key = key and not key.endswith("/") and "\0" not in key and not {".", ".."} & set(key.split("/"))
    if is_key and is_bucket_name(bucket):
        return bucket, key
    raise RequestError("bad_reference", f"“{shown(uri)}” names no object: write s3://bucket/key.")
