"""The sheet of pictures on the model card: what the model draws, nothing selected."""

from pathlib import Path

from diffusers import Flux2KleinPipeline
from PIL import Image

from pipeline.mini.captions import plain_caption
from pipeline.mini.rendering import DEFAULT_STEPS, render
from pipeline.mini.vocabulary import COLOURS, PRODUCTS, SCENES

SIDE = 256
WHEN = ("", " in spring", " in summer", " in autumn", " in winter", " in the morning", " at noon", " in the evening")


def sheet(pipeline: Flux2KleinPipeline, steps: int = DEFAULT_STEPS) -> Image.Image:
    """Ten places by eight seasons and times of day (the first column names none); products and colours in turn."""
    colours = list(COLOURS)
    page = Image.new("RGB", (len(WHEN) * SIDE, len(SCENES) * SIDE))
    for row, place in enumerate(SCENES):
        numbers = range(row * len(WHEN), (row + 1) * len(WHEN))
        prompts = [
            plain_caption(PRODUCTS[k % len(PRODUCTS)], colours[7 * k % len(colours)], place) + when
            for k, when in zip(numbers, WHEN, strict=True)
        ]
        pictures = render(pipeline, prompts, list(numbers), width=SIDE, height=SIDE, steps=steps)
        for column, picture in enumerate(pictures):
            page.paste(picture, (SIDE * column, SIDE * row))
    return page


def save_small(page: Image.Image, path: Path) -> None:
    """Write a sheet at half its size in 256 dithered colours: some hundred KB, as a repository likes it."""
    small = page.resize((page.width // 2, page.height // 2), Image.Resampling.LANCZOS)
    palette = small.quantize(256, method=Image.Quantize.MEDIANCUT)
    small.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
