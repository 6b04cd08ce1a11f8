"""What one would write without us: one process, diffusers' pipeline, rows of one size together, PNGs to disk.

    python -m tests.bench.diffusers_script MANIFEST OUT [--batch N]
    python -m tests.bench.diffusers_script MANIFEST OUT --try 1,2,4,8,16

The second form renders the manifest's first size with every batch size, after a warm-up, and prints images/s for each.
Threads are PyTorch's own choice: every core.
"""

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from diffusers import Flux2KleinPipeline

MODEL = Path(__file__).resolve().parents[2] / "pipeline/mini/model"
STEPS = 8
RECIPE = {"guidance_scale": 1.0, "max_sequence_length": 48, "text_encoder_out_layers": (1, 2, 3)}

Row = dict[str, Any]


def load() -> Flux2KleinPipeline:
    """The shipped model in its own precision."""
    pipeline = Flux2KleinPipeline.from_pretrained(MODEL, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def render(pipeline: Flux2KleinPipeline, rows: list[Row], out: Path) -> None:
    """One batch, rows of one size."""
    pictures = pipeline(
        prompt=[row["prompt"] for row in rows],
        width=rows[0]["width"],
        height=rows[0]["height"],
        num_inference_steps=STEPS,
        generator=[torch.Generator().manual_seed(row["seed"]) for row in rows],
        **RECIPE,
    ).images
    for row, picture in zip(rows, pictures, strict=True):
        picture.save(out / f"{row['custom_id']}.png")


def by_size(rows: list[Row]) -> list[list[Row]]:
    """Rows of equal width and height."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["width"], row["height"]].append(row)
    return list(groups.values())


def render_all(rows: list[Row], out: Path, batch: int) -> None:
    """The whole manifest."""
    pipeline = load()
    for group in by_size(rows):
        for start in range(0, len(group), batch):
            render(pipeline, group[start : start + batch], out)


def rates(rows: list[Row], out: Path, sizes: list[int]) -> dict[int, float]:
    """Images per second of the first size by batch size."""
    pipeline, group = load(), by_size(rows)[0]
    render(pipeline, group[:1], out)
    found = {}
    for size in sizes:
        started = time.perf_counter()
        for start in range(0, len(group) - size + 1, size):
            render(pipeline, group[start : start + size], out)
        found[size] = len(group) // size * size / (time.perf_counter() - started)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Render a manifest with diffusers alone.")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--try", dest="sizes", type=lambda text: [int(size) for size in text.split(",")])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    table = pq.read_table(options.manifest).to_pylist()
    if options.sizes:
        print(json.dumps(rates(table, options.out, options.sizes)))
    else:
        render_all(table, options.out, options.batch)
