"""What finishing costs: milliseconds a step at 1 and 4 megapixels, and whether it takes time from the denoisers.

    python -m tests.bench.finishing [--rows 48] [--repeats 2] [--replicas N] [--json FILE]

The steps are measured in this process, one thread, medians of five. The denoise busy share comes from whole runs of the
command, plain JPEG and full load (PNG, three renditions, checks, signatures) in turns. With fewer replicas than cores
finishing has cores that no denoiser computes on, as beside a GPU.
"""

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pressrun.cluster.protocol.signing import CERTIFICATE, KEY, Signing
from pressrun.pipeline.checks.likeness import likeness
from pressrun.pipeline.checks.measures import contrast, sharpness
from pressrun.pipeline.finishing.codec import FORMATS, encode_picture, thumbnail
from pressrun.pipeline.finishing.credentials import Claim
from pressrun.pipeline.finishing.development_certificate import make_development_chain
from pressrun.pipeline.finishing.metadata import GENERATED, Record, write_xmp
from pressrun.pipeline.finishing.renditions import Rendition
from pressrun.pipeline.mini.training.scenes import Scene, draw
from tests.bench.measured import run_measured
from tests.opening import open_store

SIDES = {"1 MP": 1024, "4 MP": 2048}
RENDITIONS = (
    Rendition("hero", 1920, 1080, format="webp"),
    Rendition("square", 1080, 1080, format="jpeg"),
    Rendition("thumb", 256, 256, "inside", "webp"),
)
FULL = """
[checks.blank]
[checks.sharpness]
[checks.duplicate]
""" + "".join(
    f'[[renditions]]\nname = "{each.name}"\nwidth = {each.width}\nheight = {each.height}\nfit = "{each.fit}"\n'
    f'format = "{each.format}"\n'
    for each in RENDITIONS
)


def steps(side: int, folder: Path) -> Iterator[tuple[str, float]]:
    """Each step and its milliseconds."""
    pixels = np.asarray(draw(Scene("mug", "red", "beach"), side, side).convert("RGB"))
    xmp = write_xmp(Record("mug-1", 7, "k" * 64, "mini", "d" * 64, "cpu", "fp32", "Pressrun 0", "f" * 64))
    store = open_store(str(folder))
    store.prepare()
    development = make_development_chain()
    signing = Signing(development.chain.decode(), "es256", development.key)
    files = {format: encode_picture(pixels, format, xmp) for format in FORMATS}
    yield "check: blank", median(lambda: contrast(pixels))
    yield "check: sharpness", median(lambda: sharpness(pixels))
    yield "check: duplicate (its hash)", median(lambda: likeness(pixels))
    for rendition in RENDITIONS:
        name = f"rendition {rendition.width} × {rendition.height} ({rendition.fit})"
        made = rendition.of(pixels)
        yield name, median(lambda rendition=rendition: rendition.of(pixels))
        yield (
            f"{name} as {rendition.format}",
            median(lambda r=rendition, made=made: encode_picture(made, r.format, xmp)),
        )
    for format in FORMATS:
        yield f"encode {format} with XMP", median(lambda format=format: encode_picture(pixels, format, xmp))
    for format in FORMATS:
        claim = Claim("mug-1", format, "Pressrun 0", "mini", "d" * 64, GENERATED)
        yield f"sign {format}", median(lambda format=format, claim=claim: signing.sign(files[format], claim))
    yield "thumbnail", median(lambda: thumbnail(pixels, xmp=xmp))
    numbers = iter(range(1_000))
    yield "put png in a folder", median(lambda: store.create(f"images/{side}-{next(numbers)}.png", files["png"]))


def median(work: Callable[[], Any], times: int = 5) -> float:
    """Milliseconds, after one call that is not counted."""
    work()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def busy(folder: Path, rows: int, repeats: int, more: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each run's way of finishing, and its summary."""
    made = {"custom_id": [f"row-{number}" for number in range(rows)], "prompt": ["a red mug on a beach"] * rows}
    pq.write_table(pa.table(made), folder / "manifest.parquet")
    (folder / "full.toml").write_text(FULL)
    development = make_development_chain()
    for path, data in (("chain.pem", development.chain), ("key.pem", development.key)):
        (folder / path).write_bytes(data)
    signer = {CERTIFICATE: str(folder / "chain.pem"), KEY: str(folder / "key.pem")}
    ways = {"plain": ("--format", "jpeg"), "full": ("--finish", str(folder / "full.toml"), "--sign")}
    for turn in range(repeats):
        for way, options in ways.items():
            out = folder / f"{way}-{turn}"
            command = [
                sys.executable,
                "-m",
                "pressrun",
                "render",
                str(folder / "manifest.parquet"),
                "--out",
                str(out),
                "--json",
            ]
            done = run_measured([*command, *options, *more], **signer)
            if done.code not in (0, 1):
                raise SystemExit(done.err)
            yield way, json.loads(done.out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--replicas", type=int, help="as many as a run takes by itself, if not given")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    more = ["--replicas", str(options.replicas)] if options.replicas else []
    with tempfile.TemporaryDirectory() as name:
        tables = {title: dict(steps(side, Path(name) / title)) for title, side in SIDES.items()}
        print(f"load {os.getloadavg()[0]:.1f}\n| step | 1 MP, ms | 4 MP, ms |\n|---|---|---|")
        for step, small in tables["1 MP"].items():
            print(f"| {step} | {small:.1f} | {tables['4 MP'][step]:.1f} |")
        print(
            "\n| finishing | denoise busy | replica busy | finish busy | images/s | load |\n|---|---|---|---|---|---|"
        )
        runs = []
        for way, summary in busy(Path(name), options.rows, options.repeats, more):
            shares = summary["busy"]
            figures = [shares.get(each, 0.0) for each in ("denoise", "replica", "finish")]
            figures.append(summary["images_per_second"])
            runs.append((way, *figures))
            print(f"| {way} | {' | '.join(f'{each:.2f}' for each in figures)} | {os.getloadavg()[0]:.1f} |")
        plain, full = ([100 * run[1] for run in runs if run[0] == way] for way in ("plain", "full"))
        points = statistics.mean(full) - statistics.mean(plain)
        spread = ""
        if options.repeats > 1:  # a single run's share is worth little: two of the same kind differ by as much
            error = math.sqrt((statistics.variance(plain) + statistics.variance(full)) / options.repeats)
            spread = f" (standard error {error:.1f})"
        print(f"\nDenoise busy share: {points:+.1f} points with full finishing{spread}.")
    if options.json:
        Path(options.json).write_text(json.dumps({"steps": tables, "runs": runs}, indent=2))


if __name__ == "__main__":
    main()
