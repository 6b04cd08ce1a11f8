"""The parts of a job's results: their columns, how they are read, and which outcome of a row counts.

Parts are named `part-<sequence>-<run>-<number>.parquet`; the sequence is one more than any that was there when the
run began, so that "the last outcome counts" needs no clock. A closed job has the one part `part-000000.parquet`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pressrun.cluster.scheduling.timeline import STAGES
from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.schema_version import NAME, VERSION, refuse_newer
from pressrun.pipeline.checks.spec import CHECKS
from pressrun.pipeline.errors import JobError, StorageError

FOLDER = "results/"
CLOSED = f"{FOLDER}part-000000.parquet"
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
        ("replaced_sha256", pa.string()),
        ("render_key", pa.string()),
        ("finish_key", pa.string()),
        ("renditions", pa.list_(pa.struct(_RENDITION))),
        ("model", pa.string()),
        ("model_digest", pa.string()),
        ("device", pa.string()),
        ("batch_rows", pa.int32()),
        ("attempts", pa.int32()),
        ("reseeds", pa.int32()),
        ("flags", pa.string()),
        ("findings", pa.string()),
        *((f"check_{name}", pa.string()) for name in CHECKS),
        *((f"check_{name}_score", pa.float64()) for name in CHECKS),
        ("likeness", pa.uint64()),
        *((f"seconds_{stage}", pa.float64()) for stage in STAGES),
        ("error_code", pa.string()),
        ("error_message", pa.string()),
        ("finished_at", pa.timestamp("ms", tz="UTC")),
    ]
)
"""Ours; the customer's columns follow. No manifest may bring them along, save those that are a request's as well, and
a field of `Outcome` that has the name of a column fills it."""

BUSY = b"pressrun.busy"
"""Under this name a part's metadata holds the run's busy shares at the time, as JSON: for `status` while it goes on."""

_VERSION = f"pressrun.{NAME}".encode()

THREADS = 8  # that read or delete parts at once
PART = re.compile(r"^results/part-(\d{6})(?:-[0-9a-f]+-\d+)?\.parquet$")


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
    return mask(pc.is_in(results["status"], pa.array(DONE)))


def read_parts(store: Store, columns: Sequence[str] | None = None, whole: bool = False) -> dict[str, pa.Table | None]:
    """Every part by its path, those that count more later; None for one that is damaged. `columns`: only these; with
    `whole` a part counts as damaged as well where another column cannot be read.

    A driver that closes the job removes parts while we read; then what there is now is read instead.
    Raises StorageError where a part is listed and listed again but cannot be had, JobError where one is of a newer
    version.
    """
    before: set[tuple[str, ...]] = set()
    with ThreadPoolExecutor(THREADS) as threads:
        while True:
            paths = tuple(sorted(path for path in store.paths(FOLDER) if PART.match(path)))
            try:
                read = threads.map(lambda path: _part(store, path, columns, whole), paths)
                return dict(zip(paths, read, strict=True))
            except FileNotFoundError:
                if paths in before:
                    raise StorageError(f"{store.uri}/{FOLDER} lists a part that is not there; remove it.") from None
                before.add(paths)


def _part(store: Store, path: str, columns: Sequence[str] | None, whole: bool) -> pa.Table | None:
    data = store.get(path)
    try:  # not `pq.read_table`, which has columns of its own called `__filename` …
        file = pq.ParquetFile(pa.BufferReader(data))
        refuse_newer((file.schema_arrow.metadata or {}).get(_VERSION, b"1").decode(), f"{store.uri}/{path}")
        for _ in file.iter_batches() if whole else ():
            pass
        there = set(file.schema_arrow.names)
        return file.read([name for name in columns if name in there] if columns else None)
    except (pa.ArrowException, OSError, ValueError):
        return None


def part_metadata(busy: Mapping[str, float]) -> dict[bytes, str]:
    """What a part's metadata hold: the schema's version, and the run's busy shares."""
    return {_VERSION: str(VERSION), BUSY: json.dumps(busy)}


def read_results(store: Store, columns: Sequence[str]) -> pa.Table:
    """The outcomes that count of whatever job is in the store, for commands that only look: some of our columns, and
    what `busy_shares` reads from them.

    Raises:
        JobError: a part is damaged.
    """
    parts = read_parts(store, sorted({"custom_id", "status", *columns}))
    damaged = [path for path, part in parts.items() if part is None]
    if damaged:
        raise JobError(
            f"{store.uri}/{damaged[0]} is damaged; render again: what it held is read from the pictures.",
            code="damaged_job",
        )
    schema = pa.schema([field for field in SCHEMA if field.name in ("custom_id", "status", *columns)])
    table = joined([part for part in parts.values() if part is not None], schema)
    table = table.replace_schema_metadata({BUSY: json.dumps(busy_shares(*parts.values()))})
    requests = table["custom_id"].combine_chunks().dictionary_encode()
    rows = requests.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return taken(table, np.sort(places_that_count(rows, is_done(table), len(requests.dictionary))))


def busy_shares(*parts: pa.Table | None) -> dict[str, float]:
    """The busy shares that the latest of these parts tells of; empty where none does."""
    told = [part.schema.metadata[BUSY] for part in parts if part is not None and BUSY in (part.schema.metadata or {})]
    return next(filter(None, map(json.loads, reversed(told))), {})


def joined(parts: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    """All parts as one table of `schema`."""
    return pa.concat_tables([schema.empty_table(), *(shaped(part, schema) for part in parts)])


def shaped(part: pa.Table, schema: pa.Schema) -> pa.Table:
    """A part with the columns of `schema`: those that it lacks, because an older version wrote it, are null. A column
    of the right type is passed on as it is: not every type has a cast to itself."""
    for field in schema:
        if field.name not in part.schema.names:
            part = part.append_column(field, pa.nulls(part.num_rows, field.type))
    columns = [part[field.name] for field in schema]
    fitting = zip(columns, schema, strict=True)
    columns = [column if column.type.equals(field.type) else column.cast(field.type) for column, field in fitting]
    return pa.table(columns, schema=schema)


def taken(table: pa.Table, places: np.ndarray) -> pa.Table:
    """The rows at `places`; the table itself if that is all of them in their order, as in a closed job."""
    if len(places) == table.num_rows and bool((np.diff(places, prepend=-1) == 1).all()):
        return table.combine_chunks()
    return table.take(pa.array(places))


def mask(column: pa.ChunkedArray) -> np.ndarray:
    """A column of booleans without nulls, as numpy has it."""
    return np.asarray(column.to_numpy(zero_copy_only=False))
