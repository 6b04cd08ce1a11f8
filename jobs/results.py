"""Results: one row per request, appended while the job runs, in manifest order once it is closed.

A million rows are columns, and of those that earlier runs left a run keeps only the few that it looks at. Closing
reads all parts again, whole, and puts them in order column by column.

Parts are named `part-<sequence>-<run>-<number>.parquet`; the sequence is one more than any that was there when the
run began, so that "the last outcome counts" needs no clock. A closed job has the one part `part-000000.parquet`.
"""

import io
import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.store import Store
from cluster.timeline import STAGES
from cluster.unit import Outcome
from jobs.job import PARQUET, Job
from pipeline.checks.finding import FLAGGED
from pipeline.checks.spec import CHECKS
from pipeline.errors import JobError, StorageError

FOLDER = "results/"
CLOSED = f"{FOLDER}part-000000.parquet"
FLUSH_SEC = 5.0
DONE = ("succeeded", "cached")
STATUSES = ("succeeded", "cached", "failed", "rejected")

_RENDITION = [
    *((name, pa.string()) for name in ("name", "image")),
    *((name, pa.int32()) for name in ("width", "height")),
    ("format", pa.string()),
    ("bytes", pa.int64()),
    ("sha256", pa.string()),
]

SCHEMA = pa.schema(
    [
        ("custom_id", pa.string()),
        ("status", pa.string()),
        ("image", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("format", pa.string()),
        ("seed", pa.int64()),
        ("sha256", pa.string()),
        ("bytes", pa.int64()),
        ("render_key", pa.string()),
        ("finish_key", pa.string()),
        ("renditions", pa.list_(pa.struct(_RENDITION))),
        ("model", pa.string()),
        ("model_digest", pa.string()),
        ("device", pa.string()),
        ("attempts", pa.int32()),
        ("reseeds", pa.int32()),
        ("flags", pa.string()),
        ("findings", pa.string()),
        *((f"check_{name}", pa.string()) for name in CHECKS),
        *((f"check_{name}_score", pa.float64()) for name in CHECKS),
        ("likeness", pa.uint64()),
        ("seconds_encode", pa.float64()),
        ("seconds_denoise", pa.float64()),
        ("seconds_decode", pa.float64()),
        ("seconds_finish", pa.float64()),
        ("error_code", pa.string()),
        ("error_message", pa.string()),
        ("finished_at", pa.timestamp("ms", tz="UTC")),
    ]
)
"""Ours; the customer's columns follow."""

LOOKED_AT = (
    *("custom_id", "status", "image", "width", "height", "flags", "error_code", "error_message"),
    *(f"seconds_{stage}" for stage in STAGES[:-1]),
)
"""The columns that a run keeps in memory: what was done, where its picture is, how long it took."""

BUSY = b"pressrun.busy"
"""Under this name a part's metadata holds the run's busy shares at the time, as JSON: for `status` while it goes on."""

_THREADS = 8
_PART_ROWS = 65_536  # outcomes that wait at most: a million refused rows are never a million objects
_PART = re.compile(r"^results/part-(\d{6})(?:-[0-9a-f]+-\d+)?\.parquet$")


class Results:
    """The results of one job: what was there, what this run adds.

    `table` is the normalised manifest, whose customer's columns every result carries; `customer` names them. `busy`
    tells the run's busy shares, which every part takes along.
    """

    def __init__(self, store: Store, job: Job, table: pa.Table, customer: list[str]) -> None:
        self._store, self._job, self._table, self._customer = store, job, table, customer
        self.busy: Callable[[], dict[str, float]] = dict
        self._ids = table["custom_id"].combine_chunks()
        self._run = secrets.token_hex(4)
        self._number = 0
        self._waiting: list[Outcome] = []
        self._flushed = time.monotonic()
        parts = read_parts(store, LOOKED_AT)
        self._early: dict[str, str] = {}
        self._sequence = max((int(path.split("-")[1][:6]) for path in parts), default=-1) + 1
        self._closed = list(parts) == [CLOSED]
        self._disowned = np.zeros(table.num_rows, bool)
        self._last = pa.schema([SCHEMA.field(name) for name in LOOKED_AT]).empty_table()
        self._rows = np.zeros(0, np.int64)
        self._added = [shaped(part, self._last.schema) for part in parts.values() if part is not None]

    @property
    def last(self) -> pa.Table:
        """The outcome that counts of every request that has one, in manifest order: its columns `LOOKED_AT`."""
        if self._added:
            table = joined([self._last, *self._added], self._last.schema)
            places = places_that_count(self._rows_of(table), is_done(table), len(self._ids))
            self._rows = np.flatnonzero(places >= 0)
            self._last, self._added = _taken(table, places[self._rows]), []
        return self._last

    @property
    def settled(self) -> np.ndarray:
        """Which rows of the manifest are done, or rejected (judged by policy or quality) and left alone."""
        last = self.last
        settled = np.zeros(len(self._ids), bool)
        settled[self._rows[is_done(last) | _mask(pc.equal(last["status"], "rejected"))]] = True
        return settled

    @property
    def schema(self) -> pa.Schema:
        """Result columns, then the customer's as the manifest types them."""
        return pa.schema([*SCHEMA, *(self._table.schema.field(name).remove_metadata() for name in self._customer)])

    @property
    def changed(self) -> bool:
        """Whether anything was added, or an earlier run left more than the one part of a closed job."""
        return self._number > 0 or bool(self._waiting) or not self._closed

    def disown(self, pictures: pa.Array) -> None:
        """Forget successes whose picture is not among those that are there: a result is worth what its picture is."""
        last = self.last
        ours = pc.starts_with(last["image"], "images/").fill_null(False)
        gone = is_done(last) & _mask(ours) & ~_mask(pc.is_in(last["image"], pictures))
        if gone.any():
            self._disowned[self._rows[gone]] = True
            self._early = self._etags()
            self._last, self._rows = last.filter(pa.array(~gone)).combine_chunks(), self._rows[~gone]
            self._closed = False

    def add_new(self, outcomes: Iterable[Outcome]) -> None:
        """Append those that say something else than the last outcome of their row: a refused row is refused again at
        every run, which is no news."""
        last = self.last.select(["status", "error_message"])
        place = np.full(len(self._ids), -1)
        place[self._rows] = np.arange(last.num_rows)

        def said(row: int) -> tuple[str, str] | None:
            return tuple(column[place[row]].as_py() for column in last.columns) if place[row] >= 0 else None

        self.add(o for o in outcomes if o.status in DONE or said(o.row) != (o.status, o.error_message))

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Append; flushed when five seconds have passed, or many wait."""
        rest = iter(outcomes)
        while some := list(islice(rest, _PART_ROWS - len(self._waiting))):
            self._waiting.extend(some)
            if len(self._waiting) == _PART_ROWS:
                self.flush()
        if self._waiting and time.monotonic() - self._flushed >= FLUSH_SEC:
            self.flush()

    def flush(self) -> None:
        """Write what waits as one more part."""
        self._flushed = time.monotonic()
        if not self._waiting:
            return
        self._append(self._as_table(self._waiting))
        self._waiting = []

    def keep(self, rows: np.ndarray, found: pa.Table) -> None:
        """Append, as one part, outcomes of an earlier job as those of the manifest's `rows`: their pictures are kept,
        their rejections stand. `found` has our columns, `image` as it is to be called here."""
        if not len(rows):
            return
        taken = pa.array(rows, pa.int64())
        table = self._table.select(["custom_id", *self._customer]).take(taken)
        rejected = pc.equal(found["status"], "rejected")
        ours: dict[str, object] = {name: table[name] for name in table.column_names}
        ours["status"] = pc.if_else(rejected, "rejected", "cached")
        ours["attempts"] = [0] * len(rows)
        ours["finished_at"] = [datetime.now(UTC)] * len(rows)
        ours |= {f"seconds_{stage}": pa.nulls(len(rows), pa.float64()) for stage in STAGES}
        columns = {name: ours[name] if name in ours else found[name] for name in self.schema.names}
        self._append(pa.table(columns, schema=self.schema))

    def _append(self, table: pa.Table) -> None:
        path = f"{FOLDER}part-{max(1, self._sequence):06d}-{self._run}-{self._number:06d}.parquet"
        self._store.put(path, _parquet(table.replace_schema_metadata({BUSY: json.dumps(self.busy())})), PARQUET)
        self._added.append(table.select(LOOKED_AT))
        self._number += 1

    def close(self, judge: Callable[[pa.Table], pa.Table] = lambda table: table) -> pa.Table:
        """All outcomes in manifest order, one row per request, as the one part; the others are removed after it.

        `judge` says the last word on them, with all of them before it.
        """
        self.flush()
        pa.default_memory_pool().release_unused()  # what checking the manifest took is given back first
        parts = read_parts(self._store)  # another driver's too
        paths = list(parts)
        busy = {BUSY: json.dumps(self.busy() or busy_shares(*parts.values()))}
        table = joined([part for part in parts.values() if part is not None], self.schema)
        lengths = [0 if part is None else part.num_rows for part in parts.values()]
        del parts
        now = self._etags() if self._early else {}
        early = np.repeat([self._early.get(path, "") == now.get(path) for path in paths], lengths)
        rows, done = self._rows_of(table), is_done(table)
        rows[early & done & self._disowned[rows]] = -1
        places = places_that_count(rows, done, len(self._ids))
        taken, columns = pa.array(places[places >= 0]), table.columns
        del table
        for number in range(len(columns)):
            columns[number] = columns[number].take(taken)  # one by one: a million rows are not held twice
        table = judge(pa.table(columns, schema=self.schema)).replace_schema_metadata(busy)
        self._store.put(CLOSED, _parquet(table), PARQUET)
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(self._store.delete, [path for path in paths if path != CLOSED]))
        return table

    def pictures(self, columns: Sequence[str]) -> tuple[np.ndarray, pa.Table]:
        """The outcomes that count of all pictures that are there, another driver's too: the manifest's row of each,
        ascending, and some of their columns."""
        self.flush()
        schema = pa.schema([SCHEMA.field(name) for name in columns])
        table = joined([part for part in read_parts(self._store, columns).values() if part is not None], schema)
        places = places_that_count(self._rows_of(table), is_done(table), len(self._ids))
        there = np.flatnonzero(places >= 0)
        taken = _taken(table, places[there])
        done = is_done(taken)
        return there[done], taken.filter(pa.array(done))

    def _etags(self) -> dict[str, str]:
        """What tells a part from another of the same name: a driver that closes the job replaces `CLOSED`."""
        return {entry.path: entry.etag for entry in self._store.list(FOLDER)}

    def _rows_of(self, table: pa.Table) -> np.ndarray:
        """The manifest's row of each outcome, -1 for one that the manifest does not know."""
        return pc.index_in(table["custom_id"], self._ids).fill_null(-1).to_numpy().astype(np.int64)

    def _as_table(self, outcomes: list[Outcome]) -> pa.Table:
        rows = pa.array([outcome.row for outcome in outcomes], pa.int64())
        count = len(outcomes)
        done = [outcome.status in DONE for outcome in outcomes]
        now = datetime.now(UTC)
        columns: dict[str, object] = {
            name: [getattr(outcome, name) for outcome in outcomes]
            for name in (
                *("custom_id", "status", "image", "width", "height", "sha256", "bytes", "render_key", "finish_key"),
                *("device", "attempts", "likeness", "error_code", "error_message"),
            )
        }
        columns["format"] = [self._job.format if good else None for good in done]
        columns["renditions"] = [list(map(asdict, outcome.renditions)) or None for outcome in outcomes]
        columns["seed"] = pc.coalesce(pa.array([o.seed for o in outcomes], pa.int64()), self._table["seed"].take(rows))
        columns |= _checked(outcomes)
        columns["model"] = [self._job.model] * count
        columns["model_digest"] = [self._job.model_digest] * count
        columns["finished_at"] = [outcome.finished_at or now for outcome in outcomes]
        for stage in STAGES:
            columns[f"seconds_{stage}"] = [outcome.seconds.get(stage) for outcome in outcomes]
        for name in self._customer:
            columns[name] = self._table[name].take(rows)
        return pa.table(columns, schema=self.schema)


def _checked(outcomes: Sequence[Outcome]) -> dict[str, list[Any]]:
    """What the checks said, by column: null where none was made."""
    columns: dict[str, list[Any]] = {name: [] for name in ("reseeds", "flags", "findings")}
    columns |= {f"check_{name}{what}": [] for name in CHECKS for what in ("", "_score")}
    for outcome in outcomes:
        found = {finding.check: finding for finding in outcome.findings}
        flags = [finding.check for finding in outcome.findings if finding.verdict == FLAGGED]
        said = [*outcome.tried, *(finding.message for finding in outcome.findings if finding.message)]
        columns["reseeds"].append(outcome.reseeds if found or outcome.reseeds else None)
        columns["flags"].append(", ".join(flags) or None)
        columns["findings"].append("\n".join(said) or None)
        for name in CHECKS:
            columns[f"check_{name}"].append(found[name].verdict if name in found else None)
            columns[f"check_{name}_score"].append(found[name].score if name in found else None)
    return columns


def places_that_count(requests: np.ndarray, done: np.ndarray, count: int) -> np.ndarray:
    """For each of `count` requests the place of the outcome that counts, -1 if there is none: a picture that is there
    counts more than any failure, else the later outcome.

    `requests` says for every outcome, in the order in which they came, which request it is of (-1: of none), `done`
    whether its picture is there.
    """
    known = np.flatnonzero(requests >= 0)
    weights = np.full(count, -1)
    np.maximum.at(weights, requests[known], known + len(requests) * done[known])
    return np.where(weights >= len(requests), weights - len(requests), weights)


def is_done(results: pa.Table) -> np.ndarray:
    """Which outcomes are those of a picture that is there."""
    return _mask(pc.is_in(results["status"], pa.array(DONE)))


def read_parts(store: Store, columns: Sequence[str] | None = None) -> dict[str, pa.Table | None]:
    """Every part by its path, those that count more later; None for one that is damaged. `columns`: only these.

    A driver that closes the job removes parts while we read; then what there is now is read instead.
    Raises StorageError where a part is listed and listed again but cannot be had.
    """
    before: list[str] = []
    with ThreadPoolExecutor(_THREADS) as threads:
        while True:
            paths = sorted(path for path in store.paths(FOLDER) if _PART.match(path))
            try:
                return dict(zip(paths, threads.map(lambda path: _part(store.get(path), columns), paths), strict=True))
            except FileNotFoundError:
                if paths == before:
                    raise StorageError(f"{store.uri}/{FOLDER} lists a part that is not there; remove it.") from None
                before = paths


def _part(data: bytes, columns: Sequence[str] | None) -> pa.Table | None:
    try:  # not `pq.read_table`, which has columns of its own called `__filename` …
        file = pq.ParquetFile(pa.BufferReader(data))
        there = set(file.schema_arrow.names)
        return file.read([name for name in columns if name in there] if columns else None)
    except (pa.ArrowException, OSError):
        return None


def read_results(store: Store, columns: Sequence[str]) -> pa.Table:
    """The outcomes that count of whatever job is in the store, for commands that only look: some of our columns, and
    what `busy_shares` reads from them.

    Raises:
        JobError: a part is damaged.
    """
    parts = read_parts(store, sorted({"custom_id", "status", *columns}))
    damaged = [path for path, part in parts.items() if part is None]
    if damaged:
        raise JobError(f"{store.uri}/{damaged[0]} is damaged; render again: what it held is read from the pictures.")
    schema = pa.schema([field for field in SCHEMA if field.name in ("custom_id", "status", *columns)])
    table = joined([part for part in parts.values() if part is not None], schema)
    table = table.replace_schema_metadata({BUSY: json.dumps(busy_shares(*parts.values()))})
    requests = table["custom_id"].combine_chunks().dictionary_encode()
    rows = requests.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return _taken(table, np.sort(places_that_count(rows, is_done(table), len(requests.dictionary))))


def busy_shares(*parts: pa.Table | None) -> dict[str, float]:
    """The busy shares that the latest of these parts tells of; empty where none does."""
    told = [part.schema.metadata[BUSY] for part in parts if part is not None and BUSY in (part.schema.metadata or {})]
    return next(filter(None, map(json.loads, reversed(told))), {})


def joined(parts: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    """All parts as one table of `schema`."""
    return pa.concat_tables([schema.empty_table(), *(shaped(part, schema) for part in parts)])


def shaped(part: pa.Table, schema: pa.Schema) -> pa.Table:
    """A part with the columns of `schema`: those that it lacks, because an older version wrote it, are null."""
    for field in schema:
        if field.name not in part.schema.names:
            part = part.append_column(field, pa.nulls(part.num_rows, field.type))
    return part.select(schema.names).cast(schema)


def _taken(table: pa.Table, places: np.ndarray) -> pa.Table:
    """The rows at `places`; the table itself if that is all of them in their order, as in a closed job."""
    if len(places) == table.num_rows and bool((np.diff(places, prepend=-1) == 1).all()):
        return table.combine_chunks()
    return table.take(pa.array(places))


def _mask(column: pa.ChunkedArray) -> np.ndarray:
    return column.to_numpy(zero_copy_only=False)


def _parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()
