"""Results: one row per request, appended while the job runs, in manifest order once it is closed.

A million rows are columns, and of those that earlier runs left a run keeps only the few that it looks at. Closing
reads all parts (`jobs.folder.result_schema`) again, whole, and puts them in order column by column.
"""

import contextlib
import io
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pressrun.cluster.protocol.unit import Outcome
from pressrun.cluster.scheduling.timeline import STAGES
from pressrun.cluster.store.opening import stored_record
from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.job_file import PARQUET, Job
from pressrun.jobs.folder.result_schema import (
    CLOSED,
    DONE,
    FOLDER,
    SCHEMA,
    THREADS,
    busy_shares,
    is_done,
    joined,
    mask,
    part_metadata,
    places_that_count,
    read_parts,
    shaped,
    taken,
)
from pressrun.jobs.results.outcome_rows import rows_of

FLUSH_SEC = 5.0

LOOKED_AT = (
    *("custom_id", "status", "image", "width", "height", "flags", "error_code", "error_message"),
    *(f"seconds_{stage}" for stage in STAGES[:-1]),
)
"""The columns that a run keeps in memory: what was done, where its picture is, how long it took."""

_PART_ROWS = 65_536  # outcomes that wait at most: a million refused rows are never a million objects


class Results:
    """The results of one job: what was there, what this run adds.

    `table` is the normalised manifest, whose customer's columns every result carries; `customer` names them. `busy`
    tells the run's busy shares, which every part takes along. `replaced`: see `outcome_rows.rows_of`.
    """

    def __init__(
        self, store: Store, job: Job, table: pa.Table, customer: list[str], replaced: Mapping[int, str] | None = None
    ) -> None:
        self._store, self._job, self._table, self._customer = store, job, table, customer
        self._replaced = replaced or {}
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
            self._last, self._added = taken(table, places[self._rows]), []
        return self._last

    @property
    def settled(self) -> np.ndarray:
        """Which rows of the manifest are done, or rejected (judged by policy or quality) and left alone."""
        last = self.last
        settled = np.zeros(len(self._ids), bool)
        settled[self._rows[is_done(last) | mask(pc.equal(last["status"], "rejected"))]] = True
        return settled

    @property
    def schema(self) -> pa.Schema:
        """Result columns, then the customer's as the manifest types them."""
        return pa.schema([*SCHEMA, *(self._table.schema.field(name).remove_metadata() for name in self._customer)])

    @property
    def changed(self) -> bool:
        """Whether anything was added, or an earlier run left more than the one part of a closed job."""
        return self._number > 0 or bool(self._waiting) or not self._closed

    def discard_missing(self, pictures: pa.Array) -> None:
        """Forget successes whose picture is not among those that are there: a result is worth what its picture is."""
        last = self.last
        ours = pc.starts_with(last["image"], "images/").fill_null(False)
        gone = is_done(last) & mask(ours) & ~mask(pc.is_in(last["image"], pictures))
        self.forget(self._rows[gone])

    def forget(self, rows: np.ndarray) -> None:
        """Forget the outcomes that earlier runs left of `rows`."""
        last = self.last
        gone = np.isin(self._rows, rows)
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
        about = (self._job, self._table, self._customer, self.schema, self._replaced)
        self._append(rows_of(self._waiting, *about))
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
        self._store.put(path, _parquet(table.replace_schema_metadata(part_metadata(self.busy()))), PARQUET)
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
        metadata = part_metadata(self.busy() or busy_shares(*parts.values()))
        table = joined([part for part in parts.values() if part is not None], self.schema)
        lengths = [0 if part is None else part.num_rows for part in parts.values()]
        del parts
        now = self._etags() if self._early else {}
        early = np.repeat([self._early.get(path, "") == now.get(path) for path in paths], lengths)
        rows, done = self._rows_of(table), is_done(table)
        rows[early & done & self._disowned[rows]] = -1
        places = self._places(table, rows, done)
        table = _with_later_seeds(table, rows, done, places)
        taken, columns = pa.array(places[places >= 0]), table.columns
        del table
        for number in range(len(columns)):
            columns[number] = columns[number].take(taken)  # one by one: a million rows are not held twice
        table = judge(pa.table(columns, schema=self.schema)).replace_schema_metadata(metadata)
        self._store.put(CLOSED, _parquet(table), PARQUET)
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(self._store.delete, [path for path in paths if path != CLOSED]))
        return table

    def pictures(self, columns: Sequence[str]) -> tuple[np.ndarray, pa.Table]:
        """The outcomes that count of all pictures that are there, another driver's too: the manifest's row of each,
        ascending, and some of their columns."""
        self.flush()
        wanted = [*dict.fromkeys(("custom_id", "status", "image", "render_key", *columns))]
        schema = pa.schema([SCHEMA.field(name) for name in wanted])
        table = joined([part for part in read_parts(self._store, wanted).values() if part is not None], schema)
        places = self._places(table, self._rows_of(table), is_done(table))
        there = np.flatnonzero(places >= 0)
        pictures = taken(table, places[there])
        done = is_done(pictures)
        return there[done], pictures.filter(pa.array(done))

    def _places(self, table: pa.Table, rows: np.ndarray, done: np.ndarray) -> np.ndarray:
        """As `places_that_count`; but of a row with pictures of several seeds (a repetition that was tried again) the
        one that stands under its name counts, since two drivers' parts say nothing of which of them came later."""
        places = places_that_count(rows, done, len(self._ids))
        known = np.flatnonzero((rows >= 0) & done)
        ours = known[np.bincount(rows[known], minlength=len(self._ids))[rows[known]] > 1]
        ours = ours[mask(pc.starts_with(table["image"].take(pa.array(ours)), "images/").fill_null(False))]
        told = table.select(["image", "render_key"]).take(pa.array(ours)).to_pylist()
        renders: dict[str, set[str]] = {}
        for one in told:
            renders.setdefault(one["image"], set()).add(one["render_key"])
        paths = [path for path, keys in renders.items() if len(keys) > 1]
        with ThreadPoolExecutor(THREADS) as threads:
            standing = dict(zip(paths, threads.map(self._render_at, paths), strict=True))
        for place, one in zip(ours.tolist(), told, strict=True):
            if standing.get(one["image"]) == one["render_key"]:
                places[rows[place]] = place
        return places

    def _render_at(self, path: str) -> str:
        """The render key of the picture that stands at a path; empty where there is none that says so."""
        with contextlib.suppress(FileNotFoundError):
            if record := stored_record(self._store, path, self._job.format):
                return record.render_key
        return ""

    def _etags(self) -> dict[str, str]:
        """What tells a part from another of the same name: a driver that closes the job replaces `CLOSED`."""
        return {entry.path: entry.etag for entry in self._store.list(FOLDER)}

    def _rows_of(self, table: pa.Table) -> np.ndarray:
        """The manifest's row of each outcome, -1 for one that the manifest does not know."""
        return np.asarray(pc.index_in(table["custom_id"], self._ids).fill_null(-1).to_numpy(), np.int64)


def _with_later_seeds(table: pa.Table, rows: np.ndarray, done: np.ndarray, places: np.ndarray) -> pa.Table:
    """Where a repetition's next seed was rejected its picture stands still; its findings tell of that seed as well."""
    reseeds = table["reseeds"].combine_chunks().fill_null(0).to_numpy(zero_copy_only=False)
    rejected = np.flatnonzero((rows >= 0) & mask(pc.equal(table["status"], "rejected")))
    standing = places[rows[rejected]]
    later = (standing >= 0) & done[standing] & (reseeds[rejected] > reseeds[standing])
    if not later.any():
        return table
    told = table.select(["seed", "findings"]).take(pa.array(rejected[later])).to_pylist()
    findings = table["findings"].combine_chunks()
    added = {}
    for place, one in zip(standing[later].tolist(), told, strict=True):
        lines = [
            line if line.startswith("Seed ") else f"Seed {one['seed']}: {line}"
            for line in (one["findings"] or "").split("\n")
        ]
        before = (findings[place].as_py() or "").split("\n")
        added[place] = "\n".join(dict.fromkeys([*lines, *filter(None, before)]))
    where = np.zeros(len(findings), bool)
    where[sorted(added)] = True
    texts = pa.array([added[place] for place in sorted(added)], findings.type)
    findings = pc.replace_with_mask(findings, pa.array(where), texts)
    return table.set_column(table.schema.get_field_index("findings"), table.schema.field("findings"), findings)


def _parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()
