"""The survey: every distinct reference picture of the pending rows is looked at once, before anything is planned.

A picture's digest belongs to the render key and its size to the shape of the unit, and a broken picture shall fail its
row before an actor starts: so each is fetched and decoded here, the one time in a run on this machine. Its pixels go
into the run's scratch, where actors find them. Memory is bounded by the threads, each of which holds one picture.
"""

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable

from pressrun.cluster.net.url import shown
from pressrun.cluster.protocol.unit import Reference
from pressrun.cluster.references.decoder_pool import Decoders
from pressrun.cluster.references.pixel_cache import ReferenceCache
from pressrun.cluster.references.reader import ReferenceReader, place_of
from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.request import MULTIPLE

_THREADS = 8
"""Pictures in memory at once, each at most `WebRules.max_bytes`: half a gigabyte if all of them are of that size."""

_AT_ONE_PLACE = 4
"""Fetches from one server, bucket or folder at the same time: one that drips leaves threads for the others."""

_MAX_DECODERS = 4
_WATCH_SEC = 0.5

Surveyed = Reference | RequestError


def survey(
    uris: Iterable[str],
    model: Model,
    reader: ReferenceReader,
    cache: ReferenceCache | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> dict[str, Surveyed]:
    """What each distinct reference is, or why it cannot be used; `reader` fetches their bytes.

    `cache` keeps the pixels of those that can be used; `watch` is told now and then how many of how many are done.

    Raises:
        StorageError: a store does not answer, which is no row's fault.
    """
    lanes = _Lanes(sorted(set(uris)))
    total = lanes.waiting
    if not total:
        return {}
    with Decoders(min(_MAX_DECODERS, len(os.sched_getaffinity(0)), lanes.waiting)) as decoders:
        look = _Look(model, reader, decoders, cache)
        found: dict[str, Surveyed] = {}
        errors: list[Exception] = []

        def work() -> None:
            while (turn := lanes.take()) is not None:
                place, uri = turn
                try:
                    found[uri] = look.at(uri)
                except Exception as error:
                    errors.append(error)
                    lanes.stop()
                lanes.leave(place)

        try:
            _in_threads(work, min(_THREADS, total), lambda: watch(len(found), total) if watch else None)
        finally:
            lanes.stop()
    if errors:
        raise errors[0]
    return found


def _in_threads(work: Callable[[], None], count: int, watch: Callable[[], None]) -> None:
    """Do `work` in so many threads, until all have ended. They are daemons, so that nobody who presses Ctrl-C waits for
    a slow server."""
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(_WATCH_SEC)
            watch()


class _Look:
    """Looks at references; safe for threads."""

    def __init__(self, model: Model, reader: ReferenceReader, decoders: Decoders, cache: ReferenceCache | None) -> None:
        self._model, self._decoders, self._cache = model, decoders, cache
        self._reader = reader
        self._seen: dict[str, tuple[int, int] | RequestError] = {}  # equal bytes are decoded once, mostly

    def at(self, uri: str) -> Surveyed:
        """One reference, fetched and decoded."""
        try:
            data = self._reader.read(uri)
        except RequestError as error:
            return error  # its sentence names the reference already
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 not in self._seen:
            self._seen[sha256] = self._decoded(sha256, data)
        grid = self._seen[sha256]
        if isinstance(grid, RequestError):
            return RequestError(grid.code, f"Reference {shown(uri)}: {grid.message}")
        return Reference(uri, sha256, grid)

    def _decoded(self, sha256: str, data: bytes) -> tuple[int, int] | RequestError:
        """Rows and columns of tokens."""
        try:
            pixels = self._decoders.decode(data, self._model.reference_pixels)
        except RequestError as error:
            return error
        if self._cache is not None:
            self._cache.keep(sha256, pixels)
        height, width, _ = pixels.shape
        return height // MULTIPLE, width // MULTIPLE


class _Lanes:
    """URIs that wait, a lane for each place where they lie; lanes take turns."""

    def __init__(self, uris: Iterable[str]) -> None:
        self.waiting = 0
        self._lanes: dict[str, deque[str]] = {}
        self._busy: dict[str, int] = {}
        for uri in uris:
            self._lanes.setdefault(place_of(uri), deque()).append(uri)
            self.waiting += 1
        self._open = deque(self._lanes)  # lanes with somebody who may go, each once
        self._changed = threading.Condition()

    def take(self) -> tuple[str, str] | None:
        """The next to be fetched and its place, waiting for one if need be; None when there is none left."""
        with self._changed:
            while not self._open and self.waiting:
                self._changed.wait()
            if not self.waiting:
                return None
            place = self._open.popleft()
            self.waiting -= 1
            self._busy[place] = self._busy.get(place, 0) + 1
            uri = self._lanes[place].popleft()
            if self._lanes[place] and self._busy[place] < _AT_ONE_PLACE:
                self._open.append(place)
                self._changed.notify()
            if not self.waiting:
                self._changed.notify_all()
            return place, uri

    def leave(self, place: str) -> None:
        """A fetch has ended."""
        with self._changed:
            full = self._busy[place] == _AT_ONE_PLACE
            self._busy[place] -= 1
            if full and self._lanes[place]:
                self._open.append(place)
                self._changed.notify()

    def stop(self) -> None:
        """Let nobody go any more."""
        with self._changed:
            self.waiting = 0
            self._changed.notify_all()
