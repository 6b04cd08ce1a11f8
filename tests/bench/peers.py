"""Pressrun beside what one would use instead, a plain diffusers script and Ray Data over an actor pool, and beside the
bare denoiser, which is as fast as the cores are.

    python -m tests.bench.peers [--manifest mixed|variants] [--rows 64] [--more 64] [--repeats 1] [--json FILE]

All render the same manifest with the shipped model and its own recipe, in turns, each time as a process of its own,
with no more help than their authors give. Pressrun's time has all of its work in it: checks, records in the pictures,
thumbnails, results, contact sheet. The bare denoiser (`bare.py`) only denoises and decodes Pressrun's units.

mixed      rows of five sizes, 168 prompts
variants   8 prompts, each with 32 seeds and sizes, as a campaign has them

wall       from the process's start to its end
first      from its start to the first picture in the folder
images/s   rows / wall
steady     the pictures that a longer manifest has more (`--more`) / the seconds that it takes more: without start-up
CPU s      of all processes

The script's and Ray Data's batch size is the one of 1, 2, 4, 8 and 16 that makes the script fastest, found out first.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.bench.measured import Measured, run_measured

SIZES = ((128, 128), (160, 96), (96, 160), (128, 128), (192, 128))
PRODUCTS = ("mug", "bottle", "t-shirt", "sneaker", "handbag", "chair", "lamp", "watch")
COLOURS = ("red", "blue", "green", "yellow", "black", "pink", "orange")
SCENES = ("in a studio", "on the beach", "in the snow", "in a forest", "on marble", "at sunset")


BARE = "bare"


@dataclass(frozen=True)
class Turn:
    """One run of one contender; seconds from its start."""

    contender: str
    rows: int
    wall: float
    first: float
    cpu: float
    peak_mib: float
    busy: float = 0.0
    over_bound: float = 0.0


def write_manifest(path: Path, rows: int, kind: str = "mixed") -> dict[str, tuple[int, int]]:
    """A manifest without references; returns each picture's size."""
    table = []
    for number in range(rows):
        which = number if kind == "mixed" else number // 32 % 8
        width, height = SIZES[number % len(SIZES)]
        prompt = f"a {COLOURS[which % 7]} {PRODUCTS[which % 8]} {SCENES[which % 6]}"
        row = {"custom_id": f"row-{number:04d}", "prompt": prompt, "width": width, "height": height, "seed": number}
        table.append(row)
    pq.write_table(pa.Table.from_pylist(table), path)
    return {str(row["custom_id"]): (int(row["width"]), int(row["height"])) for row in table}


def contenders(batch: int) -> dict[str, Callable[[Path, Path], list[str]]]:
    """The command of each, given a manifest and a folder for the pictures."""
    rest = ["--batch", str(batch)]

    def ours(manifest: Path, out: Path) -> list[str]:
        return ["pressrun", "render", str(manifest), "--out", str(out), "--json"]

    return {
        "pressrun": ours,
        "script": lambda manifest, out: ["tests.bench.diffusers_script", str(manifest), str(out), *rest],
        "ray data": lambda manifest, out: ["tests.bench.ray_data", str(manifest), str(out), *rest],
        BARE: lambda manifest, out: ["tests.bench.bare", str(manifest)],
    }


def take_turn(name: str, command: list[str], out: Path, sizes: dict[str, tuple[int, int]]) -> Turn:
    """Run one contender and check that every picture is there, whole and of its size."""
    started = time.time()
    measured = run(command)
    if name == BARE:  # it keeps no picture
        return Turn(name, len(sizes), measured.seconds, 0.0, measured.cpu_seconds, measured.peak_mib)
    pictures = list((out / "images" if name == "pressrun" else out).glob("*.png"))
    found = {}
    for path in pictures:
        with Image.open(path) as picture:
            picture.load()
            found[path.stem] = picture.size
    if found != sizes:
        raise SystemExit(f"{name} rendered {len(found)} of {len(sizes)} pictures, or some in another size")
    first = min(path.stat().st_mtime for path in pictures) - started
    more = evenness(out) if name == "pressrun" else {}
    shutil.rmtree(out)
    return Turn(name, len(sizes), measured.seconds, first, measured.cpu_seconds, measured.peak_mib, **more)


def evenness(out: Path) -> dict[str, float]:
    """How busy a job's replicas were in steady state, and how much longer they took in all, from the first unit on,
    than their calls would have if they had been divided evenly."""
    spans = json.loads((out / "timeline.json").read_text())["traceEvents"]
    spans = [span for span in spans if span.get("cat") in ("encode", "denoise", "decode")]
    start = min(span["ts"] for span in spans if span["cat"] == "denoise")
    spans = [span for span in spans if span["ts"] >= start]
    wall = max(span["ts"] + span["dur"] for span in spans) - start
    bound = sum(span["dur"] for span in spans) / len({span["tid"] for span in spans})
    busy = json.loads((out / "summary.json").read_text())["busy"]["replica"]
    return {"busy": busy, "over_bound": wall / bound - 1}


def run(command: list[str]) -> Measured:
    """Run a module of ours; it must end well."""
    measured = run_measured([sys.executable, "-m", *command], RAY_ADDRESS="")
    if measured.code:
        raise SystemExit(f"{command[0]} ended with {measured.code}:\n{measured.err[-2000:]}")
    return measured


def report(turns: list[Turn], rows: int, more: int) -> list[dict[str, float | str]]:
    """Medians over the turns, and the ratios of what Pressrun reaches to what the others do."""
    lines = []
    for name in dict.fromkeys(turn.contender for turn in turns):
        short, long = ([t for t in turns if t.contender == name and t.rows == n] for n in (rows, rows + more))
        wall, first, cpu, peak = (median(getattr(t, f) for t in short) for f in ("wall", "first", "cpu", "peak_mib"))
        line: dict[str, float | str] = {
            "contender": name,
            "wall": wall,
            "first": first,
            "images_per_second": rows / wall,
        }
        if more:
            line["steady"] = more / max(1e-9, median(t.wall for t in long) - wall)
            line["cpu_per_image"] = (median(t.cpu for t in long) - cpu) / more
        lines.append(line | {"cpu": cpu, "peak_mib": peak})
    return lines


def table(lines: list[dict[str, float | str]]) -> str:
    """For people: figures, and Pressrun's ratios (above 1: Pressrun is better)."""
    names = ("wall", "first", "images_per_second", "steady", "cpu", "cpu_per_image", "peak_mib")
    heads = ("wall s", "first s", "images/s", "steady", "CPU s", "CPU s/image", "peak MiB")
    rows = ["".join([f"{'':<10}", *(f"{head:>13}" for head in heads)])]
    for line in lines:
        cells = (f"{line[name]:>13.2f}" if line.get(name) else f"{'':>13}" for name in names)
        rows.append(f"{line['contender']:<10}" + "".join(cells))
    ours = lines[0]
    for line in lines[1:]:
        cells = []
        for name in names:
            ratio = float(ours.get(name, 0)) / float(line.get(name, 0) or 1)
            better = ratio if name in ("images_per_second", "steady") else 1 / ratio if ratio else 0
            cells.append(f"{better:>13.2f}" if line.get(name) else f"{'':>13}")
        rows.append(f"× {line['contender']:<8}" + "".join(cells))
    return "\n".join(rows)


def main() -> None:
    """Let the contenders take turns and print what came of it."""
    parser = argparse.ArgumentParser(description="Pressrun beside a diffusers script and Ray Data.")
    parser.add_argument("--manifest", choices=("mixed", "variants"), default="mixed")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--more", type=int, default=64, help="rows that the longer manifest has more; 0: none")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--batch", type=int, help="instead of trying which is fastest")
    parser.add_argument("--only", help="contenders, with commas between")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pressrun-bench-") as name:
        folder = Path(name)
        lengths = [options.rows, options.rows + options.more][: 2 if options.more else 1]
        sizes = {rows: write_manifest(folder / f"{rows}.parquet", rows, options.manifest) for rows in lengths}
        batch, tried = options.batch, {}
        if not batch:
            command = ["tests.bench.diffusers_script", str(folder / f"{lengths[-1]}.parquet"), str(folder / "try")]
            tried = json.loads(run([*command, "--try", "1,2,4,8,16"]).out)
            batch = int(max(tried, key=tried.get))
            print("the script's images/s by batch size:", {size: round(rate, 2) for size, rate in tried.items()})
        chosen = contenders(batch)
        turns = []
        for repeat in range(options.repeats):
            for rows in lengths:
                for contender in options.only.split(",") if options.only else chosen:
                    out = folder / f"{contender}-{rows}-{repeat}".replace(" ", "-")
                    command = chosen[contender](folder / f"{rows}.parquet", out)
                    turns.append(take_turn(contender, command, out, sizes[rows]))
                    print(turns[-1], flush=True)
    lines = report(turns, options.rows, options.more)
    load = os.getloadavg()[0]
    print(
        f"{options.rows} rows, {options.manifest}, batch {batch}, medians of {options.repeats}, load {load:.1f}"
        f" on {os.cpu_count()} cores"
    )
    print(table(lines))
    ours = [turn for turn in turns if turn.contender == "pressrun"]
    if ours:
        busy, over = (median(getattr(turn, field) for turn in ours) for field in ("busy", "over_bound"))
        print(f"Pressrun's replicas: busy {busy:.1%} of steady state; {over:.1%} longer than their work evenly divided")
    if options.json:
        what = {
            "manifest": options.manifest,
            "rows": options.rows,
            "more": options.more,
            "batch": batch,
            "tried": tried,
            "load": load,
        }
        options.json.write_text(json.dumps({**what, "lines": lines, "turns": [asdict(t) for t in turns]}, indent=2))


if __name__ == "__main__":
    main()
