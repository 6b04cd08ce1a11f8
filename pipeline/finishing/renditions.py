"""Renditions: one render in several sizes, each cut or padded by a rule and encoded in a format of its own."""

import re
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pressrun.pipeline.finishing.codec import FORMATS, LOSSY
from pressrun.pipeline.strict_table import StrictTable

FITS = ("crop", "pad", "inside")
ANCHORS = {"centre": (0.5, 0.5), "top": (0.5, 0.0), "bottom": (0.5, 1.0), "left": (0.0, 0.5), "right": (1.0, 0.5)}
"""What stays in the picture when the rest is cropped off, as shares of the surplus on the left and above."""

MAX_RENDITIONS = 20
MAX_SIDE = 16_383
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Rendition:
    """One output of every row. `width` and `height` are pixels, `quality` is None where the format has none.

    `fit` says how a picture of another shape comes to that size: `crop` covers it and cuts off what stands out on the
    sides away from `anchor`, `pad` fits into it and fills the rest with `background`, `inside` fits into it and keeps
    the picture's own shape, so that one side may be shorter. A `bare` one gets none of the words and logos that are set
    on the others.
    """

    name: str
    width: int
    height: int
    fit: str = "crop"
    format: str = "png"
    quality: int | None = None
    anchor: str = "centre"
    background: str = "#ffffff"
    bare: bool = False

    def size_of(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the rendition of a picture of so many pixels."""
        return self._within(width, height) if self.fit == "inside" else (self.width, self.height)

    def of(self, pixels: np.ndarray) -> np.ndarray:
        """The rendition of a picture, uint8 (H, W, 3) in sRGB; resampled once, with Lanczos' kernel."""
        height, width = pixels.shape[:2]
        if self.fit == "crop":
            return self._cropped(Image.fromarray(pixels), max(self.width / width, self.height / height))
        size = self._within(width, height)
        scaled = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
        if self.fit == "inside":
            return np.asarray(scaled)
        canvas = Image.new("RGB", (self.width, self.height), self.background)
        canvas.paste(scaled, ((self.width - size[0]) // 2, (self.height - size[1]) // 2))
        return np.asarray(canvas)

    def _within(self, width: int, height: int) -> tuple[int, int]:
        scale = min(self.width / width, self.height / height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def _cropped(self, picture: Image.Image, scale: float) -> np.ndarray:
        across, down = ANCHORS[self.anchor]
        width, height = self.width / scale, self.height / scale  # of the part that is kept
        left, top = (picture.width - width) * across, (picture.height - height) * down
        box = (left, top, min(left + width, picture.width), min(top + height, picture.height))
        return np.asarray(picture.resize((self.width, self.height), Image.Resampling.LANCZOS, box=box))


def read_renditions(spec: StrictTable) -> tuple[Rendition, ...]:
    """The `[[renditions]]` of a finishing spec; what is wrong with them is noted there."""
    tables = spec.tables("renditions")
    renditions = tuple(map(_read_rendition, tables))
    names = [rendition.name for rendition in renditions if rendition.name]
    for name in sorted({name for name in names if names.count(name) > 1}):
        spec.note(f"several renditions are called “{name}”; each needs a name of its own.")
    if len(renditions) > MAX_RENDITIONS:
        spec.note(f"there are {len(renditions)} renditions; at most {MAX_RENDITIONS} can be made of a picture.")
    return renditions


def _read_rendition(table: StrictTable) -> Rendition:
    name = table.text("name", required=True)
    if name and not _NAME.fullmatch(name):
        table.note(f"the name “{name}” must be up to 32 small letters, digits, - and _: it is part of a file's name.")
    fit = table.text("fit", "crop", choices=FITS)
    format = table.text("format", "png", choices=FORMATS)
    width = table.whole("width", 1, MAX_SIDE, 1, required=True)
    height = table.whole("height", 1, MAX_SIDE, 1, required=True)
    quality = read_quality(table, format)
    anchor = table.text("anchor", "centre", choices=tuple(ANCHORS))
    background = table.text("background", "#ffffff")
    if table.has("anchor") and fit != "crop":
        table.note(f"“anchor” says what a crop keeps; this rendition is made to fit by “{fit}”.")
    if table.has("background") and fit != "pad":
        table.note(f"“background” fills what is padded; this rendition is made to fit by “{fit}”.")
    if not _COLOUR.fullmatch(background):
        table.note(f"“background” is “{background}”; write a colour as #rrggbb.")
    bare = table.truth("bare")
    table.end()
    return Rendition(name, width, height, fit, format, quality, anchor, background.lower(), bare)


def read_quality(table: StrictTable, format: str) -> int | None:
    """The field `quality`; the lossless format has none."""
    quality: int | None = table.whole("quality", 1, 100)
    if quality is not None and format not in LOSSY:
        table.note(f"{format} is lossless, so “quality” means nothing to it; leave it out.")
    return quality
