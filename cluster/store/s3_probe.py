"""Whether a server keeps to `If-None-Match: *`, found out by a race for a random key."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from pressrun.cluster.store.s3_errors import Unsupported
from pressrun.cluster.store.store import Store
from pressrun.pipeline.errors import StorageError

PROBES = ".probe/"
"""Where the races take place, under a store's root; no listing gives them."""

_RACERS = 4


def honours_conditions(store: Store) -> bool:
    """Whether exactly one of several writers wins. Raises StorageError where nothing can be written."""
    for _ in range(3):
        path = f"{PROBES}{uuid.uuid4().hex}"
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
        _tidy(store, path)
        if winners:  # nobody wins if the winner's answer was lost: race again
            return winners == 1
    return False


def _tidy(store: Store, path: str) -> None:
    try:
        store.delete(path)
    except StorageError:  # who may write need not be allowed to delete
        pass
