"""The bare denoiser: what the cores can do at most, with nothing around it.

    python -m tests.bench.bare MANIFEST

A process for each core, each with one thread as a replica has, takes the units that Pressrun would make of the
manifest, denoises and decodes them with Pressrun's own code, and throws the pictures away. No Ray, no driver, no
finishing, no store, and one prompt's embedding for all rows.
"""

import argparse
import multiprocessing
import os
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pressrun.jobs.planning.plan import Sizes, group_by_shape, plan_units
from pressrun.jobs.planning.unit_sizing import UnitSizer
from pressrun.pipeline.models.catalogue import find_model
from pressrun.pipeline.models.throughput import throughput


def units_of(path: str, replicas: int) -> list[list[dict[str, Any]]]:
    """The manifest's rows in Pressrun's units."""
    model, table = find_model("mini"), pq.read_table(path)
    for name in ("steps", "guidance"):
        table = table.append_column(name, pa.array(np.full(table.num_rows, getattr(model, name))))
    sizes = Sizes("cpu", throughput("mini", "cpu", "fp32"))
    rows = table.to_pylist()
    plan = plan_units(group_by_shape(table, model), sizes)
    return [[rows[row] for row in unit.rows] for unit in UnitSizer(replicas).units(plan)]


def replica(units: list[list[dict[str, Any]]], following: Any) -> None:
    """Take one unit after the other until none is left."""
    from pressrun.pipeline.families.flux2.renderer import Renderer
    from pressrun.pipeline.request import RenderRequest

    renderer = Renderer.load(find_model("mini"), "fp32", threads=1)
    embedding = renderer.encode_prompt("a red mug on the beach")
    while True:
        with following.get_lock():
            number = following.value
            following.value += 1
        if number >= len(units):
            return
        requests = [RenderRequest(**{"steps": 8, "guidance": 1.0, **row}) for row in units[number]]
        latents = renderer.denoise(requests, [embedding] * len(requests), [()] * len(requests))
        for row, request in zip(latents, requests, strict=True):
            renderer.decode(row, request)


def main() -> None:
    """Denoise and decode the whole manifest."""
    parser = argparse.ArgumentParser(description="Denoise and decode a manifest, and nothing else.")
    parser.add_argument("manifest")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    units = units_of(options.manifest, cores)
    spawn = multiprocessing.get_context("spawn")
    following = spawn.Value("i", 0)
    replicas = [spawn.Process(target=replica, args=(units, following)) for _ in range(cores)]
    for process in replicas:
        process.start()
    for process in replicas:
        process.join()
    if any(process.exitcode for process in replicas):
        raise SystemExit("a replica has died")


if __name__ == "__main__":
    main()
