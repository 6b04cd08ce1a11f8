"""How often each check is wrong: false alarms on mini's pictures, misses on spoiled copies of them.

    python -m tests.bench.checks [--pictures 84] [--json FILE]

The thresholds of `pipeline.checks.spec` were chosen by this table (docs/checks.md). Texts are set in Pillow's own
typeface over pictures enlarged to 640 pixels, because mini cannot write.
"""

import argparse
import io
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from pressrun.pipeline.checks.likeness import likeness
from pressrun.pipeline.checks.measures import contrast, sharpness
from pressrun.pipeline.checks.spec import LEAST
from pressrun.pipeline.checks.text import read_text, text_score
from pressrun.pipeline.families.flux2.renderer import Renderer
from pressrun.pipeline.mini.training.vocabulary import COLOURS, PRODUCTS, SCENES
from pressrun.pipeline.models.catalogue import find_model
from pressrun.pipeline.request import RenderRequest, derived_seed

SIDE = 128
WORDS = (
    "Summer Sale",
    "New arrival",
    "50% off today",
    "Free returns",
    "Size 42 to 46",
    "Only in store",
    "Made by hand",
)
TEXTS = 24

Spoil = Callable[[Image.Image], Image.Image]


def pictures(count: int) -> list[Image.Image]:
    """Products, colours and scenes mixed, as mini renders them."""
    model = find_model("mini")
    renderer = Renderer.load(model, "fp32")
    requests = []
    for number in range(count):
        product, colour = PRODUCTS[number % len(PRODUCTS)], list(COLOURS)[number * 5 % len(COLOURS)]
        scene = list(SCENES)[(number * 3 + number // len(SCENES)) % len(SCENES)]
        prompt, seed = f"a {colour} {product}, {scene}", derived_seed(f"cal-{number}")
        requests.append(RenderRequest(f"{number}", prompt, SIDE, SIDE, model.steps, model.guidance, seed))
    made: list[Image.Image] = []
    rest = iter(requests)
    while some := list(islice(rest, 6)):
        made += renderer.render(some)
    return made


def flattened(share: float) -> Spoil:
    """What is left of the contrast."""

    def spoil(picture: Image.Image) -> Image.Image:
        pixels = np.asarray(picture).astype(float)
        mean = pixels.mean((0, 1))
        return Image.fromarray((mean + (pixels - mean) * share).round().clip(0, 255).astype(np.uint8))

    return spoil


def as_jpeg(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=50)
    return Image.open(file).convert("RGB")


def noise(picture: Image.Image) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8))


def cropped(border: int) -> Spoil:
    box = (border, border, SIDE - border, SIDE - border)
    return lambda picture: picture.crop(box).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


BLANK: dict[str, Spoil] = {
    "one colour": flattened(0.0),
    "5 % of its contrast": flattened(0.05),
    "10 % of its contrast": flattened(0.1),
    "20 % of its contrast": flattened(0.2),
    "nothing but noise": noise,
}
UNSHARP: dict[str, Spoil] = {
    f"blurred by {radius:g} px": lambda picture, radius=radius: picture.filter(ImageFilter.GaussianBlur(radius))
    for radius in (1, 1.5, 2, 3, 4)
}
ALIKE: dict[str, Spoil] = {
    "as JPEG of quality 50": as_jpeg,
    "at half the size": lambda picture: picture.resize((SIDE // 2, SIDE // 2), Image.Resampling.BOX),
    "8 % brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.08),
    "2 px cut off all round": cropped(2),
    "4 px cut off all round": cropped(4),
}


def rows(made: list[Image.Image]) -> Iterator[tuple[str, str, int, int, bool]]:
    """check, case, how many of how many failed, and whether they should."""

    def failed(check: str, scores: list[float]) -> tuple[int, int]:
        return sum(score < LEAST[check] for score in scores), len(scores)

    for check, measure, spoils in (("blank", contrast, BLANK), ("sharpness", sharpness, UNSHARP)):
        yield check, "as rendered", *failed(check, [measure(np.asarray(each)) for each in made]), False
        for name, spoil in spoils.items():
            yield check, name, *failed(check, [measure(np.asarray(spoil(each))) for each in made]), True
    hashes = [likeness(np.asarray(each)) for each in made]
    pairs = [(one ^ other).bit_count() for place, one in enumerate(hashes) for other in hashes[:place]]
    yield "duplicate", "pairs of different rows", *failed("duplicate", [float(pair) for pair in pairs]), False
    for name, spoil in ALIKE.items():
        away = [(mark ^ likeness(np.asarray(spoil(each)))).bit_count() for mark, each in zip(hashes, made, strict=True)]
        yield "duplicate", name, *failed("duplicate", [float(distance) for distance in away]), True
    yield from text_rows(made[:TEXTS])


def text_rows(made: list[Image.Image]) -> Iterator[tuple[str, str, int, int, bool]]:
    """As `rows`: texts that stand there, and texts with a letter wrong, missing or too many."""
    good, wrong, missing = [], [], []
    for number, picture in enumerate(made):
        text = f"{WORDS[number % len(WORDS)]} {number}"
        poster = picture.resize((640, 640), Image.Resampling.LANCZOS)
        drawing = ImageDraw.Draw(poster)
        drawing.rectangle((30, 30, 610, 130), fill="white")
        drawing.text((50, 45), text, font=ImageFont.load_default(60), fill=(30, 30, 30))
        read = read_text(np.asarray(poster))
        place = 1 + number % (len(text) - 3)
        letter = "x" if text[place].lower() != "x" else "k"
        good.append(text_score(text, read))
        wrong.append(text_score(text[:place] + letter + text[place + 1 :], read))
        missing.append(text_score(text, read_text(np.asarray(picture.resize((640, 640))))))
    for name, scores, should in (("that stands there", good, False), ("with one letter wrong", wrong, True)):
        yield "text", name, sum(score < LEAST["text"] for score in scores), len(scores), should
    yield "text", "that is missing", sum(score < LEAST["text"] for score in missing), len(missing), True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=84)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    found = list(rows(pictures(options.pictures)))
    print("| check (least) | pictures | wrong | of |\n|---|---|---|---|")
    for check, case, failed, count, should in found:
        kind = "misses" if should else "false alarms"
        print(f"| {check} ({LEAST[check]:g}) | {case} | {count - failed if should else failed} {kind} | {count} |")
    if options.json:
        Path(options.json).write_text(json.dumps([list(row) for row in found], indent=2))


if __name__ == "__main__":
    main()
