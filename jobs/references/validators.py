"""What is noted of references so that the next night need not read them again: `references.parquet` in a job's folder.

A stamp is what a listing says of an object: size, time stamp and etag. What lies on the web has none and is read again.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from pressrun.cluster.net.url import is_data, is_web, shown
from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.store import Refusal, Store
from pressrun.jobs.folder.job_file import PARQUET, REFERENCES
from pressrun.pipeline.errors import JobError, RequestError
from pressrun.pipeline.redaction import redacted

ASKED_ONE_BY_ONE = 50
"""References of one folder up to which each is asked for; of more the folder is listed, a thousand an answer."""

_THREADS = 16

SCHEMA = pa.schema(
    [
        ("uri", pa.string()),
        ("sha256", pa.string()),
        ("size", pa.int64()),
        ("modified", pa.timestamp("us", tz="UTC")),
        ("etag", pa.string()),
    ]
)

Stamp: TypeAlias = tuple[int, datetime, str]


@dataclass(frozen=True, slots=True)
class Stamped:
    """The digest of a reference's bytes, and its stamp at that time: nothing where it lies on the web."""

    sha256: str
    size: int | None = None
    modified: datetime | None = None
    etag: str | None = None

    @property
    def stamp(self) -> tuple[int | None, datetime | None, str | None]:
        return self.size, self.modified, self.etag


def stamps(stores: Stores, uris: Iterable[str]) -> dict[str, Stamp]:
    """The stamps of those references that have one now: what is gone, forbidden, on the web or its own address is left
    out.

    Raises:
        StorageError: a store does not answer.
    """
    folders: defaultdict[str, set[str]] = defaultdict(set)
    for uri in uris:
        if not (is_web(uri) or is_data(uri)):
            folders[uri.rpartition("/")[0]].add(uri)
    found: dict[str, Stamp] = {}
    few = [uri for members in folders.values() if len(members) <= ASKED_ONE_BY_ONE for uri in members]
    with ThreadPoolExecutor(_THREADS) as threads:
        found |= {
            uri: stamp
            for uri, stamp in zip(few, threads.map(lambda uri: _stamp(stores, uri), few), strict=True)
            if stamp
        }
    for folder, members in folders.items():
        if len(members) > ASKED_ONE_BY_ONE:
            found |= {uri: stamp for uri, stamp in _listed(stores, folder) if uri in members}
    return found


def _stamp(stores: Stores, uri: str) -> Stamp | None:
    try:
        entry = stores.entry(uri)
    except (RequestError, JobError, OSError):  # whoever needs the reference is told when it is read
        return None
    return (entry.size, entry.modified, entry.etag) if entry else None


def _listed(stores: Stores, folder: str) -> Iterable[tuple[str, Stamp]]:
    if folder.endswith("/"):  # a key with an empty part; the store that would be opened is another place
        return
    try:
        entries = stores.open(folder or "/").level()[1]
    except (Refusal, JobError):
        return
    for entry in entries:
        yield f"{folder}/{entry.path}", (entry.size, entry.modified, entry.etag)


def noted_as(uri: str) -> str:
    """The name under which a reference is noted: its URI, but what may be secret in a web address, its password or
    signature, stands there as a digest, and so does a picture that is its own address."""
    public = redacted(uri) if is_web(uri) else shown(uri) if is_data(uri) else uri
    return uri if public == uri else f"{public}#sha256:{hashlib.sha256(uri.encode()).hexdigest()}"


def read_stamped(store: Store) -> dict[str, Stamped]:
    """What a job's folder notes, by the references' names (`noted_as`); nothing where nothing there can be read."""
    try:
        table = pq.ParquetFile(pa.BufferReader(store.get(REFERENCES))).read().select(SCHEMA.names).cast(SCHEMA)
    except (FileNotFoundError, pa.ArrowException, KeyError, OSError):
        return {}
    uris, *columns = (column.to_pylist() for column in table.columns)
    return dict(zip(uris, map(Stamped, *columns), strict=True))


def write_stamped(store: Store, stamped: Mapping[str, Stamped]) -> None:
    """Replace what a job's folder notes, by the references' names (`noted_as`)."""
    columns = {name: [getattr(one, name) for one in stamped.values()] for name in SCHEMA.names[1:]}
    file = BytesIO()
    pq.write_table(pa.table({"uri": list(stamped), **columns}, schema=SCHEMA), file, compression="zstd")
    store.put(REFERENCES, file.getvalue(), PARQUET)
