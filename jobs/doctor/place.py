"""A place for jobs: whether it can be read, written, listed and emptied, and what it promises two writers."""

import secrets
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.store import Store
from pressrun.jobs.doctor.finding import BAD, DOUBTFUL, GOOD, Finding
from pressrun.pipeline.errors import PressrunError

_CLOCKS_SEC = 120.0
"""How far a store's clock may be from ours; S3 refuses requests that are 15 minutes off."""
_ROOM = 10 << 30
_ANYBODY = "whoever can list it reads prompts and pictures"


def place_findings(stores: Stores, uri: str) -> Iterator[Finding]:
    """Look at a place by using it: a file of our own is put into it, and taken away again."""
    try:
        store = stores.open(uri)
        store.prepare()
    except PressrunError as error:
        yield Finding("place", BAD, str(error).rstrip("."), "")
        return
    try:
        yield from _used(store)
    except PressrunError as error:
        yield Finding("place", BAD, str(error).rstrip("."), "allow reading, writing, listing and deleting there")
        return
    if store.conditional:
        yield Finding("conditional create", GOOD, "one of several writers wins")
    else:
        advice = "let one driver at a time work there, and sign into another store"
        yield Finding(
            "conditional create", DOUBTFUL, "the store ignores If-None-Match: the last of several wins", advice
        )
    if not uri.lower().startswith("s3://"):
        free = shutil.disk_usage(store.uri).free
        state = GOOD if free >= _ROOM else DOUBTFUL
        yield Finding(
            "room", state, f"{free / 2**30:.1f} GiB free at {store.uri}", "" if state == GOOD else "make room"
        )


def _used(store: Store) -> Iterator[Finding]:
    path, data = f".pressrun-doctor-{secrets.token_hex(4)}", secrets.token_bytes(1_024)
    store.put(path, data)
    written = datetime.now(UTC)
    try:
        there, listed = store.head(path), list(store.paths(".pressrun-doctor-"))
        if store.get(path) != data or there is None or path not in listed:
            yield Finding("place", BAD, f"{store.uri} does not give back what was put there", "use another store")
            return
        yield Finding("place", GOOD, f"{store.uri} can be written, read and listed")
        apart = abs((written - there.modified).total_seconds())
        if apart <= _CLOCKS_SEC:
            yield Finding("clock", GOOD, f"{apart:.0f} s from the store's")
        else:
            yield Finding("clock", BAD, f"{apart:,.0f} s from the store's", "set it (NTP)")
        if store.public(path):
            yield Finding("access", DOUBTFUL, f"anybody can read {store.uri}: {_ANYBODY}", "make the prefix private")
    finally:
        store.delete(path)
        store.sweep([])
