"""A brush that paints solid-looking parts: each part is a mask, lit as though it were slightly inflated.

Coordinates are fractions of a square canvas, y downwards. Anti-aliasing is the caller's: paint larger, then shrink.
"""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pipeline.mini.vocabulary import Rgb

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Shape = Callable[[ImageDraw.ImageDraw, int], None]


def polygon(*points: Point) -> Shape:
    """A filled polygon through `points`."""
    return lambda draw, size: draw.polygon([(x * size, y * size) for x, y in points], fill=255)


def smooth(*points: Point) -> Shape:
    """A filled closed Catmull-Rom curve through `points`."""

    def shape(draw: ImageDraw.ImageDraw, size: int) -> None:
        draw.polygon([tuple(p) for p in _catmull_rom(np.array(points)) * size], fill=255)

    return shape


def ellipse(box: Box) -> Shape:
    """A filled ellipse inside `box` (left, top, right, bottom)."""
    return lambda draw, size: draw.ellipse([v * size for v in box], fill=255)


def rounded(box: Box, radius: float) -> Shape:
    """A filled rectangle with rounded corners."""
    return lambda draw, size: draw.rounded_rectangle([v * size for v in box], radius * size, fill=255)


def arc(box: Box, start: float, end: float, width: float) -> Shape:
    """An elliptic arc of the given width; degrees, clockwise from three o'clock."""
    return lambda draw, size: draw.arc([v * size for v in box], start, end, fill=255, width=round(width * size))


def stroke(points: Sequence[Point], width: float) -> Shape:
    """A line through `points` with rounded joints and ends."""

    def shape(draw: ImageDraw.ImageDraw, size: int) -> None:
        pixels = [(x * size, y * size) for x, y in points]
        draw.line(pixels, fill=255, width=round(width * size), joint="curve")
        r = width * size / 2
        for x, y in (pixels[0], pixels[-1]):
            draw.ellipse((x - r, y - r, x + r, y + r), fill=255)

    return shape


def _catmull_rom(points: np.ndarray, pieces: int = 8) -> np.ndarray:
    """Points (N, 2) on a closed curve -> (N * pieces, 2); Catmull and Rom 1974, uniform parameters."""
    t = np.linspace(0, 1, pieces, endpoint=False)[None, :, None]
    a, b, c, d = (np.roll(points, shift, axis=0)[:, None, :] for shift in (1, 0, -1, -2))
    curve = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    return (curve / 2).reshape(-1, 2)


def tone(colour: Rgb, amount: float) -> Rgb:
    """`colour` moved towards black (`amount` -1) or white (`amount` 1)."""
    goal = 255 if amount > 0 else 0
    r, g, b = (round(c + (goal - c) * abs(amount)) for c in colour)
    return r, g, b


class Brush:
    """A square RGBA canvas of `size` pixels under a light that comes from the left (-1) or the right (1)."""

    def __init__(self, size: int, light: float) -> None:
        self.size = size
        self.light = light
        self.rgb = np.zeros((size, size, 3), np.float32)
        self.alpha = np.zeros((size, size), np.float32)

    def part(self, colour: Rgb, shape: Shape, *, relief: float = 0.035, curve: float = 0.0) -> None:
        """Paint `shape`. `relief` is the width of its lit edge; `curve` > 0 shades it as an upright cylinder."""
        picture = Image.new("L", (self.size, self.size))
        shape(ImageDraw.Draw(picture), self.size)
        box = picture.getbbox()
        if box is None:
            return
        left, top, right, bottom = box
        mask = np.asarray(picture.crop(box), np.float32)[..., None] / 255
        light = self._relief(picture, relief)[top:bottom, left:right] + self._form(bottom - top, right - left, curve)
        # Light multiplies, and adds a little: a black product shows its form by highlights alone.
        lit = np.array(colour, np.float32) * (1 + np.clip(light, -0.6, 0.6))[..., None]
        lit = lit + 46 * np.clip(light, 0, 1)[..., None]
        spot = (slice(top, bottom), slice(left, right))
        self.rgb[spot] = self.rgb[spot] * (1 - mask) + np.clip(lit, 0, 255) * mask
        self.alpha[spot] = np.maximum(self.alpha[spot], mask[..., 0])

    def _relief(self, picture: Image.Image, width: float) -> np.ndarray:
        """Light (S, S) on the edges of a mask that was inflated by blurring it."""
        radius = max(width * self.size, 0.6)
        height = np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255
        down, right = np.gradient(height)
        return np.asarray(0.675 * radius * (down - self.light * right))

    def _form(self, height: int, width: int, curve: float) -> np.ndarray:
        """Light (height, width) of the form itself: brighter above, and round if `curve` says so."""
        v = np.linspace(0.07, -0.09, height, dtype=np.float32)[:, None]
        if not curve:
            return np.repeat(v, width, axis=1)
        u = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * self.light
        return v + curve * (0.55 * np.exp(-(((u - 0.42) / 0.22) ** 2)) - 0.55 * np.clip(-u, 0, 1) ** 2 - 0.3 * u**4)

    def image(self) -> tuple[np.ndarray, np.ndarray]:
        """Colour (S, S, 3) in 0..255 and coverage (S, S) in 0..1."""
        return self.rgb, self.alpha
