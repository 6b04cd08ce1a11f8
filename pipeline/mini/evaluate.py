"""Measure the shipped model: does it draw what it is asked for, on combinations that its training never showed?

`python -m pipeline.mini.evaluate` prints a table; `--json FILE` writes the same figures, `--sheet FILE` a picture.
"""

import argparse
import json
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import Flux2KleinPipeline
from PIL import Image

from pipeline.mini.captions import caption, plain_caption
from pipeline.mini.dataset import SHAPES
from pipeline.mini.export import MODEL_FOLDER, load
from pipeline.mini.judge import load_judge, verdicts
from pipeline.mini.rendering import DEFAULT_STEPS, render
from pipeline.mini.scenes import Scene, draw
from pipeline.mini.train_autoencoder import psnr
from pipeline.mini.train_judge import accuracy, held_out_scenes
from pipeline.mini.vocabulary import ATTRIBUTES, COLOURS, PRODUCTS, SCENES, combinations

BATCH = 10


@dataclass(frozen=True)
class Shares:
    """Share of pictures, 0..1, in which the judge names the attribute that was asked for; `all` is all three."""

    product: float
    colour: float
    scene: float
    all: float


@dataclass(frozen=True)
class Report:
    """What an evaluation found. Times are seconds; `psnr` is dB on drawings of held-out combinations."""

    pictures: int
    steps: int
    overall: Shares
    never_seen: Shares
    referenced: Shares
    judge: Shares
    psnr: float
    seconds_per_picture: float


def prompts_for(scenes: list[Scene], seed: int = 0) -> list[str]:
    """One prompt a scene, in the phrasings of the captions."""
    rng = random.Random(seed)
    return [caption(s.product, s.colour, s.scene, rng) for s in scenes]


def held_out_prompts(pictures: int, seed: int = 1) -> list[Scene]:
    """What to ask for: the first half combinations that training never showed, the others ones that it did."""
    rng = random.Random(seed)
    seen = [Scene(*rng.choice(combinations(held=False)), seed=20_000_000 + i) for i in range(pictures - pictures // 2)]
    return held_out_scenes(pictures // 2, seed) + seen


def render_all(
    pipeline: Flux2KleinPipeline, scenes: list[Scene], prompts: list[str], steps: int
) -> tuple[list[Image.Image], float]:
    """All pictures at 128 x 128 in batches, and the seconds a picture took."""
    started = time.monotonic()
    found: list[Image.Image] = []
    for i in range(0, len(scenes), BATCH):
        seeds = [scene.seed for scene in scenes[i : i + BATCH]]
        found += render(pipeline, prompts[i : i + BATCH], seeds, steps=steps)
    return found, (time.monotonic() - started) / len(scenes)


def render_referenced(pipeline: Flux2KleinPipeline, scenes: list[Scene], steps: int) -> list[Image.Image]:
    """Each scene asked for by a reference: its product, drawn in another place, and the words for the new one."""
    rng = random.Random(3)
    found = []
    for scene in scenes:
        elsewhere = rng.choice([name for name in SCENES if name != scene.scene])
        shown = draw(Scene(scene.product, scene.colour, elsewhere, scene.seed + 1), *SHAPES[0])
        prompt = caption(scene.product, scene.colour, scene.scene, rng, kind="product")
        found += render(pipeline, [prompt], [scene.seed], references=[shown], steps=steps)
    return found


def shares(scenes: list[Scene], pictures: list[Image.Image]) -> Shares:
    """How often the judge sees what `scenes` asked for."""
    seen = verdicts(load_judge(), pictures)
    rows = [[getattr(s, what) == getattr(v, what) for what in ATTRIBUTES] for s, v in zip(scenes, seen, strict=True)]
    right = np.array(rows, dtype=float)  # (N, 3)
    product, colour, scene = right.mean(axis=0)
    return Shares(float(product), float(colour), float(scene), float(right.all(axis=1).mean()))


def evaluate(pipeline: Flux2KleinPipeline, pictures: int = 200, steps: int = DEFAULT_STEPS) -> Report:
    """Render `pictures` prompts, and a fifth as many by reference, and let the judge look at them."""
    scenes = held_out_prompts(pictures)
    rendered, seconds = render_all(pipeline, scenes, prompts_for(scenes), steps)
    half = pictures // 2
    by_reference = held_out_scenes(max(pictures // 5, 1), seed=2)
    drawn = np.stack([np.asarray(draw(scene, *SHAPES[0])) for scene in held_out_scenes(64)])
    return Report(
        pictures=pictures,
        steps=steps,
        overall=shares(scenes, rendered),
        never_seen=shares(scenes[:half], rendered[:half]),
        referenced=shares(by_reference, render_referenced(pipeline, by_reference, steps)),
        judge=Shares(**accuracy(load_judge())),
        psnr=psnr(pipeline.vae, drawn),
        seconds_per_picture=seconds,
    )


def table(report: Report) -> str:
    """The report for people."""
    half, fifth = report.pictures // 2, max(report.pictures // 5, 1)
    rows = [
        (f"all {report.pictures} prompts", report.overall),
        (f"the {half} of them on combinations never seen", report.never_seen),
        (f"product and colour from a reference ({fifth})", report.referenced),
        ("the judge itself, on held-out drawings (300)", report.judge),
    ]
    lines = [f"{'':<48}{'product':>9}{'colour':>9}{'scene':>9}{'all':>9}"]
    lines += [f"{name:<48}{s.product:>9.1%}{s.colour:>9.1%}{s.scene:>9.1%}{s.all:>9.1%}" for name, s in rows]
    lines.append(f"autoencoder on held-out drawings: {report.psnr:.1f} dB")
    seconds = report.seconds_per_picture
    lines.append(f"{seconds:.3f} s a picture of 128 x 128 at {report.steps} steps, in batches of {BATCH}")
    return "\n".join(lines)


def sheet(pipeline: Flux2KleinPipeline, steps: int = DEFAULT_STEPS) -> Image.Image:
    """Ten places by fourteen products, colours in turn: what the model draws, nothing selected."""
    colours = list(COLOURS)
    page = Image.new("RGB", (len(PRODUCTS) * 128, len(SCENES) * 128))
    for row, place in enumerate(SCENES):
        hues = [colours[(5 * row + column) % len(colours)] for column in range(len(PRODUCTS))]
        prompts = [plain_caption(product, hue, place) for product, hue in zip(PRODUCTS, hues, strict=True)]
        pictures = render(pipeline, prompts, [100 * row + i for i in range(len(prompts))], steps=steps)
        for column, picture in enumerate(pictures):
            page.paste(picture, (128 * column, 128 * row))
    return page


def save_small(page: Image.Image, path: Path) -> None:
    """Write a sheet at five eighths of its size in 256 dithered colours: some 300 KB, as a repository likes it."""
    small = page.resize((page.width * 5 // 8, page.height * 5 // 8), Image.Resampling.LANCZOS)
    palette = small.quantize(256, method=Image.Quantize.MEDIANCUT)
    small.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the shipped model.")
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--sheet", type=Path, help="write a sheet of pictures here (JPEG or PNG by its name)")
    options = parser.parse_args()

    pipeline = load(options.model, torch.float32)
    if options.sheet:
        save_small(sheet(pipeline, options.steps), options.sheet)
    report = evaluate(pipeline, options.pictures, options.steps)
    print(table(report))
    if options.json:
        options.json.write_text(json.dumps(asdict(report), indent=2) + "\n")


if __name__ == "__main__":
    main()
