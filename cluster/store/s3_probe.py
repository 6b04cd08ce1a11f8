"""What a place in S3 can do, found out with random keys: whether what was written can be removed and is there, and
whether `If-None-Match: *` is kept to, by a race."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from pressrun.cluster.store.conditions import not_kept
from pressrun.cluster.store.s3_errors import Unsupported
from pressrun.cluster.store.store import Refusal, Store
from pressrun.pipeline.errors import StorageError

PROBES = ".probe/"
"""Where the races take place, under a store's root; no listing gives them."""

_RACERS = 4
_SHOWN_SEC = (0.0, 0.5, 1.0, 2.0)
"""Pauses before each look for what was written: some servers show it to nobody for a moment."""


def honours_conditions(store: Store) -> bool:
    """Whether exactly one of several writers wins.

    Raises:
        Refusal: nothing may be written or removed there; where nothing at all may be removed, nothing was written.
        StorageError: what was written is not there.
    """
    store.delete(_random())  # before there is anything that could not be removed
    for _ in range(3):
        path = _random()
        start = Barrier(_RACERS)

        def race(_: int, path: str = path, start: Barrier = start) -> bool:
            start.wait()
            return store.create(path, b"?", "text/plain")

        try:
            with ThreadPoolExecutor(_RACERS) as racers:
                winners = sum(racers.map(race, range(_RACERS)))
        except Unsupported:
            store.put(path, b"?")  # the place must be writable all the same
            winners = _RACERS
        _check_kept(store, path)
        _tidy(store, path)
        if winners:  # nobody wins if the winner's answer was lost: race again
            return winners == 1
    return False


def _random() -> str:
    return f"{PROBES}{uuid.uuid4().hex}"


def _check_kept(store: Store, path: str) -> None:
    """Raise StorageError unless what was written just now can be read."""
    for pause_sec in _SHOWN_SEC:
        time.sleep(pause_sec)
        try:
            store.get(path)
            return
        except FileNotFoundError:
            continue
    raise not_kept(store, path)


def _tidy(store: Store, path: str) -> None:
    """Raises Refusal, as for what a retention protects: what is put there stays for ever."""
    try:
        store.delete(path)
    except Refusal:
        raise
    except StorageError:  # the next call waits longer
        pass
