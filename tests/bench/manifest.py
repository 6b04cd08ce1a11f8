"""What a manifest costs before and after its pictures: rows per second and peak memory at 10k, 100k and 1M rows.

    python -m tests.bench.manifest [ROWS ...] [--steps plan,resume,…] [--s3] [--json FILE]

Each figure is a command of its own, as a user runs it, from the start of Python to its exit:

plan         `pressrun render MANIFEST --out NEW --dry-run`: read, checked, named, references looked at, planned
resume       `pressrun render` of the finished job again: everything is there, nothing to do
interrupted  the same, up to the plan (`--dry-run`), of a job whose driver was killed 1,000 rows before the end and left
             results in one part for 500 rows
close        the same killed job when no row is left: results in manifest order, contact sheet, summary
status       `pressrun status` of the finished job
verify       `pressrun verify` of the finished job, at 10k and 100k only: its pictures have to be real

The manifest has eleven columns, four sizes, half of the seeds left out, and in one row of ten one of 5,000 references.
Writing it, and the jobs that look finished (`finished_job.py`), is not part of any figure. Peak memory is the whole
process tree's. With `--s3` the jobs lie in a local S3 server instead of a folder; `list` is one listing of `images/`.
"""

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from infra.s3_server import S3Server
from tests.bench.measured import Measured, run_measured

SIZES = (10_000, 100_000, 1_000_000)
SHAPES = np.array([(128, 128), (160, 96), (96, 160), (256, 256)])
REFERENCES = 5_000
MISSING = 1_000
STEP_JOBS = {
    **dict.fromkeys(("plan", "resume", "list", "status"), "closed"),
    **{"interrupted": "killed", "close": "all there", "verify": "real"},
}
"""The job that each step is measured on."""
STEPS = tuple(STEP_JOBS)
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
    parser.add_argument("--s3", action="store_true", help="jobs in a local S3 server")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    print(f"{'rows':>9}  {'step':<12}{'seconds':>8}{'CPU s':>8}{'rows/s':>10}{'peak MiB':>10}{'load':>6}")
    figures = []
    with tempfile.TemporaryDirectory(prefix="pressrun-bench-") as folder, contextlib.ExitStack() as stack:
        place = folder
        if options.s3:
            server = stack.enter_context(S3Server())
            os.environ.update(server.environment)
            place = server.create_bucket("bench")
        write_references(Path(folder) / "references")
        for rows in options.rows:
            for figure in measure(Path(folder), place, rows, options.steps.split(",")):
                figures.append(asdict(figure))
                print(
                    f"{rows:>9,}  {figure.step:<12}{figure.seconds:>8.2f}{figure.cpu_seconds:>8.2f}"
                    f"{figure.rows_per_second:>10,.0f}{figure.peak_mib:>10,.0f}{figure.load:>6.1f}",
                    flush=True,
                )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(folder: Path, place: str, rows: int, steps: list[str]) -> Iterator[Figure]:
    """Yield the figures of one size; the jobs lie in `place`, a folder or a bucket."""
    manifest = folder / f"{rows}.parquet"
    write_manifest(manifest, rows)
    missing, parts = min(MISSING, rows // 10), max(2, rows // 500)
    jobs: dict[str, tuple[str, ...]] = {
        "closed": (),
        "killed": ("--missing", str(missing), "--parts", str(parts)),
        "all there": ("--parts", str(parts)),
        "real": ("--whole",),
    }
    for job, options in jobs.items():
        wanted = [step for step in STEPS if STEP_JOBS[step] == job and step in steps]
        if not wanted or (job == "real" and rows > VERIFIED):
            continue
        out = f"{place}/{rows}-{job.replace(' ', '-')}"
        if wanted != ["plan"]:
            build(manifest, out, *options)
        for step in wanted:
            yield figure(step, rows, missing, manifest, out)
        if Path(out).exists():
            shutil.rmtree(out)


def figure(step: str, rows: int, missing: int, manifest: Path, out: str) -> Figure:
    """One step of one size, checked against what it has to say."""
    render = ("render", str(manifest), "--out", out)
    match step:
        case "plan":
            measured, expected = pressrun(*render[:-1], out + "-new", "--dry-run"), {"pending": rows}
        case "resume":
            measured, expected = pressrun(*render), {"succeeded": rows, "rendered": 0}
        case "interrupted":
            measured, expected = pressrun(*render, "--dry-run"), {"pending": missing}
        case "close":
            measured, expected = pressrun(*render), {"succeeded": rows, "rendered": 0}
        case "status":
            measured, expected = pressrun("status", out), {"succeeded": rows}
        case "list":
            measured, expected = listing(out), {"paths": rows}
        case _:
            measured, expected = pressrun("verify", out), {"rows": rows, "pictures": rows}
    said = json.loads(measured.out)
    if any(said[name] != value for name, value in expected.items()):
        raise SystemExit(f"{step} of {rows:,} rows said {measured.out}")
    seconds, load = measured.seconds, os.getloadavg()[0]
    return Figure(rows, step, seconds, measured.cpu_seconds, rows / seconds, measured.peak_mib, load)


_LISTING = """
import sys
from tests.opening import open_store
from pressrun.jobs.reuse.recovery import Pictures
print('{"paths": %d}' % len(Pictures(open_store(sys.argv[1])).paths))
"""


def listing(out: str) -> Measured:
    """What asking the store for every picture's path takes by itself."""
    return run_measured([sys.executable, "-c", _LISTING, out])


def pressrun(*arguments: str) -> Measured:
    """Run a command with `--json`; it must end well."""
    measured = run_measured([sys.executable, "-m", "pressrun", *arguments, "--json"])
    if measured.code:
        raise SystemExit(f"pressrun {' '.join(arguments)} ended with {measured.code}: {measured.err or measured.out}")
    return measured


def build(manifest: Path, out: str, *options: str) -> None:
    """A job that looks finished, written by a process of its own."""
    built = run_measured([sys.executable, "-m", "tests.bench.finished_job", str(manifest), out, *options])
    if built.code:
        raise SystemExit(f"the job could not be written: {built.err}")


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
