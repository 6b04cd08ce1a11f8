"""What a night costs by how much of the catalog changed, 0 to 100 %: rendering it, and planning a million rows.

    python -m tests.bench.nights [--rows N] [--planned N] [--json FILE]

night  `pressrun render --since` of N small pictures against the finished night before, of which that share has another
       prompt; every picture really rendered. Beside it what the line through 0 % and 100 % would say.
plan   `pressrun render --since … --dry-run` of a manifest against an earlier job of as many rows (`finished_job.py`),
       at the same shares: everything compared, nothing rendered
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tests.bench.manifest import build, pressrun, write_references
from tests.bench.manifest import write_manifest as write_catalog

SHARES = (0, 1, 5, 50, 100)


def main() -> None:
    """Print a line for each share of both."""
    parser = argparse.ArgumentParser(description="What a night costs by how much changed.")
    parser.add_argument("--rows", type=int, default=200, help="pictures of a night that is rendered")
    parser.add_argument("--planned", type=int, default=1_000_000, help="rows of a night that is only planned")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    figures = []
    print(f"{'step':<6}{'rows':>10}{'changed':>9}{'seconds':>9}{'CPU s':>8}{'peak MiB':>10}{'load':>6}")
    with tempfile.TemporaryDirectory(prefix="pressrun-bench-") as folder:
        for figure in chain(planned(Path(folder), options.planned), rendered(Path(folder), options.rows)):
            figures.append(figure)
            print(
                f"{figure['step']:<6}{figure['rows']:>10,}{figure['changed']:>8}%{figure['seconds']:>9.2f}"
                f"{figure['cpu_seconds']:>8.2f}{figure['peak_mib']:>10,.0f}{figure['load']:>6.1f}",
                flush=True,
            )
    nights = {figure["changed"]: figure["seconds"] for figure in figures if figure["step"] == "night"}
    if nights:
        line = {share: nights[0] + (nights[100] - nights[0]) * share / 100 for share in SHARES}
        print("on the line: " + "  ".join(f"{share} % {seconds:.1f} s" for share, seconds in line.items()))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def planned(folder: Path, rows: int) -> Iterator[dict[str, Any]]:
    """Dry runs against a job that looks finished."""
    if not rows:
        return
    write_references(folder / "references")
    manifest = folder / "catalog.parquet"
    write_catalog(manifest, rows)
    build(manifest, str(folder / "earlier"))
    for share in SHARES:
        tonight = changed(manifest, share)
        yield night("plan", rows, share, tonight, folder / "tonight", folder / "earlier", "--dry-run")


def rendered(folder: Path, rows: int) -> Iterator[dict[str, Any]]:
    """Nights that are rendered, of pictures as small as they can be."""
    if not rows:
        return
    manifest = folder / "small.parquet"
    ids = pa.array(range(rows)).cast(pa.string())
    sides = pa.array([64] * rows)
    pq.write_table(
        pa.table(
            {
                "custom_id": ids,
                "prompt": pc.binary_join_element_wise("a red mug, no. ", ids, ""),
                "width": sides,
                "height": sides,
            }
        ),
        manifest,
    )
    pressrun("render", str(manifest), "--out", str(folder / "first"))
    for share in SHARES:
        yield night("night", rows, share, changed(manifest, share), folder / f"night-{share}", folder / "first")


def changed(manifest: Path, share: int) -> Path:
    """The manifest with other prompts in that share of its rows, spread over it."""
    table = pq.read_table(manifest)
    ids = pa.array(range(table.num_rows))
    hit = pc.less(pc.subtract(ids, pc.multiply(pc.divide(ids, 100), 100)), share)
    prompts = pc.if_else(
        hit, pc.binary_join_element_wise(table["prompt"].combine_chunks(), "new", ", "), table["prompt"]
    )
    path = manifest.with_name(f"{manifest.stem}-{share}.parquet")
    pq.write_table(table.set_column(table.column_names.index("prompt"), "prompt", prompts), path)
    return path


def night(step: str, rows: int, share: int, manifest: Path, out: Path, earlier: Path, *more: str) -> dict[str, Any]:
    """One command, checked against what it has to say."""
    measured = pressrun("render", str(manifest), "--out", str(out), "--since", str(earlier), *more)
    said = json.loads(measured.out)
    expected = -(-rows * share // 100)
    if said["changes"]["rows"] != expected or said["cached"] != rows - expected:
        raise SystemExit(f"{step} at {share} % said {measured.out[:2000]}")
    figures = {"seconds": measured.seconds, "cpu_seconds": measured.cpu_seconds, "peak_mib": measured.peak_mib}
    return {"step": step, "rows": rows, "changed": share, **figures, "load": os.getloadavg()[0]}


if __name__ == "__main__":
    sys.exit(main())
