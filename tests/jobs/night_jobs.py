"""Jobs that look rendered, made without rendering: for what is done with nights afterwards."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.store import Store, open_store
from jobs.job import PARQUET, Job, freeze, frozen_digest
from jobs.parts import SCHEMA
from jobs.summary import Summary
from pipeline.request import derived_seed


def make_night(
    uri: str,
    pictures: Mapping[str, bytes | str | None],
    prompts: Mapping[str, str] | None = None,
    name: str = "{custom_id}",
    **columns: list[str],
) -> Store:
    """A finished job: for each custom_id its picture's bytes, or the URI of the job's picture that it is kept from, or
    None where it failed."""
    store = open_store(uri)
    rows = len(pictures)
    manifest = pa.table(
        {
            "custom_id": list(pictures),
            "prompt": [(prompts or {}).get(one, f"a {one}") for one in pictures],
            "width": pa.array([16] * rows, pa.int32()),
            "height": pa.array([16] * rows, pa.int32()),
            "steps": pa.array([1] * rows, pa.int32()),
            "guidance": [1.0] * rows,
            "seed": pa.array([derived_seed(one) for one in pictures], pa.int64()),
            "references": pa.array([[]] * rows, pa.list_(pa.string())),
            **columns,
        }
    )
    frozen = freeze(manifest)
    job = Job("manifest.parquet", rows, frozen_digest(frozen), "mini", "d" * 64, "fp32", "png", name, {}, "f" * 64)
    store.put("job.json", job.to_json())
    store.put("manifest.parquet", frozen)
    names = dict(zip(pictures, _names(manifest, name), strict=True))
    results = []
    for custom_id, picture in pictures.items():
        status = "failed" if picture is None else "cached" if isinstance(picture, str) else "succeeded"
        row = {"custom_id": custom_id, "status": status, "width": 16, "height": 16, "finished_at": datetime.now(UTC)}
        if isinstance(picture, bytes):
            row["image"] = f"images/{names[custom_id]}"
            store.put(row["image"], picture)
            store.put(f"thumbs/{names[custom_id]}.webp", picture)
        elif picture is not None:
            row["image"] = picture
            maker, _, path = picture.rpartition("/images/")
            picture = open_store(maker).get(f"images/{path}")
        if picture is not None:
            row |= {"sha256": hashlib.sha256(picture).hexdigest(), "bytes": len(picture), "render_key": custom_id * 8}
            row["finish_key"] = "f" * 64
        results.append(row)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(results, schema=SCHEMA), sink)
    store.put("results/part-000000.parquet", sink.getvalue().to_pybytes(), PARQUET)
    failed = sum(picture is None for picture in pictures.values())
    cached = sum(isinstance(picture, str) for picture in pictures.values())
    counts = {"succeeded": rows - failed - cached, "cached": cached, "failed": failed}
    store.put("summary.json", Summary(uri, "mini", rows, **counts).to_json())
    return store


def _names(manifest: pa.Table, template: str) -> list[str]:
    return [template.format(**row) + ".png" for row in manifest.to_pylist()]
