"""What a manifest costs before and after its pictures: rows per second and peak memory at 10k, 100k and 1M rows.

    python -m tests.bench.manifest [ROWS ...] [--steps plan,resume,…] [--json FILE]

Each figure is a command of its own, as a user runs it, from the start of Python to its exit:

plan         `pressrun render MANIFEST --out NEW --dry-run`: read, checked, named, references looked at, planned
resume       `pressrun render` of the finished job again: everything is there, nothing to do
interrupted  the same of a job whose driver was killed 1,000 rows before the end, with 2,000 parts of results at 1M rows:
             up to the plan (`--dry-run`)
close        the same killed job when no row is left: results in manifest order, contact sheet, summary
status       `pressrun status` of the finished job
verify       `pressrun verify` of the finished job, at 10k and 100k only: its pictures have to be real

The manifest has eleven columns, four sizes, half of the seeds left out, and in one row of ten one of 5,000 references.
Writing it, and the jobs that look finished (`finished_job.py`), is not part of any figure. Peak memory is the whole
process tree's.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from tests.bench.measured import Measured, run_measured

SIZES = (10_000, 100_000, 1_000_000)
SHAPES = np.array([(128, 128), (160, 96), (96, 160), (256, 256)])
REFERENCES = 5_000
MISSING = 1_000
STEPS = ("plan", "resume", "interrupted", "close", "status", "verify")
VERIFIED = 100_000


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    rows: int
    step: str
    seconds: float
    cpu_seconds: float
    rows_per_second: float
    peak_mib: float
    load: float


def main() -> None:
    """Print a line for each size and step."""
    parser = argparse.ArgumentParser(description="What a manifest costs, by its rows.")
    parser.add_argument("rows", nargs="*", type=int, default=SIZES)
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    print(f"{'rows':>9}  {'step':<12}{'seconds':>8}{'CPU s':>8}{'rows/s':>10}{'peak MiB':>10}{'load':>6}")
    figures = []
    with tempfile.TemporaryDirectory(prefix="pressrun-bench-") as folder:
        write_references(Path(folder) / "references")
        for rows in options.rows:
            for figure in measure(Path(folder), rows, options.steps.split(",")):
                figures.append(asdict(figure))
                print(
                    f"{rows:>9,}  {figure.step:<12}{figure.seconds:>8.2f}{figure.cpu_seconds:>8.2f}"
                    f"{figure.rows_per_second:>10,.0f}{figure.peak_mib:>10,.0f}{figure.load:>6.1f}",
                    flush=True,
                )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(folder: Path, rows: int, steps: list[str]):  # type: ignore[no-untyped-def]
    """Yield the figures of one size."""
    manifest, out = folder / f"{rows}.parquet", folder / "out"
    write_manifest(manifest, rows)
    render = ("render", str(manifest), "--out", str(out))
    missing, parts = min(MISSING, rows // 10), max(2, rows // 500)
    if "plan" in steps:
        yield _figure("plan", rows, pressrun(*render, "--dry-run"), {"pending": rows})
    if {"resume", "status"} & {*steps}:
        build(manifest, out)
        for step, command in (("resume", render), ("status", ("status", str(out)))):
            if step in steps:
                yield _figure(step, rows, pressrun(*command), {"succeeded": rows})
        shutil.rmtree(out)
    if "interrupted" in steps:
        build(manifest, out, "--missing", str(missing), "--parts", str(parts))
        yield _figure("interrupted", rows, pressrun(*render, "--dry-run"), {"pending": missing})
        shutil.rmtree(out)
    if "close" in steps:
        build(manifest, out, "--parts", str(parts))
        yield _figure("close", rows, pressrun(*render), {"succeeded": rows, "rendered": 0})
        shutil.rmtree(out)
    if "verify" in steps and rows <= VERIFIED:
        build(manifest, out, "--whole")
        yield _figure("verify", rows, pressrun("verify", str(out)), {"rows": rows, "pictures": rows})
        shutil.rmtree(out)


def pressrun(*arguments: str) -> Measured:
    """Run a command with `--json`; it must end well."""
    measured = run_measured([sys.executable, "-m", "jobs.command", *arguments, "--json"])
    if measured.code:
        raise SystemExit(f"pressrun {' '.join(arguments)} ended with {measured.code}: {measured.err or measured.out}")
    return measured


def build(manifest: Path, out: Path, *options: str) -> None:
    """A job that looks finished, written by a process of its own."""
    built = run_measured([sys.executable, "-m", "tests.bench.finished_job", str(manifest), str(out), *options])
    if built.code:
        raise SystemExit(f"the job could not be written: {built.err}")


def _figure(step: str, rows: int, measured: Measured, expected: dict[str, int]) -> Figure:
    said = json.loads(measured.out)
    if any(said[name] != value for name, value in expected.items()):
        raise SystemExit(f"{step} of {rows:,} rows said {measured.out}")
    load = os.getloadavg()[0]
    seconds = measured.seconds
    return Figure(rows, step, seconds, measured.cpu_seconds, rows / seconds, measured.peak_mib, load)


def write_references(folder: Path) -> None:
    """Small pictures for the rows that have a reference."""
    folder.mkdir()
    for number in range(REFERENCES):
        colour = (number % 256, number // 256, 99)
        Image.new("RGB", (64, 64), colour).save(folder / f"{number}.png")


def write_manifest(path: Path, rows: int) -> None:
    """A manifest as a shop might export it, written in pieces so that this process stays small."""
    with pq.ParquetWriter(path, _piece(0, 1).schema) as writer:
        for start in range(0, rows, 100_000):
            writer.write_table(_piece(start, min(rows, start + 100_000)))


def _piece(start: int, end: int) -> pa.Table:
    number = np.arange(start, end)
    text = pa.array(number).cast(pa.string())
    sides = SHAPES[number % len(SHAPES)]
    with_reference = number % 10 == 0
    offsets = np.concatenate([[0], np.cumsum(with_reference)])
    pictures = pa.array(number[with_reference] // 10 % REFERENCES).cast(pa.string())
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


if __name__ == "__main__":
    main()
