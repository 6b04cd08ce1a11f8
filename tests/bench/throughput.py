"""What batching gains: seconds of a row and pass by the tokens of a shape and the rows of a batch.

    python -m tests.bench.throughput [--model mini] [--precision fp32] [--rows 1,2,4,8] [--sides 64,128,…] [--repeats 5]

Prints a table, and the entry for `pipeline/models/throughput.toml`. CPU seconds of one thread, the least of the
repeats, so that others on the machine do little harm; of a GPU wall seconds. Also how much longer a shape's first unit
takes, and what encoding, decoding and finishing take beside.
"""

import argparse
import io
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pressrun.pipeline.families.flux2.renderer import Renderer
from pressrun.pipeline.families.flux2.shape import shape_of
from pressrun.pipeline.finishing.codec import encode_picture, thumbnail
from pressrun.pipeline.finishing.metadata import Record, write_xmp
from pressrun.pipeline.models.catalogue import find_model
from pressrun.pipeline.request import RenderRequest

STEPS = 2


def timed(work: Callable[[], Any], cuda: bool, repeats: int = 1) -> tuple[float, Any]:
    """The least seconds of the repeats, and what came of the last."""
    best, result = float("inf"), None
    for _ in range(repeats):
        started = time.perf_counter() if cuda else time.process_time()
        result = work()
        if cuda:
            torch.cuda.synchronize()
        best = min(best, (time.perf_counter() if cuda else time.process_time()) - started)
    return best, result


def measure(renderer: Renderer, side: int, batches: list[int], repeats: int, cuda: bool) -> dict[str, Any]:
    """One picture size."""
    embedding = renderer.encode_prompt("a red mug on the beach")
    seconds, first = {}, {}
    for rows in batches:
        requests = [RenderRequest(str(row), "a red mug", side, side, STEPS, 1.0, row) for row in range(rows)]
        again = partial(renderer.denoise, requests, [embedding] * rows, [()] * rows)
        begun, _ = timed(again, cuda)
        spent, latents = timed(again, cuda, repeats)
        seconds[rows], first[rows] = spent / rows / STEPS, begun - spent
    decode, pixels = timed(lambda: renderer.decode(latents[0], requests[0]), cuda, repeats)
    finish, _ = timed(lambda: _finished(pixels), False, repeats)
    tokens = shape_of(requests[0], [], renderer.model).tokens
    return {"side": side, "tokens": tokens, "row": seconds, "first": first, "decode": decode, "finish": finish}


def _finished(pixels: np.ndarray) -> bytes:
    xmp = write_xmp(Record("row-1", 1, "0" * 64, "mini", "0" * 64, "fp32", "cpu", "bench"))
    thumbnail(pixels, xmp=xmp)
    return encode_picture(pixels, "png", xmp)


def entry(model: str, device: str, precision: str, batches: list[int], lines: list[dict[str, Any]]) -> str:
    """The entry for throughput.toml."""
    text = io.StringIO()
    print(f'[[curve]]\nmodel = "{model}"\ndevice = "{device}"\nprecision = "{precision}"', file=text)
    print(f"rows = {batches}\n[curve.seconds]", file=text)
    for line in lines:
        seconds = ", ".join(f"{line['row'][rows]:.5f}" for rows in batches)
        print(f"{line['tokens']} = [{seconds}]", file=text)
    return text.getvalue()


def main() -> None:
    """Print the table and the entry."""
    parser = argparse.ArgumentParser(description="Seconds of a row by tokens and batch.")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rows", type=_numbers, default=[1, 2, 4, 8])
    parser.add_argument("--sides", type=_numbers, default=[64, 96, 128, 192, 256, 384, 512])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    cuda = options.device.startswith("cuda")
    renderer = Renderer.load(find_model(options.model), options.precision, options.device, threads=1)
    print(
        f"{'side':>5}{'tokens':>8}  "
        + "".join(f"{f'{rows} rows':>10}" for rows in options.rows)
        + f"{'decode':>10}{'finish':>10}  first unit of {options.rows[-1]}   (milliseconds of a row and pass)"
    )
    lines = []
    for side in options.sides:
        line = measure(renderer, side, options.rows, options.repeats, cuda)
        lines.append(line)
        cells = [*line["row"].values(), line["decode"], line["finish"]]
        more = line["first"][options.rows[-1]]
        print(
            f"{side:>5}{line['tokens']:>8}  " + "".join(f"{1000 * cell:>10.2f}" for cell in cells),
            f"  +{1000 * more:.0f} ms",
            flush=True,
        )
    seconds, _ = timed(lambda: renderer.encode_prompt("a blue lamp"), cuda, options.repeats)
    print(f"encoding a prompt: {1000 * seconds:.1f} ms\n")
    kind = "cuda" if cuda else "cpu"
    print(entry(options.model, kind, options.precision, options.rows, lines))
    if options.json:
        options.json.write_text(json.dumps({"encode": seconds, "lines": lines}, indent=2) + "\n")


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    main()
