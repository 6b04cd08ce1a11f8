"""Jobs that look rendered, made without rendering: for what is done with nights afterwards."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pressrun.cluster.store.store import Store
from pressrun.jobs.finish.row_metadata import Captions
from pressrun.jobs.folder.job_file import PARQUET, Job, freeze, frozen_digest
from pressrun.jobs.folder.result_schema import SCHEMA
from pressrun.jobs.results.summary import Summary
from pressrun.pipeline.finishing.codec import encode_picture
from pressrun.pipeline.finishing.metadata import Record, write_xmp
from pressrun.pipeline.finishing.spec import FinishingSpec, finish_key
from pressrun.pipeline.request import RenderKeys, derived_seed
from tests.opening import open_store

SPEC = FinishingSpec()
MODEL = ("mini", "d" * 64)
RENDER_KEYS = RenderKeys(MODEL[1], "fp32")


def drawn(custom_id: str, prompt: str | None = None) -> bytes:
    """A picture with the record of a night's row: `verify` finds nothing wrong with it."""
    seed = derived_seed(custom_id)
    key = RENDER_KEYS(prompt or f"a {custom_id}", 16, 16, 1, 1.0, seed)
    record = Record(custom_id, seed, key, *MODEL, "cpu", "fp32", finish_key=finish_key(SPEC.digest, {}))
    return encode_picture(np.zeros((16, 16, 3), np.uint8), "png", write_xmp(record))


def make_night(
    uri: str,
    pictures: Mapping[str, bytes | str | None],
    prompts: Mapping[str, str] | None = None,
    name: str = "{custom_id}",
    **columns: list[str],
) -> Store:
    """A finished job: for each custom_id its picture's bytes (`drawn`, or any), or the URI of the job's picture that it
    is kept from, or None where it failed."""
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
    finishing = (SPEC.described, SPEC.digest)
    job = Job("manifest.parquet", rows, frozen_digest(frozen), *MODEL, "fp32", "png", name, *finishing)
    store.put("job.json", job.to_json())
    store.put("manifest.parquet", frozen)
    names = dict(zip(pictures, _names(manifest, name), strict=True))
    results = []
    words = Captions.parse(SPEC, manifest).each(manifest)
    for (custom_id, picture), request, said in zip(pictures.items(), manifest.to_pylist(), words, strict=True):
        status = "failed" if picture is None else "cached" if isinstance(picture, str) else "succeeded"
        row = {"custom_id": custom_id, "status": status, "seed": request["seed"], "finished_at": datetime.now(UTC)}
        row |= {"model": MODEL[0], "model_digest": MODEL[1]}
        if isinstance(picture, bytes):
            row["image"] = f"images/{names[custom_id]}"
            store.put(row["image"], picture)
            store.put(f"thumbs/{names[custom_id]}.webp", picture)
        elif picture is not None:
            row["image"] = picture
            maker, _, path = picture.rpartition("/images/")
            picture = open_store(maker).get(f"images/{path}")
        if picture is None:
            row |= {"error_code": "worker_crash", "error_message": "It was the end of three workers."}
        else:
            row |= {"sha256": hashlib.sha256(picture).hexdigest(), "bytes": len(picture)}
            row |= {"width": 16, "height": 16, "format": "png", "finish_key": finish_key(SPEC.digest, said.given)}
            row["render_key"] = RENDER_KEYS(request["prompt"], 16, 16, 1, 1.0, request["seed"])
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
