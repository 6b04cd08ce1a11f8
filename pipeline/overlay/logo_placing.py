"""Logos on a picture: the file that is seen on what is behind it, and a plate under it where none is."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.overlay.contrast import contrast, laid, laid_where, rgb
from pressrun.pipeline.overlay.copy_spec import Box, LogoStyle

_RIM = 5
"""Pixels of the square within which ink that has something else in it is a logo's outline."""
_FAVOURABLE = 10
"""Per cent of a logo's outline that may have less contrast than is told: a highlight, a colour of its own."""
_CLEAR = 0.35
"""How far a plate stands out beyond its logo, in the logo's shorter sides."""


@dataclass(frozen=True)
class _Drawn:
    """A logo at its size and in its place: left and top in pixels, `ink` (H, W, 4) with its opacity, and its contrast
    along its outline to what is behind."""

    left: int
    top: int
    ink: np.ndarray
    ratio: float


def with_logo(pixels: np.ndarray, style: LogoStyle, box: Box, logos: Mapping[str, Image.Image]) -> np.ndarray:
    """A picture (H, W, 3) with the first of a style's files that has its contrast to what is behind it; where none has,
    with the one that has most, on a plate.

    Raises:
        RequestError: `low_contrast`, where the style wants no plate.
    """
    drawn = [_drawn(pixels, logos[file], style, box) for file in style.files]
    chosen = next((one for one in drawn if one.ratio >= style.ratio), None)
    if chosen is None and style.remedy == "fail":
        best = max(one.ratio for one in drawn)
        raise RequestError(
            "low_contrast",
            f"The logo {', '.join(style.files)} has a contrast of {best:.1f} to what is behind it, and "
            f'{style.ratio:g} is wanted; give another file or box, or remedy = "plate".',
        )
    if chosen is None:
        pixels, chosen = _on_a_plate(pixels, style, box, logos)
    part = (slice(chosen.top, chosen.top + chosen.ink.shape[0]), slice(chosen.left, chosen.left + chosen.ink.shape[1]))
    pixels = pixels.copy()
    pixels[part] = laid(pixels[part], chosen.ink[..., :3], chosen.ink[..., 3] / 255)
    return pixels


def _on_a_plate(
    pixels: np.ndarray, style: LogoStyle, box: Box, logos: Mapping[str, Image.Image]
) -> tuple[np.ndarray, _Drawn]:
    """The picture with a plate, and the logo that is seen best on one."""
    found = []
    for colour in [style.panel] if style.panel else ["#ffffff", "#111111"]:
        plate = np.broadcast_to(rgb(colour), pixels.shape)
        found += [(_drawn(plate, logos[file], style, box), colour) for file in style.files]
    best, colour = max(found, key=lambda one: one[0].ratio)
    height, width = best.ink.shape[:2]
    clear = _CLEAR * min(height, width)
    sides = (best.left - clear, best.top - clear, best.left + width + clear, best.top + height + clear)
    return laid_where(pixels, rgb(colour), rounded(pixels.shape[1::-1], sides, clear)), best


def _drawn(ground: np.ndarray, logo: Image.Image, style: LogoStyle, box: Box) -> _Drawn:
    left, top, right, bottom = box
    scale = min((right - left) / logo.width, (bottom - top) / logo.height)
    size = max(1, round(logo.width * scale)), max(1, round(logo.height * scale))
    x = round(aligned(style.align, left, right, size[0]))
    y = round(aligned(style.valign, top, bottom, size[1]))
    drawn = np.asarray(logo.resize(size, Image.Resampling.LANCZOS), np.float64)
    behind = ground[y : y + size[1], x : x + size[0]]
    drawn = drawn[: behind.shape[0], : behind.shape[1]]
    rim = _outline(drawn[..., 3] > 127)
    ratios = contrast(drawn[..., :3][rim], behind[rim])
    return _Drawn(x, y, drawn, float(np.percentile(ratios, _FAVOURABLE)) if ratios.size else 1.0)


def _outline(ink: np.ndarray) -> np.ndarray:
    """Where a logo's ink (H, W) ends: what is inside has its own colours behind it, not the picture's."""
    framed = Image.fromarray(np.pad(ink, _RIM).astype(np.uint8) * 255)
    inside = np.asarray(framed.filter(ImageFilter.MinFilter(_RIM)))[_RIM:-_RIM, _RIM:-_RIM] > 0
    return np.asarray(ink & ~inside)


def aligned(align: str, start: float, end: float, length: float) -> float:
    """Where something of a `length` begins between `start` and `end`."""
    share = {"left": 0.0, "top": 0.0, "centre": 0.5, "middle": 0.5, "right": 1.0, "bottom": 1.0}[align]
    return start + (end - start - length) * share


def rounded(size: tuple[int, int], box: Box, radius: float) -> np.ndarray:
    """Coverage (H, W), 0 to 1, of a rectangle with round corners on a picture of `size` (width, height); drawn four
    times as large, for its edges."""
    factor = 4
    left, top = max(int(box[0]) - 1, 0), max(int(box[1]) - 1, 0)
    width, height = min(int(box[2]) + 2, size[0]) - left, min(int(box[3]) + 2, size[1]) - top
    mask = Image.new("L", (width * factor, height * factor))
    corners = [(side - start) * factor for side, start in zip(box, (left, top, left, top), strict=True)]
    ImageDraw.Draw(mask).rounded_rectangle(corners, radius * factor, fill=255)
    cover = np.zeros((size[1], size[0]))
    cover[top : top + height, left : left + width] = (
        np.asarray(mask.resize((width, height), Image.Resampling.BOX)) / 255
    )
    return cover
