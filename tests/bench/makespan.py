"""How evenly a job ends: a manifest of mixed sizes on real replicas, against its work evenly divided.

    python -m tests.bench.makespan [--replicas 2] [--times 4] [--repeats 1] [--json FILE]

Taken from the job's own `timeline.json`. `work` are the seconds in which replicas computed, `makespan` those from the
first replica's first call to the last one's last, `bound` the makespan if every replica had computed without a pause
from its own first call on and all had stopped together. `tail` is how long the first replica that ran dry had nothing
to do. tests/jobs/planning/test_unit_sizing.py has the same simulated, over more replicas. A replica is a process of one
thread: there should be as many idle cores.
"""

import argparse
import json
import os
import sys
import tempfile
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.bench.measured import run_measured

MIXED = {(128, 128): 26, (160, 96): 13, (96, 160): 13, (192, 128): 13, (256, 256): 7, (512, 512): 2}
"""Rows of each size, as often as `--times` says; tests/jobs/planning/test_unit_sizing.py has the same."""


@dataclass(frozen=True)
class Figure:
    """One job; seconds, and the share by which the makespan is over the bound."""

    rows: int
    units: int
    work: float
    bound: float
    makespan: float
    over: float
    tail: float
    load: float


def measure(replicas: int, times: int) -> Figure:
    """Render one job and read its timeline."""
    with tempfile.TemporaryDirectory(prefix="pressrun-bench-") as folder:
        manifest, out = Path(folder) / "mixed.parquet", Path(folder) / "out"
        rows = write_manifest(manifest, times)
        command = ["render", str(manifest), "--out", str(out), "--layout", "whole", "--replicas", str(replicas)]
        run = run_measured([sys.executable, "-m", "pressrun", *command, "--json"], RAY_ADDRESS="")
        if run.code:
            raise SystemExit(run.err)
        spans = json.loads((out / "timeline.json").read_text())["traceEvents"]
    lanes: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for span in spans:
        if span["tid"].startswith("replica"):
            lanes[span["tid"]].append((span["ts"] / 1e6, (span["ts"] + span["dur"]) / 1e6))
    units = sum(span["cat"] == "denoise" for span in spans)
    begun = [min(started for started, _ in lane) for lane in lanes.values()]
    ended = [max(until for _, until in lane) for lane in lanes.values()]
    work = sum(until - started for lane in lanes.values() for started, until in lane)
    bound = (work + sum(begun)) / len(lanes) - min(begun)
    makespan = max(ended) - min(begun)
    tail = max(ended) - min(ended)
    return Figure(rows, units, work, bound, makespan, makespan / bound - 1, tail, os.getloadavg()[0])


def write_manifest(path: Path, times: int) -> int:
    """A manifest of mixed sizes, every prompt another; returns its rows."""
    sizes = [size for size, count in MIXED.items() for _ in range(count * times)]
    rows = [
        {"custom_id": f"row-{n}", "prompt": f"a red mug, number {n}", "width": width, "height": height}
        for n, (width, height) in enumerate(sizes)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return len(rows)


def main() -> None:
    """Print a line for each job."""
    parser = argparse.ArgumentParser(description="How evenly a job of mixed sizes ends.")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--times", type=int, default=4, help="as many rows")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    print(f"{'rows':>6}{'units':>7}{'work':>9}{'bound':>9}{'makespan':>10}{'over':>8}{'tail':>7}{'load':>6}")
    figures = []
    for _ in range(options.repeats):
        figure = measure(options.replicas, options.times)
        figures.append(asdict(figure))
        print(
            f"{figure.rows:>6}{figure.units:>7}{figure.work:>9.2f}{figure.bound:>9.2f}{figure.makespan:>10.2f}"
            f"{figure.over:>8.1%}{figure.tail:>7.2f}{figure.load:>6.1f}",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
