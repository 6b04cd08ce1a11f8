"""Where the records of a published place lie: beside the nights, where nobody serves, found by a pointer.

The records hold copies of pictures that were replaced or withdrawn. Beside the place, in a web server's root, anybody
could have those by their addresses; so all that stands there is `images.pressrun/records.json`, which says where they
are. Whoever publishes there, from whatever job, finds the same records and the same lock. Records that still lie
beside the place, as all did before version 0.2, are moved.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from pressrun.cluster.store.lease import Lease
from pressrun.cluster.store.store import Changed, Opener, Store
from pressrun.cluster.store.uri import real_uri
from pressrun.pipeline.errors import JobError, PressrunError

POINTER = "records.json"
OWNER = "place.json"
"""In the records: of which place they are."""

FOLDER = ".published"
"""Beside the nights: the records of the places that they are published to."""

LOCK = "lock"
_OLD = re.compile(r"published\.parquet|pending\.json|undo/.+")
_WEBSITE = ("index.html", "index.htm", "index.php", "robots.txt", "sitemap.xml", ".htaccess", "web.config", "CNAME")


def beside(place: str) -> str:
    """What belongs to a place and stands beside it, or in it where it is a whole bucket."""
    return f"{place}/.pressrun" if re.fullmatch("s3://[^/]+", place) else f"{place}.pressrun"


def find_records(stores: Opener, place: str, job: str, asked: str | None) -> str:
    """The URI of a place's records: where its pointer says, else where they are `asked` for, else beside the nights of
    `job`. Nothing is written.

    Raises:
        JobError: the pointer says something else than what is asked for, or the records would be served.
    """
    there = read_pointer(stores, beside(place))
    if there and asked and real_uri(asked) != there:
        raise JobError(
            f"`records` {asked}: the records of {place} lie at {there}; leave `records` out.", code="bad_place"
        )
    records = there or (real_uri(asked) if asked else _default(place, job))
    if f"{records}/".startswith(f"{place}/"):
        problem = f"`records` {records} is in the place that is served, {place}"
        raise JobError(f"{problem}; name another place for them, which nobody serves.", code="bad_place")
    return records


def read_pointer(stores: Opener, uri: str) -> str:
    """Where the pointer in the folder `uri` says that the records are; "" where there is none.

    Raises:
        JobError: it is damaged.
    """
    try:
        return str(json.loads(stores.open(uri).get(POINTER))["records"])
    except FileNotFoundError:
        return ""
    except (ValueError, KeyError, TypeError):
        raise JobError(
            f"{uri}/{POINTER} is damaged; remove it, and say `records` URI once.", code="damaged_job"
        ) from None


def claim(records: Store, place: str, asked: bool) -> Store:
    """Write the pointer if there is none; the records as it names them by then, since another publisher may be faster.

    Raises:
        JobError: nothing can be written beside the place, and the records' place was not `asked` for.
    """
    stores = records.stores
    pointer = stores.open(beside(place))
    if there := read_pointer(stores, pointer.uri):
        return stores.open(there)
    try:
        pointer.prepare()
        pointer.create(POINTER, json.dumps({"records": records.uri}).encode(), "application/json")
        pointer.sweep([])
    except PressrunError as error:
        if asked:
            return records
        more = (
            f"It would say that the records of {place} lie at {records.uri}: give `records` URI, the same every time."
        )
        raise JobError(f"{error} {more}", code="bad_place") from None
    return stores.open(read_pointer(stores, pointer.uri) or records.uri)


def check_owner(records: Store, place: str) -> None:
    """Raise JobError if the records are those of another place."""
    owners = []
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        owners.append(str(json.loads(records.get(OWNER))["place"]))
    for owner in owners or _owners_by_undo(records):
        if owner != place:
            problem = f"{records.uri} has the records of {owner}, not of {place}"
            raise JobError(
                f"{problem}: pictures of one place would be taken for the other's. Name other records or, if the place "
                f"was moved, remove {records.uri}/{OWNER}.",
                code="bad_place",
            )


def own(records: Store, place: str, fence: Callable[[], None]) -> None:
    """Write down of which place the records are, and move here what lies beside the place from before version 0.2."""
    if records.head(OWNER) is None:
        fence()
        records.create(OWNER, json.dumps({"place": place}).encode(), "application/json")
    old = records.stores.open(beside(place))
    if old.uri == records.uri or not any(True for _ in _old_paths(old)):
        return
    with Lease(old, LOCK, f"The records of {place} are moved") as lease:
        paths = list(_old_paths(old))
        for path in paths:
            with contextlib.suppress(Changed):  # it was moved before the last go ended
                records.copy(old, path, path, standing=None, fence=fence)
        for path in paths:
            old.delete(path, fence=lease.check)
    for path in [path for path in old.paths() if path.startswith(f"{LOCK}/")]:
        old.delete(path)
    old.sweep([*paths, f"{LOCK}/"])


def old_records(records: Store, place: str) -> Store | None:
    """The records that `own` has not moved yet; None if there are none."""
    old = records.stores.open(beside(place))
    return old if old.uri != records.uri and any(True for _ in _old_paths(old)) else None


def exposure(records: Store) -> str:
    """A sentence about records that others can read, as far as that can be seen; "" if not."""
    risk = "copies of pictures that were replaced or withdrawn lie there"
    if records.public(OWNER):
        return f"Anybody can read {records.uri}, and {risk}: let the bucket's policy keep that prefix private."
    if records.uri.startswith("s3://"):
        return ""
    for folder in Path(records.uri).parents:
        for name in _WEBSITE:
            if (folder / name).exists():
                return (
                    f"{records.uri} is in what looks like a website ({folder / name}), and {risk}: forbid its address."
                )
    return ""


def _default(place: str, job: str) -> str:
    digest = hashlib.sha256(place.encode()).hexdigest()[:8]
    name = re.sub(r"[^A-Za-z0-9._-]", "-", place.rpartition("/")[2])[:80]
    prefix = job.rpartition("/")[0]
    return f"{job if prefix in ('s3:/', '') else prefix}/{FOLDER}/{name}-{digest}"


def _old_paths(old: Store) -> Iterator[str]:
    return (path for path in old.paths() if _OLD.fullmatch(path))


def _owners_by_undo(records: Store) -> Iterator[str]:
    """The places that records from before version 0.2 name, in what they keep for undoing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in records.paths("undo/"):
        if path.count("/") == 2 and path.endswith("/undo.parquet"):
            with contextlib.suppress(FileNotFoundError, pa.ArrowException, OSError):
                about = pq.ParquetFile(pa.BufferReader(records.get(path))).schema_arrow.metadata or {}
                if b"place" in about:
                    yield real_uri(about[b"place"].decode())
