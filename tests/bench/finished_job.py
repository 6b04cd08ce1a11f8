"""A job that looks as if its rows had been rendered: for measuring what resuming and auditing it costs.

    python -m tests.bench.finished_job MANIFEST OUT [--missing N] [--parts P] [--whole]

Every row but the last N has a result and a file in `images/`. The job is closed (one part in manifest order, a
summary), or with `--parts` left as a killed driver leaves it: P parts and no summary. Files hold one byte, which is
all that resuming looks at; with `--whole` they are black PNGs with their records, which an audit reads.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.job_file import PARQUET, SHEET, SIDECAR, create_job
from pressrun.jobs.folder.result_schema import SCHEMA
from pressrun.jobs.references.references import References
from pressrun.jobs.resolve.resolved_job import ResolvedJob, resolve
from pressrun.jobs.reuse.fingerprints import Fingerprints
from pressrun.jobs.spec.context import Context
from pressrun.jobs.spec.job_spec import JobSpec
from pressrun.pipeline.finishing.codec import encode_picture
from pressrun.pipeline.finishing.metadata import Record, write_xmp
from tests.opening import open_store

_PIECE = 50_000


def build(manifest: str, out: str, missing: int = 0, parts: int = 0, whole: bool = False) -> None:
    """Write the job's folder."""
    order = resolve(JobSpec(manifest, out), Context.of_this_process())
    store = open_store(out)
    store.prepare()
    create_job(store, order.job, order.frozen)
    rows = order.rows - missing
    pieces = list(_pieces(order, rows, whole, store))
    table = pa.concat_tables(pieces)
    size = -(-rows // max(1, parts))
    for part in range(max(1, parts)):
        name = f"part-000001-0123abcd-{part:06d}" if parts else "part-000000"
        sink = pa.BufferOutputStream()
        pq.write_table(table.slice(part * size, size), sink, compression="zstd")
        store.put(f"results/{name}.parquet", sink.getvalue().to_pybytes(), PARQUET)
    if not parts:
        counts = {"succeeded": rows, "cached": 0, "failed": 0, "rejected": 0}
        for page in (SHEET, SIDECAR):
            store.put(page, b"")
        store.put("summary.json", json.dumps({"rows": rows, **counts}).encode(), "application/json")


def _pieces(order: ResolvedJob, rows: int, whole: bool, store: Store) -> Iterator[pa.Table]:
    """Results of a few thousand rows at a time; their files are written on the way."""
    random = np.random.default_rng(0)
    job = order.job
    references = References(order.model, order.web, order.context.stores, noting=True)
    tonight = Fingerprints.of(order, np.arange(rows), references, job.model_digest)
    references.note(store)
    for start in range(0, rows, _PIECE):
        count = min(_PIECE, rows - start)
        manifest = order.manifest.table.slice(start, count)
        keys = tonight.keys.slice(start, count).to_pylist()
        paths = order.paths.slice(start, count).to_pylist()
        files = [_picture(order, manifest, row, key) for row, key in enumerate(keys)] if whole else [b"x"] * count
        _write(store, paths, files)
        columns = {
            "custom_id": manifest["custom_id"],
            "status": ["succeeded"] * count,
            "image": paths,
            "width": manifest["width"],
            "height": manifest["height"],
            "format": ["png"] * count,
            "seed": manifest["seed"],
            "sha256": [hashlib.sha256(data).hexdigest() for data in files] if whole else keys[::-1],
            "bytes": [len(data) for data in files],
            "render_key": keys,
            "finish_key": tonight.finish_keys.slice(start, count),
            "renditions": [None] * count,
            "model": ["mini"] * count,
            "model_digest": [order.job.model_digest] * count,
            "device": ["cpu AVX512, torch 2.13.0+cpu"] * count,
            "attempts": [1] * count,
            **{f"seconds_{stage}": random.random(count) for stage in ("encode", "denoise", "decode", "finish")},
            "error_code": [None] * count,
            "error_message": [None] * count,
            "finished_at": [datetime.now(UTC)] * count,
            **{name: manifest[name] for name in order.manifest.customer_columns},
        }
        schema = pa.schema([*SCHEMA, *(manifest.schema.field(name) for name in order.manifest.customer_columns)])
        columns = {field.name: columns.get(field.name, pa.nulls(count, field.type)) for field in schema}
        yield pa.table(columns, schema=schema)


def _picture(order: ResolvedJob, manifest: pa.Table, row: int, key: str) -> bytes:
    job = order.job
    custom_id, seed, width, height = (manifest[name][row].as_py() for name in ("custom_id", "seed", "width", "height"))
    finish = order.finish_keys(np.array([row]))[0].as_py()
    made = (job.model, job.model_digest, "cpu", job.precision)
    record = Record(custom_id, seed, key, *made, finish_key=finish)
    return encode_picture(np.zeros((height, width, 3), np.uint8), job.format, write_xmp(record))


def _write(store: Store, paths: list[str], files: list[bytes]) -> None:
    """Into a folder without the store's care for power cuts, which would take minutes a million; else in parallel."""
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    if store.uri.startswith("s3://"):
        with ThreadPoolExecutor(32) as threads:
            list(threads.map(store.put, paths, files))
        return
    root = Path(store.uri)
    for folder in {(root / path).parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)
    for path, data in zip(paths, files, strict=True):
        (root / path).write_bytes(data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a job that looks finished.")
    parser.add_argument("manifest")
    parser.add_argument("out")
    parser.add_argument("--missing", type=int, default=0)
    parser.add_argument("--parts", type=int, default=0)
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    build(options.manifest, options.out, options.missing, options.parts, options.whole)
