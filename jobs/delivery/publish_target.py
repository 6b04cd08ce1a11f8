"""A published place: where a shop's pictures stand under their stable names, and what is written down about it.

The records lie where nobody serves (see `jobs.delivery.records_place`). They are what undoing needs, too:

    place.json                     of which place they are
    published.parquet              what was published here: names, digests, etags, and of which row
    pending.json                   a publication, or its undoing, that has begun and not ended
    undo/000012-…/undo.parquet     what a publication did, each name with what stood there before
    undo/000012-…/images/…         copies of the pictures that it replaced or removed
    undo/000012-…/published.parquet   what was published before it
    lock/                          lets one publication happen at a time
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pressrun.cluster.store.store import Opener, Store, never
from pressrun.cluster.store.uri import real_uri
from pressrun.jobs.delivery.records_place import beside, check_owner, claim, find_records, old_records, own
from pressrun.jobs.folder.job_file import PARQUET
from pressrun.jobs.folder.result_schema import shaped
from pressrun.pipeline.errors import JobError, StorageError
from pressrun.pipeline.finishing.codec import FORMATS, content_type, extension

UNDO = "undo/"
UNDO_FILE = "undo.parquet"
RECORD = "published.parquet"
PENDING = "pending.json"
UNDOS_KEPT = 7
"""Publications that can be undone, one after the other; older copies are removed."""

SCHEMA = pa.schema([(name, pa.string()) for name in ("name", "sha256", "etag", "custom_id")])

ACTIONS = pa.schema(
    [
        *((name, pa.string()) for name in ("name", "action", "sha256", "custom_id", "source", "former_etag")),
        ("bytes", pa.int64()),
    ]
)
"""`action` is add, replace or remove; `source` the URI of the new picture, `sha256` and `bytes` what it is to have,
`former_etag` that of what stood there."""

BEFORE, DONE, FORMER, FOREIGN = "before", "done", "former", "foreign"
"""What stands under an action's name: what stood there before it, what it put there (or nothing, if it removed), what
an undoing put back, or somebody else's (or nothing, if somebody removed it)."""

_PIECE = 65_536
_TYPES = {extension(format): content_type(format) for format in FORMATS}
_NUMBERED = re.compile(r"[0-9]{6}-")


class PublishedPlace:
    """The place at `to`, whatever name it goes by. `records` is where its records shall lie, if it has none yet and
    they shall not lie beside the nights of `job`. Before every change of the records `fence` is called.

    Raises JobError where one of the two cannot be a store, or the records would be served or are another place's.
    """

    def __init__(self, stores: Opener, to: str, job: str, records: str | None = None) -> None:
        self.store = stores.open(real_uri(to))
        self._asked = records
        self.records = stores.open(find_records(stores, self.store.uri, real_uri(job), records))
        self.fence: Callable[[], None] = never
        self._folds = False
        check_owner(self.records, self.store.uri)

    def as_it_is(self) -> None:
        """Read what is there and move nothing, as a dry run does."""
        if old := old_records(self.records, self.store.uri):
            self.records = old

    def prepare(self) -> None:
        """Make both usable, before the pointer to the records is put. Raises JobError with what is in the way."""
        self.store.prepare()
        self._prepare_records()
        records = claim(self.records, self.store.uri, bool(self._asked))
        if records.uri != self.records.uri:  # another publisher was faster
            self.records = records
            self._prepare_records()

    def _prepare_records(self) -> None:
        try:
            self.records.prepare()
        except JobError as error:
            more = f"The records of what is published at {self.store.uri} go there; `records` names another place."
            raise JobError(*error.problems, more, code="bad_place") from None

    def begin_alone(self, fence: Callable[[], None]) -> None:
        """Begin to change the records, whose lease is held as long as `fence` does not raise."""
        self.fence = fence
        check_owner(self.records, self.store.uri)
        own(self.records, self.store.uri, fence)

    def listed(self, spelled: pa.Array) -> pa.Table:
        """The names and etags of everything that stands in the place. Where its names do not differ in case, they are
        written as in `spelled`."""
        inside = beside(self.store.uri).removeprefix(f"{self.store.uri}/") + "/"
        entries = (entry for entry in self.store.list() if not entry.path.startswith(inside))
        pieces = [pa.table({"name": [], "etag": []}, schema=pa.schema([SCHEMA.field("name"), SCHEMA.field("etag")]))]
        while piece := list(islice(entries, _PIECE)):
            columns = {"name": [entry.path for entry in piece], "etag": [entry.etag for entry in piece]}
            pieces.append(pa.table(columns, schema=pieces[0].schema))
        found = pa.concat_tables(pieces).combine_chunks()
        self._folds = self._folds or self._folds_case(found["name"])
        return self.respelled(found, spelled)

    def record(self, path: str = RECORD) -> pa.Table:
        """What was published; nothing where nothing is written down. Raises JobError if it is damaged."""
        try:
            return pq.ParquetFile(pa.BufferReader(self.records.get(path))).read(SCHEMA.names).cast(SCHEMA)
        except FileNotFoundError:
            return SCHEMA.empty_table()
        except (pa.ArrowException, OSError):
            raise JobError(
                f"{self.records.uri}/{path} is damaged; remove it: everything is published anew.", code="damaged_job"
            ) from None

    def write_record(self, record: pa.Table) -> None:
        """Replace what is written down as published."""
        self._write(RECORD, _parquet(record), PARQUET)

    def pending(self) -> dict[str, Any]:
        """The publication or undoing that has begun and not ended; empty if there is none.

        One that somebody else has undone to its end since it was written down, by a process that was stopped just
        then, is none: it is forgotten.
        """
        try:
            pending = dict(json.loads(self.records.get(PENDING)))
        except FileNotFoundError:
            return {}
        except ValueError:
            raise JobError(f"{self.records.uri}/{PENDING} is damaged; remove it.", code="damaged_job") from None
        folder = f"{UNDO}{pending['undo']}/"
        file = f"{folder}{UNDO_FILE}"
        if self.records.head(file) is not None or file in self.records.paths(folder):  # two answers, not one
            return pending
        self.end()
        return {}

    def begin(self, **what: Any) -> None:
        """Write down that something begins."""
        self._write(PENDING, json.dumps(what).encode(), "application/json")

    def end(self) -> None:
        """Write down that it has ended."""
        self.records.delete(PENDING, fence=self.fence)

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
        number = max((int(name[:6]) for name in there if _NUMBERED.match(name)), default=0) + 1
        name = f"{number:06d}-" + re.sub(r"[^A-Za-z0-9._-]", "-", job.rpartition("/")[2])[:80]
        if self.records.head(f"{UNDO}{name}/{UNDO_FILE}") is not None:
            raise StorageError(
                f"The listing of {self.records.uri}/{UNDO} lacks {name}, which is there; try again later."
            )
        return name

    def backup(self, undo: str, name: str) -> str:
        """Where a picture that is replaced or removed is kept."""
        return f"{UNDO}{undo}/images/{name}"

    def write_undo(self, undo: str, actions: pa.Table, job: str) -> None:
        """Write what is going to be done, and what was published before it."""
        before = _parquet(self.record())
        self._write(f"{UNDO}{undo}/{RECORD}", before, PARQUET)
        about = {"place": self.store.uri, "job": job}
        path, data = f"{UNDO}{undo}/{UNDO_FILE}", _parquet(actions.replace_schema_metadata(about))
        self.fence()
        if not self.records.create(path, data, PARQUET) and self.records.get(path) != data:
            raise StorageError(f"Somebody else publishes to {self.store.uri} just now; run it again.")

    def actions(self, undo: str) -> pa.Table:
        """As `read_actions`."""
        return read_actions(self.records, undo)

    def forget(self, undo: str) -> None:
        """Remove what is kept for undoing a publication; it cannot be undone any more."""
        self.records.delete(f"{UNDO}{undo}/{UNDO_FILE}", fence=self.fence)
        paths = list(self.records.paths(f"{UNDO}{undo}/"))
        for path in paths:
            self.records.delete(path, fence=self.fence)
        self.records.sweep(paths or [f"{UNDO}{undo}/{UNDO_FILE}"])

    def tidy(self) -> None:
        """Remove copies of publications that never began, and of those that are too old to be undone.

        Raises:
            StorageError: the store failed, or says of a publication now that it began and now that it never did.
        """
        whole = self.undos()
        for number in self.records.level(UNDO[:-1])[0]:
            if _NUMBERED.match(number) and number not in whole[-UNDOS_KEPT:]:
                path = f"{UNDO}{number}/{UNDO_FILE}"
                if number not in whole and path in self.records.paths(path):
                    raise StorageError(f"{self.records.uri}/{path} is listed but cannot be had; try again later.")
                self.forget(number)

    def _write(self, path: str, data: bytes, content_type: str) -> None:
        self.fence()
        self.records.put(path, data, content_type)

    def _folds_case(self, names: pa.ChunkedArray) -> bool:
        """Whether the place takes names for one that differ in case only, as the first name with a letter shows."""
        there = set(names.to_pylist()[:_PIECE])
        name = next((name for name in sorted(there) if name.swapcase() not in there), None)
        if name is None or self.store.uri.startswith("s3://"):
            return False
        one, other = self.store.head(name), self.store.head(name.swapcase())
        return one is not None and other is not None and one.etag == other.etag

    def respelled(self, table: pa.Table, spelled: pa.Array) -> pa.Table:
        """A table with its names as `spelled` has them, where the place takes both for one name."""
        if not self._folds:
            return table
        known = {_folded(name): name for name in spelled.to_pylist()}
        names = [known.get(_folded(name), name) for name in table["name"].to_pylist()]
        return table.set_column(table.schema.get_field_index("name"), "name", pa.array(names, pa.string()))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def read_actions(records: Store, undo: str) -> pa.Table:
    """What a publication does, with its place and job as metadata.

    Raises JobError if that cannot be read.
    """
    path = f"{UNDO}{undo}/{UNDO_FILE}"
    try:
        table = pq.ParquetFile(pa.BufferReader(records.get(path))).read()
    except (FileNotFoundError, ValueError, pa.ArrowException, OSError):
        raise JobError(f"{records.uri}/{path} is no publication that can be undone.", code="bad_file") from None
    return shaped(table, ACTIONS).replace_schema_metadata(
        table.schema.metadata
    )  # before version 0.2 no sizes were told


def content_type_of(name: str) -> str:
    """What a picture of that name is served as."""
    return _TYPES.get(name.rpartition(".")[2], "application/octet-stream")


def recorded(record: pa.Table, done: pa.Table) -> pa.Table:
    """A record after actions that are done; `done` has their names, actions, digests, rows and the etags of now."""
    others = record.filter(pc.invert(pc.is_in(record["name"], done["name"].combine_chunks())))
    there = done.filter(pc.not_equal(done["action"], "remove"))
    return pa.concat_tables([others, there.select(SCHEMA.names).cast(SCHEMA)])


def interrupted(place: PublishedPlace, pending: dict[str, Any]) -> JobError:
    """The refusal of anything else as long as an undoing is half done."""
    uri = f"{place.records.uri}/{UNDO}{pending['undo']}/{UNDO_FILE}"
    return JobError(
        f"Undoing was interrupted at {place.store.uri}; finish it first: pressrun publish `undo` {uri}",
        code="interrupted",
    )


def pieces(table: pa.Table, rows: int = 256) -> Iterator[list[dict[str, Any]]]:
    """A table's rows as objects, a few hundred at a time."""
    for batch in table.to_batches(max_chunksize=rows):
        yield batch.to_pylist()


def _parquet(table: pa.Table) -> bytes:
    file = BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()
