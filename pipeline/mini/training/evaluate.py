"""Measure the shipped model: does it draw what it is asked for, on combinations that its training never showed?

`python -m pressrun.pipeline.mini.training.evaluate` prints a table; `--json FILE` writes the same figures, `--sheet
FILE` and `--reference-sheet FILE` pictures.
"""

import argparse
import json
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import Flux2KleinPipeline
from PIL import Image

from pressrun.pipeline.mini.training.captions import ENGLISH, caption
from pressrun.pipeline.mini.training.dataset import LARGE, MIDDLE, SMALL
from pressrun.pipeline.mini.training.export import MODEL_FOLDER, load
from pressrun.pipeline.mini.training.judge import load_judge, verdicts
from pressrun.pipeline.mini.training.languages import LANGUAGES
from pressrun.pipeline.mini.training.rendering import DEFAULT_STEPS, render
from pressrun.pipeline.mini.training.scenes import Scene, draw, dressed
from pressrun.pipeline.mini.training.sheet import reference_sheet, save_small, sheet
from pressrun.pipeline.mini.training.train_autoencoder import psnr
from pressrun.pipeline.mini.training.train_judge import accuracy, held_out_scenes
from pressrun.pipeline.mini.training.vocabulary import ANY, ATTRIBUTES, COLOURS, PRODUCTS, SCENES

MAIN = ("product", "colour", "scene")
SQUARE = MIDDLE[0]
TOKENS_AT_ONCE = 4096  # pictures are rendered in batches of so many tokens


@dataclass(frozen=True)
class Shares:
    """Share of pictures, 0..1, in which the judge names what was asked for; `all` is product, colour and scene.

    `season` and `time` count only the pictures for which one was asked, and are None where none was.
    """

    product: float
    colour: float
    scene: float
    all: float
    season: float | None
    time: float | None


@dataclass(frozen=True)
class Report:
    """What an evaluation found. All combinations are held out; `seconds` is one picture of 256 x 256 alone, warm."""

    pictures: int
    steps: int
    threads: int
    prompts: Shares
    references: dict[str, Shares]
    languages: dict[str, Shares]
    sizes: dict[str, Shares]
    four_steps: Shares
    judge: Shares
    psnr: float
    seconds: float


def prompts_for(scenes: Sequence[Scene], language: str = ENGLISH, seed: int = 0) -> list[str]:
    """One prompt a scene, in the phrasings of the captions."""
    rng = random.Random(seed)
    return [caption(scene, rng, language=language) for scene in scenes]


def render_all(
    pipeline: Flux2KleinPipeline,
    scenes: Sequence[Scene],
    prompts: Sequence[str],
    steps: int = DEFAULT_STEPS,
    shape: tuple[int, int] = SQUARE,
) -> list[Image.Image]:
    """All pictures at `shape` (width, height), in batches."""
    width, height = shape
    batch = max(TOKENS_AT_ONCE * 256 // (width * height), 1)
    found: list[Image.Image] = []
    for i in range(0, len(scenes), batch):
        seeds = [scene.seed for scene in scenes[i : i + batch]]
        found += render(pipeline, prompts[i : i + batch], seeds, width=width, height=height, steps=steps)
    return found


def render_referenced(
    pipeline: Flux2KleinPipeline, scenes: Sequence[Scene], kind: str, steps: int
) -> list[Image.Image]:
    """Each scene asked for by reference pictures, drawn small, and the words that a caption of `kind` has for it."""
    rng = random.Random(3)
    found = []
    for number, scene in enumerate(scenes):
        elsewhere = rng.choice([name for name in SCENES if name != scene.scene])
        shown = dressed(scene.product, scene.colour, elsewhere, scene.seed + 1, rng)
        said = scene
        if kind == "recoloured":
            shown = replace(shown, colour=rng.choice([name for name in COLOURS if name != scene.colour]))
        elif kind == "place":
            other = rng.choice([name for name in PRODUCTS if name != scene.product])
            shown = replace(scene, product=other, colour=rng.choice(list(COLOURS)), seed=scene.seed + 1)
            said = replace(scene, season=ANY, time=ANY)  # the picture says when as well as where
        prompt = caption(said, random.Random(number), kind=kind)
        reference = draw(shown, *SMALL[0])
        width, height = SQUARE
        found += render(
            pipeline, [prompt], [scene.seed], references=[reference], width=width, height=height, steps=steps
        )
    return found


def shares(scenes: Sequence[Scene], pictures: Sequence[Image.Image]) -> Shares:
    """How often the judge sees what `scenes` asked for."""
    pairs = list(zip(scenes, verdicts(load_judge(), pictures), strict=True))
    right = {what: np.array([getattr(s, what) == getattr(v, what) for s, v in pairs]) for what in ATTRIBUTES}
    asked = {what: np.array([getattr(s, what) != ANY for s in scenes]) for what in ("season", "time")}
    season, time_of_day = (float(right[what][rows].mean()) if rows.any() else None for what, rows in asked.items())
    together = float(np.all([right[what] for what in MAIN], axis=0).mean())
    product, colour, scene = (float(right[what].mean()) for what in MAIN)
    return Shares(product, colour, scene, together, season, time_of_day)


def seconds_alone(pipeline: Flux2KleinPipeline, steps: int, times: int = 5) -> float:
    """Median seconds that one picture of 256 x 256 takes by itself, once warm."""
    width, height = SQUARE
    found = []
    for seed in range(times + 1):
        started = time.monotonic()
        render(pipeline, ["a red mug on a beach in summer"], [seed], width=width, height=height, steps=steps)
        found.append(time.monotonic() - started)
    return float(np.median(found[1:]))


def evaluate(pipeline: Flux2KleinPipeline, pictures: int = 500, steps: int = DEFAULT_STEPS) -> Report:
    """Render `pictures` prompts, two fifths as many by reference, a fifth in each language, an eighth at each size."""
    scenes = held_out_scenes(pictures, seed=1)
    some, few, fewer = (max(pictures * share // 40, 1) for share in (16, 8, 5))

    def by_words(count: int, language: str = ENGLISH, shape: tuple[int, int] = SQUARE, steps: int = steps) -> Shares:
        prompts = prompts_for(scenes[:count], language)
        return shares(scenes[:count], render_all(pipeline, scenes[:count], prompts, steps, shape))

    counts = {"product": some, "recoloured": fewer, "place": fewer}
    drawn = np.stack([np.asarray(draw(scene, *SQUARE)) for scene in held_out_scenes(64)])
    seen = accuracy(load_judge())
    return Report(
        pictures=pictures,
        steps=steps,
        threads=torch.get_num_threads(),
        prompts=by_words(pictures),
        references={
            kind: shares(scenes[:count], render_referenced(pipeline, scenes[:count], kind, steps))
            for kind, count in counts.items()
        },
        languages={name: by_words(few, name) for name in LANGUAGES},
        sizes={f"{w} x {h}": by_words(fewer, shape=(w, h)) for w, h in (SMALL[0], *SMALL[1:], *MIDDLE[1:], *LARGE)},
        four_steps=by_words(few, steps=4),
        judge=Shares(**seen),
        psnr=psnr(pipeline.vae, drawn),
        seconds=seconds_alone(pipeline, steps),
    )


def table(report: Report) -> str:
    """The report for people: what the issue asks, beside what was found; then every figure."""
    found, by_reference = report.prompts, report.references["product"]
    worst = min(report.languages.values(), key=lambda s: s.all)
    goals = [
        ("product right", found.product, 0.95),
        ("colour right", found.colour, 0.95),
        ("scene right", found.scene, 0.95),
        ("all three right", found.all, 0.88),
        ("season right", found.season, 0.90),
        ("time of day right", found.time, 0.90),
        ("product and colour from a reference, scene from the prompt", by_reference.all, 0.90),
        ("all three right in Japanese, German and Chinese (the worst)", worst.all, 0.80),
    ]
    lines = [
        f"{report.pictures} prompts on combinations never seen in training, {report.steps} steps".ljust(62)
        + "found  at least"
    ]
    lines += [f"{name:<60}{value or 0:>7.1%}{goal:>10.0%}" for name, value, goal in goals]
    lines.append(f"{'autoencoder on held-out drawings':<60}{report.psnr:>4.1f} dB{28:>7} dB")
    lines.append(f"{f'one picture of 256 x 256, {report.threads} threads':<60}{report.seconds:>5.2f} s  at most 1 s")
    rows = {"256 x 256": found, "at 4 steps": report.four_steps} | report.languages | report.sizes
    rows |= {f"reference: {kind}": s for kind, s in report.references.items()}
    rows["the judge itself, on 300 drawings"] = report.judge
    lines += ["", f"{'':<34}" + "".join(f"{what:>9}" for what in (*MAIN, "all", "season", "time"))]
    lines += [
        f"{name:<34}" + "".join(f"{value or 0:>9.1%}" for value in asdict(s).values()) for name, s in rows.items()
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the shipped model.")
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--sheet", type=Path, help="write a sheet of pictures here")
    parser.add_argument("--reference-sheet", type=Path, help="write one of pictures by reference here")
    options = parser.parse_args()

    pipeline = load(options.model, torch.float32)
    if options.sheet:
        save_small(sheet(pipeline, options.steps), options.sheet)
    if options.reference_sheet:
        save_small(reference_sheet(pipeline, options.steps), options.reference_sheet)
    report = evaluate(pipeline, options.pictures, options.steps)
    print(table(report))
    if options.json:
        options.json.write_text(json.dumps(asdict(report), indent=2) + "\n")


if __name__ == "__main__":
    main()
