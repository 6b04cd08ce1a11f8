"""Contrast as WCAG 2.2 measures it, between a colour and every pixel behind it; and a scrim that makes enough of it."""

from bisect import bisect_left

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

AA = 4.5
"""What WCAG 2.2 asks of text at level AA (success criterion 1.4.3); large text would do with 3."""

_STEPS = 20


def rgb(colour: str) -> np.ndarray:
    """`#rrggbb` as three values from 0 to 255."""
    return np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)], np.float64)


def luminance(colours: np.ndarray) -> np.ndarray:
    """Relative luminance (…) of sRGB colours (…, 3), 0 to 255 (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    values = np.asarray(colours, np.float64) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ np.array([0.2126, 0.7152, 0.0722]))


def contrast(colour: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Contrast ratio (…), 1 to 21, of a colour and each pixel of a ground (…, 3)."""
    one, other = luminance(colour), luminance(ground)
    return np.asarray((np.maximum(one, other) + 0.05) / (np.minimum(one, other) + 0.05))


def least_contrast(colour: np.ndarray, ground: np.ndarray) -> float:
    """The contrast at the pixel where it is worst; `ground` is (N, 3)."""
    if not len(ground):
        return 21.0
    levels = luminance(ground)
    return float(contrast(colour, ground[[levels.argmin(), levels.argmax()]]).min())


def under(mask: np.ndarray, reach: int) -> np.ndarray:
    """Which pixels are behind type or within `reach` pixels of it; `mask` (H, W) is its coverage, 0 to 255."""
    picture = Image.fromarray(mask)
    box = picture.getbbox()
    behind = np.zeros(mask.shape, bool)
    if box:
        left, top = max(box[0] - reach, 0), max(box[1] - reach, 0)
        right, bottom = min(box[2] + reach, picture.width), min(box[3] + reach, picture.height)
        grown = picture.crop((left, top, right, bottom))
        for _ in range(reach):
            grown = grown.filter(ImageFilter.MaxFilter(3))
        behind[top:bottom, left:right] = np.asarray(grown) > 0
    return behind


def scrim_under(size: tuple[int, int], box: tuple[float, float, float, float], softness: float) -> np.ndarray:
    """Coverage (H, W), 0 to 1, of a scrim on a picture of `size` (width, height): whole on `box` (left, top, right,
    bottom), gone three times `softness` pixels further out."""
    mask = Image.new("L", size)
    left, top, right, bottom = box
    out = 2.2 * softness
    ImageDraw.Draw(mask).rounded_rectangle((left - out, top - out, right + out, bottom + out), softness * 2, fill=255)
    soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(softness)), np.float64) / 255
    return np.minimum(soft / 0.97, 1.0)


def weakest_scrim(
    pixels: np.ndarray, colour: np.ndarray, behind: np.ndarray, cover: np.ndarray, ratio: float
) -> tuple[float, np.ndarray] | None:
    """How strong a scrim has to be for `colour` to have `ratio` to all pixels `behind` it, and the picture with it;
    None where even the strongest is too weak. Its tint is the ground's own, made dark or light."""
    mean = pixels[behind].mean(axis=0) if behind.any() else np.zeros(3)
    light = luminance(colour) > 0.18
    for tint in (mean * 0.16 if light else 255 - (255 - mean) * 0.08, np.zeros(3) if light else np.full(3, 255.0)):
        strength = _weakest(pixels[behind], colour, tint, cover[behind], ratio)
        if strength:
            return strength, laid_where(pixels, tint, strength * cover)
    return None


def _weakest(ground: np.ndarray, colour: np.ndarray, tint: np.ndarray, cover: np.ndarray, ratio: float) -> float:
    """The least strength of a scrim on `ground` (N, 3), in twentieths; 0 where even the whole one is too weak."""

    def is_enough(step: int) -> bool:
        return least_contrast(colour, laid(ground, tint, step / _STEPS * cover)) >= ratio

    return (1 + bisect_left(range(1, _STEPS), True, key=is_enough)) / _STEPS if is_enough(_STEPS) else 0.0


def laid(pixels: np.ndarray, tint: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """Pixels (…, 3) with a colour over them, as opaque as `cover` (…) says."""
    share = cover.astype(np.float32)[..., None]
    return np.asarray(np.rint(pixels * (1 - share) + tint.astype(np.float32) * share), np.uint8)


def laid_where(pixels: np.ndarray, tint: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """As `laid`, on a picture (H, W, 3) of which `cover` (H, W) leaves most alone."""
    rows, columns = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
    if not len(rows):
        return pixels
    part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    out = pixels.copy()
    out[part] = laid(pixels[part], tint, cover[part])
    return out
