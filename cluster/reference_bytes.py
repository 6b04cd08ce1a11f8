"""A reference's bytes, wherever it lies: on disk, in a bucket or on the web. Bounded in bytes and time everywhere.

Whatever is wrong with one reference is a RequestError whose sentence names it, without what may be secret. Where one
place fails again and again, the rest of what lies there fails at once: a server that is down shall not hold up a job
for a minute with each of its pictures.
"""

import errno
import os
import queue
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Any

from cluster.store import Refusal, open_object
from cluster.url import Url, is_web, shown
from cluster.web_rules import WebRules
from pipeline.errors import JobError, RequestError, StorageError

LOST_AFTER = 5
"""References of one place that fail in a row before the others are not tried any more."""

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
            url = Url.parse(uri)
            return f"{url.scheme}://{url.authority}"
        return ""
    if uri.lower().startswith("s3://"):
        return f"s3://{uri[5:].partition('/')[0]}"
    return uri.rpartition("/")[0] or "/"


class ReferenceReader:
    """One process's way to references' bytes; safe for threads."""

    def __init__(self, rules: WebRules) -> None:
        self._rules = rules
        self._failures: Counter[str] = Counter()
        self._codes: dict[str, str] = {}

    def read(self, uri: str) -> bytes:
        """The bytes of one picture by its resolved URI.

        Raises:
            RequestError: `reference_missing`, `reference_denied`, `reference_refused`, `reference_too_large`,
                `reference_timeout`, `reference_unreachable`.
            StorageError: a bucket or a disk does not answer, which is no row's fault.
        """
        place = place_of(uri)
        if self._failures[place] >= LOST_AFTER:
            why = f"was not asked for: {LOST_AFTER} others in a row could not be had from {shown(place)}"
            raise RequestError(self._codes[place], f"Reference {shown(uri)} {why}; see to it and render again.")
        try:
            data = self._read(uri)
        except RequestError as error:
            if place and error.code in ("reference_unreachable", "reference_timeout"):
                self._failures[place] += 1
                self._codes[place] = error.code
            else:
                self._failures[place] = 0
            raise
        self._failures[place] = 0
        return data

    def _read(self, uri: str) -> bytes:
        rules = self._rules
        if is_web(uri):
            from cluster.web import fetch  # TLS takes a while to import, and most manifests need none

            return fetch(uri, rules)
        if uri.lower().startswith("s3://"):
            seconds = rules.deadline_sec * _PATIENCE_OF_STORES
            return _within(seconds, uri, lambda: _read_object(uri, rules.max_bytes))
        return _within(rules.deadline_sec, uri, lambda: _read_file(uri, rules.max_bytes, rules.deadline_sec))


def _within(seconds: float, uri: str, read: Callable[[], bytes]) -> bytes:
    """What `read` returns. A mount that hangs cannot be interrupted, only left behind."""
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put(read())
        except Exception as error:
            answers.put(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise _late(uri, seconds) from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _read_object(uri: str, max_bytes: int) -> bytes:
    """An object in a bucket, its size known before its body is asked for."""
    try:
        store, path = open_object(uri)
        try:
            entry = store.head(path)
        except StorageError:  # an answer without a body cannot say why; the question below will be told
            entry = None
        if entry is not None and entry.size > max_bytes:
            raise _too_large(uri, max_bytes)
        data = store.get_range(path, 0, max_bytes + 1)
    except FileNotFoundError:
        raise _failure("missing", uri, "does not exist; check the address in the manifest") from None
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


def _read_file(path: str, max_bytes: int, seconds: float) -> bytes:
    """A regular file; opened without waiting, because a pipe without a writer would keep us for ever."""
    end = time.monotonic() + seconds
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
                if time.monotonic() > end:
                    raise _late(path, seconds)
            return body.getvalue()
    except OSError as error:
        if error.errno in _MISSING:
            raise _failure("missing", path, "does not exist; check the path in the manifest") from None
        if error.errno in _DENIED:
            raise _failure("denied", path, "may not be read by this user; change its permissions") from None
        if error.errno in _ODD:
            raise _failure("refused", path, "is no file but a folder, a pipe or a device") from None
        raise StorageError(f"Cannot read {shown(path)}: {error.strerror or 'the disk fails'}.") from None
    except ValueError:  # NUL, or no valid Unicode
        raise _failure("missing", path, "cannot be a file's name; check the path in the manifest") from None


def _failure(code: str, uri: str, why: str) -> RequestError:
    return RequestError(f"reference_{code}", f"Reference {shown(uri)} {why}.")


def _too_large(uri: str, max_bytes: int) -> RequestError:
    return _failure("too_large", uri, f"is larger than {max_bytes:,} bytes")


def _late(uri: str, seconds: float) -> RequestError:
    return _failure("timeout", uri, f"did not arrive within {seconds:g} s")
