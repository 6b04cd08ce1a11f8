"""Writing a table as a file that `render` takes: piece by piece, on disk or in `s3://`, Parquet or JSON lines."""

import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pressrun.cluster.store.opening import Stores
from pressrun.jobs.folder.job_file import PARQUET
from pressrun.jobs.folder.named_file import write_named
from pressrun.jobs.text.column_types import is_text
from pressrun.jobs.text.value_text import values
from pressrun.pipeline.errors import JobError

JSON_LINES = (".jsonl", ".ndjson")

_CHUNK = 8_192


def check_manifest_path(path: str) -> None:
    """Raise JobError where a manifest is to be neither Parquet nor JSON lines."""
    ending = Path(path).suffix.lower()
    if ending in (".csv", ".tsv"):
        # A prompt that begins with = runs in a spreadsheet; escaped, it would be another prompt when it is read again.
        raise JobError(
            f"{path} would be CSV, which cannot hold every prompt safely; write .parquet or .jsonl.", code="bad_file"
        )
    if ending not in ("", ".parquet", ".pq", *JSON_LINES):
        raise JobError(f"{path} ends with {ending}, which is no manifest; write .parquet or .jsonl.", code="bad_file")


def write_manifest(stores: Stores, schema: pa.Schema, tables: Iterable[pa.Table], path: str) -> None:
    """Write `tables`, all of one schema, one after the other; each becomes a row group of its own, if it has rows.

    Raises:
        JobError: it cannot be written there, or in that format.
        StorageError: the bucket does not answer.
    """
    check_manifest_path(path)
    if Path(path).suffix.lower() in JSON_LINES:
        chunks, kind = _json_lines(tables), "application/jsonl"
    else:
        chunks, kind = _parquet(schema, tables), PARQUET
    write_named(stores, path, chunks, kind)


def rows_of(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows one by one; a byte that is no UTF-8 is half of a surrogate pair, which a manifest's reader refuses."""
    for batch in table.to_batches(max_chunksize=_CHUNK):
        yield from map(dict, zip(*(_values(batch, name) for name in batch.schema.names), strict=True))


def _values(batch: pa.RecordBatch, name: str) -> Iterator[tuple[str, Any]]:
    column = batch[name]
    if not is_text(column.type):
        return ((name, value) for value in values(column))
    raw = column.cast(pa.large_binary()).to_pylist()
    return ((name, None if value is None else value.decode(errors="surrogateescape")) for value in raw)


def _parquet(schema: pa.Schema, tables: Iterable[pa.Table]) -> Iterator[bytes]:
    sink = _Sink()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)
            yield sink.taken()
    yield sink.taken()


def _json_lines(tables: Iterable[pa.Table]) -> Iterator[bytes]:
    for table in tables:
        for batch in table.to_batches(max_chunksize=_CHUNK):
            rows = rows_of(pa.Table.from_batches([batch]))
            yield b"".join(json.dumps(row, default=str).encode("ascii") + b"\n" for row in rows)


class _Sink(io.RawIOBase):
    """What is written is kept until it is taken."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._taken = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._data += data
        return memoryview(data).nbytes

    def tell(self) -> int:
        return self._taken + len(self._data)

    def taken(self) -> bytes:
        data, self._data = bytes(self._data), bytearray()
        self._taken += len(data)
        return data
