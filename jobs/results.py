"""Results: one row per request, appended while the job runs, in manifest order once it is closed.

Parts are named `part-<sequence>-<run>-<number>.parquet`; the sequence is one more than any that was there when the
run began, so that "the last outcome counts" needs no clock. A closed job has the one part `part-000000.parquet`.
"""

import re
import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.store import Store
from cluster.unit import Outcome
from jobs.job import PARQUET, Job
from pipeline.errors import JobError

FOLDER = "results/"
CLOSED = f"{FOLDER}part-000000.parquet"
FLUSH_SEC = 5.0
DONE = ("succeeded", "cached")
STATUSES = ("succeeded", "cached", "failed", "rejected")

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
        ("model", pa.string()),
        ("model_digest", pa.string()),
        ("device", pa.string()),
        ("attempts", pa.int32()),
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

_PART = re.compile(r"^results/part-(\d{6})(?:-[0-9a-f]+-\d+)?\.parquet$")


class Results:
    """The results of one job: what was there, what this run adds.

    `table` is the normalised manifest, whose customer's columns every result carries; `customer` names them.
    """

    def __init__(self, store: Store, job: Job, table: pa.Table, customer: list[str]) -> None:
        self._store, self._job, self._table, self._customer = store, job, table, customer
        self._run = secrets.token_hex(4)
        self._number = 0
        self._waiting: list[Outcome] = []
        self._flushed = time.monotonic()
        parts = read_parts(store)
        self._known = set(parts)
        self._sequence = max((int(path.split("-")[1][:6]) for path in parts), default=-1) + 1
        self._closed = list(parts) == [CLOSED]
        self._tables = [part for part in parts.values() if part is not None]

    @property
    def last(self) -> pa.Table:
        """The outcome that counts of every request that has one."""
        return last_outcomes(self._tables, self.schema)

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
        for number, part in enumerate(self._tables):
            ours = pc.starts_with(part["image"], "images/").fill_null(False)
            gone = pc.and_(
                pc.and_(pc.is_in(part["status"], pa.array(DONE)), ours), pc.invert(pc.is_in(part["image"], pictures))
            )
            if pc.any(gone).as_py():
                self._tables[number] = part.filter(pc.invert(gone))
                self._closed = False

    def add_new(self, outcomes: Iterable[Outcome]) -> None:
        """Append those that say something else than the last outcome of their row: a refused row is refused again at
        every run, which is no news."""
        last = self.last
        said = set(
            zip(*(last[name].to_pylist() for name in ("custom_id", "status", "error_message")), strict=True)
            if last.num_rows
            else ()
        )
        self.add(o for o in outcomes if (o.custom_id, o.status, o.error_message) not in said or o.status in DONE)

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Append; flushed when five seconds have passed."""
        self._waiting.extend(outcomes)
        if self._waiting and time.monotonic() - self._flushed >= FLUSH_SEC:
            self.flush()

    def flush(self) -> None:
        """Write what waits as one more part."""
        self._flushed = time.monotonic()
        if not self._waiting:
            return
        table = self._as_table(self._waiting)
        path = f"{FOLDER}part-{max(1, self._sequence):06d}-{self._run}-{self._number:06d}.parquet"
        self._store.put(path, _parquet(table), PARQUET)
        self._known.add(path)
        self._tables.append(table)
        self._number += 1
        self._waiting = []

    def close(self) -> pa.Table:
        """All outcomes in manifest order, one row per request, as the one part; the others are removed after it."""
        self.flush()
        parts = read_parts(self._store)  # another driver's too
        self._tables += [part for path, part in parts.items() if part is not None and path not in self._known]
        table = self.last
        order = pc.index_in(table["custom_id"], self._table["custom_id"].combine_chunks())
        table = table.take(pc.sort_indices(order))
        self._store.put(CLOSED, _parquet(table), PARQUET)
        for path in parts:
            if path != CLOSED:
                self._store.delete(path)
        self._tables = [table]
        return table

    def _as_table(self, outcomes: list[Outcome]) -> pa.Table:
        rows = pa.array([outcome.row for outcome in outcomes], pa.int64())
        count = len(outcomes)
        done = [outcome.status in DONE for outcome in outcomes]
        now = datetime.now(UTC)
        columns: dict[str, object] = {
            name: [getattr(outcome, name) for outcome in outcomes]
            for name in (
                "custom_id",
                "status",
                "image",
                "width",
                "height",
                "sha256",
                "bytes",
                "render_key",
                "device",
                "attempts",
                "error_code",
                "error_message",
            )
        }
        columns["format"] = [self._job.format if good else None for good in done]
        columns["seed"] = self._table["seed"].take(rows)
        columns["model"] = [self._job.model] * count
        columns["model_digest"] = [self._job.model_digest] * count
        columns["finished_at"] = [outcome.finished_at or now for outcome in outcomes]
        for stage in ("encode", "denoise", "decode", "finish"):
            columns[f"seconds_{stage}"] = [outcome.seconds.get(stage) for outcome in outcomes]
        for name in self._customer:
            columns[name] = self._table[name].take(rows)
        return pa.table(columns, schema=self.schema)


def last_outcomes(tables: list[pa.Table], schema: pa.Schema) -> pa.Table:
    """One row per custom_id: a picture that is there counts more than any failure, else the later outcome."""
    if not tables:
        return schema.empty_table()
    table = pa.concat_tables([part.select(schema.names).cast(schema) for part in tables]).combine_chunks()
    codes = table["custom_id"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    done = pc.is_in(table["status"], pa.array(DONE)).to_numpy(zero_copy_only=False)
    order = np.lexsort((np.arange(len(codes)), done, codes))  # the last of each code's run counts
    last = order[np.flatnonzero(np.diff(codes[order], append=-1))]
    return table.take(pa.array(np.sort(last)))


def read_parts(store: Store) -> dict[str, pa.Table | None]:
    """Every part by its path, those that count more later; None for one that is damaged.

    A driver that closes the job removes parts while we read; then what there is now is read instead.
    """
    while True:
        parts: dict[str, pa.Table | None] = {}
        try:
            for path in sorted(entry.path for entry in store.list(FOLDER) if _PART.match(entry.path)):
                try:
                    parts[path] = pq.read_table(pa.BufferReader(store.get(path)))
                except pa.ArrowInvalid:
                    parts[path] = None
            return parts
        except FileNotFoundError:
            continue


def read_results(store: Store) -> pa.Table:
    """The outcomes that count of whatever job is in the store, for commands that only look.

    Raises:
        JobError: a part is damaged.
    """
    parts = read_parts(store)
    damaged = [path for path, part in parts.items() if part is None]
    if damaged:
        raise JobError(f"{store.uri}/{damaged[0]} is damaged; render again: what it held is read from the pictures.")
    tables = [part for part in parts.values() if part is not None]
    return last_outcomes(tables, tables[0].schema if tables else SCHEMA)


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()
