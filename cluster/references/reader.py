"""A reference's bytes, wherever it lies: on disk, in a bucket, on the web or in its own address. Bounded in bytes and
time everywhere.

Whatever is wrong with one reference is a RequestError whose sentence names it, without what may be secret. How long it
is waited for depends on whether its place has answered of late, and that is `patience`'s to say.
"""

import base64
import errno
import os
import queue
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from urllib.parse import unquote_to_bytes

from pressrun.cluster.net.fetch_rules import WebRules
from pressrun.cluster.net.patience import Patience, late
from pressrun.cluster.net.url import Url, is_data, is_web, shown
from pressrun.cluster.references.missing_reference import file_called, other_forms, why_missing
from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.store import Refusal
from pressrun.pipeline.errors import JobError, RequestError, StorageError

_PATIENCE_OF_STORES = 3
"""Deadlines that a bucket gets: it is asked again for a minute, twice, before it counts as down, and that is the
store's trouble and no row's."""
_CHUNK = 1 << 20
_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EILSEQ}
_DENIED = {errno.EACCES, errno.EPERM}
_ODD = {errno.ENXIO, errno.ENODEV, errno.EISDIR}


def place_of(uri: str) -> str:
    """What fails together with a reference: its server, its bucket or its folder; empty for a malformed address."""
    if is_web(uri):
        with suppress(ValueError):
            return Url.parse(uri).origin
        return ""
    if uri.lower().startswith("s3://"):
        return f"s3://{uri[5:].partition('/')[0]}"
    if is_data(uri):
        return "data:"
    return uri.rpartition("/")[0] or "/"


class ReferenceReader:
    """One process's way to references' bytes; safe for threads."""

    def __init__(self, rules: WebRules, stores: Stores) -> None:
        self._rules, self._stores = rules, stores
        self._patience = Patience()

    def read(self, uri: str) -> bytes:
        """The bytes of one picture by its resolved URI.

        Raises:
            RequestError: `reference_denied`, `reference_refused`, `reference_too_large`, `reference_timeout`,
                `reference_unreachable`, `reference_encoded`, `reference_bad_data`; `reference_missing`, or in its place
                what is probably wrong: `reference_several`, `…_windows_path`, `…_quoted`, `…_no_scheme`, `…_case`.
            StorageError: a bucket or a disk does not answer, which is no row's fault.
        """
        rules = self._rules
        if is_web(uri):
            from pressrun.cluster.net.safe_fetch import (
                fetch,  # TLS takes a while to import, and most manifests need none
            )

            try:
                return fetch(uri, rules, self._patience)
            except RequestError as error:
                raise _missing(uri, error) if error.code == "reference_missing" else error from None
        if is_data(uri):
            return _read_data(uri, rules.max_bytes)
        if uri.lower().startswith("s3://"):
            seconds = rules.deadline_sec * _PATIENCE_OF_STORES
            return self._within(seconds, uri, lambda _: _read_object(self._stores, uri, rules.max_bytes))
        return self._within(rules.deadline_sec, uri, lambda given_up: _read_file(uri, rules.max_bytes, given_up))

    def _within(self, full: float, uri: str, read: Callable[[threading.Event], bytes]) -> bytes:
        """What `read` returns, told when it is given up. A mount that hangs cannot be interrupted, only left behind."""
        place = place_of(uri)
        seconds = self._patience.seconds(place, full)
        answers: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()
        given_up = threading.Event()

        def work() -> None:
            try:
                answers.put(read(given_up))
            except Exception as error:
                answers.put(error)

        threading.Thread(target=work, daemon=True).start()
        try:
            answer = answers.get(timeout=seconds)
        except queue.Empty:
            given_up.set()
            self._patience.unheard(place)
            raise _failure("timeout", uri, late(seconds, place if seconds < full else "")) from None
        self._patience.heard(place)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _read_object(stores: Stores, uri: str, max_bytes: int) -> bytes:
    """An object in a bucket, by another form of its name if there is none by this one."""
    for form in (uri, *(f"s3://{form}" for form in other_forms(uri[len("s3://") :]))):
        try:
            return _read_key(stores, form, max_bytes)
        except FileNotFoundError:
            pass
    raise _missing(uri, _failure("missing", uri, "does not exist; check the address in the manifest"))


def _read_key(stores: Stores, uri: str, max_bytes: int) -> bytes:
    """An object, its size known before its body is asked for. Raises FileNotFoundError."""
    try:
        store, path = stores.find(uri)
        try:
            entry = store.head(path)
        except StorageError:  # an answer without a body cannot say why; the question below will be told
            entry = None
        if entry is not None and entry.size > max_bytes:
            raise _too_large(uri, max_bytes)
        data = store.get_range(path, 0, max_bytes + 1)
    except Refusal:
        raise _failure("denied", uri, "may not be read with the credentials at hand") from None
    except JobError as error:  # the AWS environment cannot be used
        raise StorageError(str(error)) from None
    except RequestError as error:
        if error.code.startswith("reference_"):
            raise
        raise _failure("missing", uri, "names no object: write s3://bucket/key") from None
    if len(data) > max_bytes:
        raise _too_large(uri, max_bytes)
    return data


def _read_data(uri: str, max_bytes: int) -> bytes:
    """The bytes that a `data:` URI holds (RFC 2397): percent-encoded, or in base64 with or without its padding."""
    head, comma, body = uri.partition(",")
    data = unquote_to_bytes(body)
    if head.lower().rstrip().endswith(";base64"):
        packed = b"".join(data.split()).rstrip(b"=")
        try:
            data = base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
        except ValueError:
            comma = ""
    if not comma:
        raise _failure("bad_data", uri, "is cut off or damaged: write data:image/png;base64,… or name a file")
    if len(data) > max_bytes:
        raise _too_large(uri, max_bytes)
    return data


def _read_file(path: str, max_bytes: int, given_up: threading.Event) -> bytes:
    """A regular file, by another form of its name if there is none by this one; opened without waiting, because a pipe
    without a writer would keep us for ever."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _failure("refused", path, "is no file but a folder, a pipe or a device")
            if status.st_size > max_bytes:
                raise _too_large(path, max_bytes)
            body = BytesIO()
            while chunk := file.read(_CHUNK):
                body.write(chunk)
                if body.tell() > max_bytes:  # it grows, or never said how large it is
                    raise _too_large(path, max_bytes)
                if given_up.is_set():
                    break  # nobody waits for it any more
            return body.getvalue()
    except OSError as error:
        if error.errno in _MISSING:
            there = file_called(path)
            if there is not None and there != path:
                return _read_file(there, max_bytes, given_up)
            nothing = _failure("missing", path, "does not exist; check the path in the manifest")
            raise _missing(path, nothing) from None
        if error.errno in _DENIED:
            raise _failure("denied", path, "may not be read by this user; change its permissions") from None
        if error.errno in _ODD:
            raise _failure("refused", path, "is no file but a folder, a pipe or a device") from None
        raise StorageError(f"Cannot read {shown(path)}: {error.strerror or 'the disk fails'}.") from None
    except ValueError:  # NUL, or no valid Unicode
        raise _failure("missing", path, "cannot be a file's name; check the path in the manifest") from None


def _failure(code: str, uri: str, why: str) -> RequestError:
    return RequestError(f"reference_{code}", f"Reference {shown(uri)} {why}.")


def _missing(uri: str, error: RequestError) -> RequestError:
    """`error`, or what is known better of a reference that leads nowhere."""
    cause = why_missing(uri)
    return _failure(cause[0], uri, cause[1]) if cause else error


def _too_large(uri: str, max_bytes: int) -> RequestError:
    return _failure("too_large", uri, f"is larger than {max_bytes:,} bytes")
