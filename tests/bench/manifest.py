"""How fast a manifest becomes a plan: rows per second and peak memory at 10k, 100k and 1M rows.

    python -m tests.bench.manifest [ROWS ...]

Each size runs in a process of its own: a Parquet file of eleven columns (four sizes, one row in ten with a reference,
half of the seeds left out) is written, then read, checked, named and planned, and every unit is looked at once.

Predicted before the first run, for 1M rows on two idle cores: 8 s (read 2, normalise 3, name 1.5, plan 1.5) and 1.0 GB.
Measured with five other processes on the two cores: 14 s of wall time, 5.8 s of CPU time, 950 MiB.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SIZES = (10_000, 100_000, 1_000_000)
SHAPES = np.array([(1024, 1024), (1344, 768), (768, 1344), (512, 512)])

Value = TypeVar("Value")


def main(sizes: list[int]) -> None:
    """Print a line for each size."""
    print("     rows    read  check   name   plan  units = seconds   CPU s   rows/s  peak MiB")
    with tempfile.TemporaryDirectory() as folder:
        for rows in sizes:
            path = Path(folder) / f"{rows}.parquet"
            write_manifest(path, rows)
            subprocess.run([sys.executable, "-m", "tests.bench.manifest", "--measure", str(path)], check=True)


def write_manifest(path: Path, rows: int) -> None:
    """A manifest as a shop might export it, written in pieces so that the parent stays small."""
    with pq.ParquetWriter(path, _piece(0, 1).schema) as writer:
        for start in range(0, rows, 100_000):
            writer.write_table(_piece(start, min(rows, start + 100_000)))


def _piece(start: int, end: int) -> pa.Table:
    number = np.arange(start, end)
    text = pa.array(number).cast(pa.string())
    sides = SHAPES[number % len(SHAPES)]
    with_reference = number % 10 == 0
    offsets = np.concatenate([[0], np.cumsum(with_reference)])
    pictures = pa.array(number[with_reference] % 5000).cast(pa.string())
    pictures = pc.binary_join_element_wise("references/", pictures, ".png", "")
    return pa.table(
        {
            "custom_id": pc.binary_join_element_wise("sku-", text, "/de", ""),
            "prompt": pc.binary_join_element_wise("product photo of backpack no. ", text, " on a wooden table", ""),
            "width": sides[:, 0],
            "height": sides[:, 1],
            "seed": pa.array(number, mask=number % 2 == 0),
            "references": pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pictures),
            **{name: pc.binary_join_element_wise(name, text, " ") for name in ("sku", "season", "region", "channel")},
            "price": number / 100,
        }
    )


def measure(path: Path) -> None:
    """Take one manifest from its file to a plan and print what it took."""
    from jobs.manifest import normalise, read_manifest
    from jobs.names import NameTemplate
    from jobs.plan import group_by_shape, plan_units
    from pipeline.catalogue import Model

    model = Model("klein", "flux2-klein", distilled=True, steps=4, guidance=1.0)
    seconds: list[float] = []
    cpu = time.process_time()

    def timed(step: Callable[[], Value]) -> Value:
        start = time.perf_counter()
        value = step()
        seconds.append(time.perf_counter() - start)
        return value

    table = timed(lambda: read_manifest(str(path)))
    manifest = timed(lambda: normalise(table, model, str(path)))
    names, unnamed = timed(lambda: NameTemplate.parse("{season}/{custom_id}").names(manifest.table, "png"))
    tokens = pc.list_value_length(manifest.table["references"]).to_numpy()[manifest.good] * 4096
    plan = timed(lambda: plan_units(group_by_shape(manifest.table, model, manifest.good, tokens)))
    planned = timed(lambda: sum(len(unit.rows) for unit in plan))
    if planned != table.num_rows or unnamed.num_rows or names.null_count:
        raise SystemExit("the manifest was not read whole")
    total, peak = sum(seconds), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    steps = " ".join(f"{step:6.2f}" for step in seconds)
    cpu = time.process_time() - cpu
    print(f"{planned:>9,}  {steps} = {total:7.2f}  {cpu:6.2f}  {planned / total:>7,.0f}  {peak:>8,.0f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]))
    else:
        main([int(size) for size in sys.argv[1:]] or list(SIZES))
