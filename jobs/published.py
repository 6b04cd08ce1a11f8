"""A published place: where a shop's pictures stand under their stable names, and what is written down about it.

The records lie beside the place, never in it (`images.pressrun/` beside `images/`), because what stands in the place
is the shop's to serve. They are what undoing needs, too:

    published.parquet              what was published here: names, digests, etags, and of which row
    pending.json                   a publication, or its undoing, that has begun and not ended
    undo/000012-…/undo.parquet     what a publication did, each name with what stood there before
    undo/000012-…/images/…         copies of the pictures that it replaced or removed
    undo/000012-…/published.parquet   what was published before it
    lock/                          lets one publication happen at a time
"""

import json
import re
from collections.abc import Iterator
from io import BytesIO
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.store import open_store
from jobs.job import PARQUET
from pipeline.errors import JobError

UNDO = "undo/"
UNDO_FILE = "undo.parquet"
RECORD = "published.parquet"
PENDING = "pending.json"
LOCK = "lock"

UNDOS_KEPT = 7
"""Publications that can be undone, one after the other; older copies are removed."""

SCHEMA = pa.schema([(name, pa.string()) for name in ("name", "sha256", "etag", "custom_id")])

ACTIONS = pa.schema(
    [(name, pa.string()) for name in ("name", "action", "sha256", "custom_id", "source", "former_etag")]
)
"""`action` is add, replace or remove; `source` the URI of the new picture, `former_etag` that of what stood there."""

_PIECE = 65_536


class PublishedPlace:
    """The place at `to`; `records` is where its records lie, if not beside it.

    Raises JobError where one of the two cannot be a store.
    """

    def __init__(self, to: str, records: str | None = None) -> None:
        self.store = open_store(to)
        self.records = open_store(records or beside(self.store.uri))

    def check_records(self) -> None:
        """Raise JobError where the records would be served; those of a whole bucket can only lie in it."""
        place, records = self.store.uri, self.records.uri
        if f"{records}/".startswith(f"{place}/") and records != beside(place):
            problem = f"--records {records} is in the place that is served, {place}"
            raise JobError(f"{problem}; name another, or leave it out: {beside(place)}.")

    def prepare(self) -> None:
        """Make both usable. Raises JobError with what is in the way."""
        self.store.prepare()
        try:
            self.records.prepare()
        except JobError as error:
            more = f"The records of what is published at {self.store.uri} go there; --records names another place."
            raise JobError(*error.problems, more) from None

    def listed(self) -> pa.Table:
        """The names and etags of everything that stands in the place."""
        inside = self.records.uri.removeprefix(f"{self.store.uri}/") + "/"
        entries = (entry for entry in self.store.list() if not entry.path.startswith(inside))
        pieces = [pa.table({"name": [], "etag": []}, schema=pa.schema([SCHEMA.field("name"), SCHEMA.field("etag")]))]
        while piece := list(islice(entries, _PIECE)):
            columns = {"name": [entry.path for entry in piece], "etag": [entry.etag for entry in piece]}
            pieces.append(pa.table(columns, schema=pieces[0].schema))
        return pa.concat_tables(pieces).combine_chunks()

    def record(self, path: str = RECORD) -> pa.Table:
        """What was published; nothing where nothing is written down.

        Raises JobError if it is damaged.
        """
        try:
            return pq.ParquetFile(pa.BufferReader(self.records.get(path))).read(SCHEMA.names).cast(SCHEMA)
        except FileNotFoundError:
            return SCHEMA.empty_table()
        except (pa.ArrowException, OSError):
            raise JobError(f"{self.records.uri}/{path} is damaged; remove it: everything is published anew.") from None

    def write_record(self, record: pa.Table) -> None:
        """Replace what is written down as published."""
        self.records.put(RECORD, _parquet(record), PARQUET)

    def pending(self) -> dict[str, Any]:
        """The publication or undoing that has begun and not ended; empty if there is none."""
        try:
            return dict(json.loads(self.records.get(PENDING)))
        except FileNotFoundError:
            return {}
        except ValueError:
            raise JobError(f"{self.records.uri}/{PENDING} is damaged; remove it.") from None

    def begin(self, **what: Any) -> None:
        """Write down that something begins."""
        self.records.put(PENDING, json.dumps(what).encode(), "application/json")

    def end(self) -> None:
        """Write down that it has ended."""
        self.records.delete(PENDING)

    def undos(self) -> list[str]:
        """The publications that can be undone, the oldest first; what was never begun is removed on the way."""
        whole = []
        for number in self.records.level(UNDO[:-1])[0]:
            if self.records.head(f"{UNDO}{number}/{UNDO_FILE}") is not None:
                whole.append(number)
        return whole

    def next_undo(self, job: str) -> str:
        """A name for one more; names count up."""
        there = self.records.level(UNDO[:-1])[0]
        number = max((int(name[:6]) for name in there if re.match(r"\d{6}-", name)), default=0) + 1
        return f"{number:06d}-" + re.sub(r"[^A-Za-z0-9._-]", "-", job.rpartition("/")[2])[:80]

    def backup(self, undo: str, name: str) -> str:
        """Where a picture that is replaced or removed is kept."""
        return f"{UNDO}{undo}/images/{name}"

    def write_undo(self, undo: str, actions: pa.Table, job: str) -> None:
        """Write what is going to be done, and what was published before it."""
        before = _parquet(self.record())
        self.records.put(f"{UNDO}{undo}/{RECORD}", before, PARQUET)
        about = {"place": self.store.uri, "job": job}
        self.records.put(f"{UNDO}{undo}/{UNDO_FILE}", _parquet(actions.replace_schema_metadata(about)), PARQUET)

    def actions(self, undo: str) -> pa.Table:
        """What a publication does, with its place and job as metadata.

        Raises JobError if that cannot be read.
        """
        path = f"{UNDO}{undo}/{UNDO_FILE}"
        try:
            return pq.ParquetFile(pa.BufferReader(self.records.get(path))).read()
        except (FileNotFoundError, pa.ArrowException, OSError):
            raise JobError(f"{self.records.uri}/{path} is no publication that can be undone.") from None

    def forget(self, undo: str) -> None:
        """Remove what is kept for undoing a publication; it cannot be undone any more."""
        self.records.delete(f"{UNDO}{undo}/{UNDO_FILE}")
        for path in list(self.records.paths(f"{UNDO}{undo}/")):
            self.records.delete(path)

    def tidy(self) -> None:
        """Remove copies of publications that never began, and of those that are too old to be undone."""
        whole = self.undos()
        for number in self.records.level(UNDO[:-1])[0]:
            if number not in whole[-UNDOS_KEPT:]:
                self.forget(number)


def beside(uri: str) -> str:
    """Where the records of a place lie: beside it, or in it where it is a whole bucket."""
    return f"{uri}/.pressrun" if re.fullmatch("s3://[^/]+", uri) else f"{uri}.pressrun"


def applied(actions: pa.Table, listed: pa.Table) -> pa.Array:
    """Which of the actions are done, as far as the place shows: a name that has another etag than before, or none."""
    now = (
        listed["etag"]
        .combine_chunks()
        .take(pc.index_in(actions["name"].combine_chunks(), listed["name"].combine_chunks()))
    )
    gone = pc.and_(pc.equal(actions["action"].combine_chunks(), "remove"), pc.is_null(now))
    changed = pc.not_equal(now, actions["former_etag"].combine_chunks().fill_null("")).fill_null(False)
    there = pc.and_(pc.not_equal(actions["action"].combine_chunks(), "remove"), changed)
    return pc.or_(gone, there)


def recorded(record: pa.Table, done: pa.Table) -> pa.Table:
    """A record after actions that are done; `done` has their names, actions, digests, rows and the etags of now."""
    others = record.filter(pc.invert(pc.is_in(record["name"], done["name"].combine_chunks())))
    there = done.filter(pc.not_equal(done["action"], "remove"))
    return pa.concat_tables([others, there.select(SCHEMA.names).cast(SCHEMA)])


def pieces(table: pa.Table, rows: int = 256) -> Iterator[list[dict[str, Any]]]:
    """A table's rows as objects, a few hundred at a time."""
    for batch in table.to_batches(max_chunksize=rows):
        yield batch.to_pylist()


def _parquet(table: pa.Table) -> bytes:
    file = BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()
