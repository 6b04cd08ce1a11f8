"""The failed rows as a manifest, which `render` takes as it is."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.store import Store, local_path, open_object
from jobs.as_written import restored
from jobs.cells import is_text
from jobs.job import find_job, read_manifest_copy
from jobs.results import read_results
from pipeline.errors import JobError, RequestError

File = TypeVar("File", bound=IO[bytes])

JSON_LINES = (".jsonl", ".ndjson")

_CHUNK = 8_192


def failed_rows(store: Store) -> pa.Table:
    """Requests that failed or were rejected: the manifest's columns only, in its order, with what the customer wrote
    in cells that could not be read.

    Raises:
        JobError: there is no job.
    """
    find_job(store)
    results = read_results(store, ())
    wrong = results.filter(pc.is_in(results["status"], pa.array(["failed", "rejected"])))["custom_id"]
    manifest = read_manifest_copy(store)
    return restored(manifest.filter(pc.is_in(manifest["custom_id"], wrong.combine_chunks())))


def write_manifest(table: pa.Table, path: str) -> None:
    """A table as a file that `render` takes, on disk or in `s3://`: Parquet, or JSON lines where the path ends so.

    Raises:
        JobError: it cannot be written there, or in that format.
        StorageError: the bucket does not answer.
    """
    ending = Path(path).suffix.lower()
    if ending in (".csv", ".tsv"):
        # A prompt that begins with = runs in a spreadsheet; escaped, it would be another prompt when it is read again.
        raise JobError(f"{path} would be CSV, which cannot hold every prompt safely; write .parquet or .jsonl.")
    write = _write_json_lines if ending in JSON_LINES else _write_parquet
    try:
        if path.lower().startswith("s3://"):  # by our own store: pyarrow's knows another environment
            store, key = open_object(path)
            store.put(key, write(table, io.BytesIO()).getvalue())
        else:
            with Path(local_path(path)).open("wb") as file:
                write(table, file)
    except (OSError, RequestError) as error:
        raise JobError(
            f"{path} cannot be written: {getattr(error, 'strerror', '') or error}".rstrip(".") + "."
        ) from None


def rows_of(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows one by one; a byte that is no UTF-8 is half of a surrogate pair, which a manifest's reader refuses."""
    for batch in table.to_batches(max_chunksize=_CHUNK):
        yield from map(dict, zip(*(_values(batch, name) for name in batch.schema.names), strict=True))


def _values(batch: pa.RecordBatch, name: str) -> Iterator[tuple[str, Any]]:
    column = batch[name]
    if not is_text(column.type):
        return ((name, value) for value in column.to_pylist())
    raw = column.cast(pa.large_binary()).to_pylist()
    return ((name, None if value is None else value.decode(errors="surrogateescape")) for value in raw)


def _write_parquet(table: pa.Table, file: File) -> File:
    pq.write_table(table, file, compression="zstd")
    return file


def _write_json_lines(table: pa.Table, file: File) -> File:
    for row in rows_of(table):
        file.write(json.dumps(row, default=str).encode("ascii") + b"\n")
    return file
