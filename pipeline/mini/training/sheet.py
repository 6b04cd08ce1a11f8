"""The sheets of pictures on the model card: what the model draws by words and by references, nothing selected."""

from pathlib import Path

from diffusers import Flux2KleinPipeline
from PIL import Image

from pressrun.pipeline.mini.training.captions import plain_caption
from pressrun.pipeline.mini.training.dataset import SMALL
from pressrun.pipeline.mini.training.rendering import DEFAULT_STEPS, render
from pressrun.pipeline.mini.training.scenes import Scene, draw
from pressrun.pipeline.mini.training.vocabulary import COLOURS, PRODUCTS, SCENES

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


def reference_sheet(pipeline: Flux2KleinPipeline, steps: int = DEFAULT_STEPS) -> Image.Image:
    """Eight rows: a drawn product, it in another place, it in another colour and place; a drawn place, another product
    there, and the first product there."""
    colours, places = list(COLOURS), list(SCENES)
    page = Image.new("RGB", (6 * SIDE, 8 * SIDE))
    for row in range(8):
        product, other = PRODUCTS[(5 * row) % len(PRODUCTS)], PRODUCTS[(5 * row + 3) % len(PRODUCTS)]
        colour, another = colours[(7 * row) % len(colours)], colours[(7 * row + 5) % len(colours)]
        home, away, place = (places[(3 * row + k) % len(places)] for k in (0, 4, 7))
        shown = draw(Scene(product, colour, home, row), *SMALL[0])
        there = draw(Scene(PRODUCTS[(5 * row + 9) % len(PRODUCTS)], colours[(7 * row + 2) % 12], place, row), *SMALL[0])
        asked = [
            (f"the product of image 1 {SCENES[away][0]}", [shown]),
            (f"the product of image 1 in {another}, {SCENES[away][0]}", [shown]),
            (f"a {another} {other} in the place of image 1", [there]),
            ("the product of image 1 in the place of image 2", [shown, there]),
        ]
        made = [
            render(pipeline, [prompt], [row], references=images, width=SIDE, height=SIDE, steps=steps)[0]
            for prompt, images in asked
        ]
        for column, picture in enumerate((shown, *made[:2], there, *made[2:])):
            page.paste(picture.resize((SIDE, SIDE)), (SIDE * column, SIDE * row))
    return page


def save_small(page: Image.Image, path: Path) -> None:
    """Write a sheet at half its size: as a JPEG some 200 KB, as a repository likes it."""
    page.resize((page.width // 2, page.height // 2), Image.Resampling.LANCZOS).save(path, quality=88, optimize=True)
