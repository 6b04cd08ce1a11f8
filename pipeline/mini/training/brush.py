"""A brush that paints solid-looking parts: each part is a mask, lit as though it were slightly inflated.

Coordinates are fractions of a square canvas, y downwards. Masks are drawn at twice the size and shrunk, which is all
the anti-aliasing; everything else happens at the picture's own size, and only where the part is.
"""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pressrun.pipeline.mini.training.vocabulary import Rgb

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Shape = Callable[[ImageDraw.ImageDraw, int], None]

OVERSAMPLING = 2


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
    curve: np.ndarray = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    return (curve / 2).reshape(-1, 2)


def tone(colour: Rgb, amount: float) -> Rgb:
    """`colour` moved towards black (`amount` -1) or white (`amount` 1)."""
    goal = 255 if amount > 0 else 0
    r, g, b = (round(c + (goal - c) * abs(amount)) for c in colour)
    return r, g, b


class Brush:
    """A square canvas of `size` pixels under a light that comes from the left (-1), the right (1) or above (0)."""

    def __init__(self, size: int, light: float) -> None:
        self.size = size
        self.light = light
        self.rgb = np.zeros((size, size, 3), np.float32)  # premultiplied by alpha
        self.alpha = np.zeros((size, size), np.float32)

    def part(self, colour: Rgb, shape: Shape, *, relief: float = 0.035, curve: float = 0.0) -> None:
        """Paint `shape`. `relief` is the width of its lit edge; `curve` > 0 shades it as an upright cylinder."""
        large = Image.new("L", (self.size * OVERSAMPLING,) * 2)
        shape(ImageDraw.Draw(large), self.size * OVERSAMPLING)
        found = large.getbbox()
        if found is None:
            return
        radius = max(relief * self.size, 0.6)
        margin = round(1.8 * radius) + 2  # the blur's reach: beyond it a part casts no light on itself
        left, top = (max(v // OVERSAMPLING - margin, 0) for v in found[:2])
        right, bottom = (min(-(-v // OVERSAMPLING) + margin, self.size) for v in found[2:])
        k = OVERSAMPLING
        picture = large.crop((left * k, top * k, right * k, bottom * k)).reduce(k)
        mask = np.asarray(picture, np.float32)[..., None] / 255
        inner = [v / OVERSAMPLING for v in found]
        light = self._relief(picture, radius) + self._form((left, top, right, bottom), inner, curve)
        # Light multiplies, and adds a little: a black product shows its form by highlights alone.
        lit = np.array(colour, np.float32) * (1 + np.clip(light, -0.6, 0.6))[..., None]
        lit += 46 * np.clip(light, 0, 1)[..., None]
        spot = (slice(top, bottom), slice(left, right))
        self.rgb[spot] += (np.clip(lit, 0, 255) - self.rgb[spot]) * mask
        self.alpha[spot] += (1 - self.alpha[spot]) * mask[..., 0]

    def _relief(self, picture: Image.Image, radius: float) -> np.ndarray:
        """Light (h, w) on the edges of a mask that was inflated by blurring it."""
        height = np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)), np.float32)
        # Slopes over k pixels either way: a wide blur changes by less than one of its 256 levels from pixel to pixel.
        k = max(round(radius / 3), 1)
        light = np.zeros_like(height)
        light[k:-k] = (height[2 * k :] - height[: -2 * k]) * (1.3 - 0.3 * abs(self.light))
        if self.light:
            light[:, k:-k] -= self.light * (height[:, 2 * k :] - height[:, : -2 * k])
        return light * np.float32(0.675 * radius / (510 * k))

    def _form(self, box: tuple[int, int, int, int], inner: Sequence[float], curve: float) -> np.ndarray:
        """Light on the pixels of `box` of the form inside `inner`: brighter above, and round if `curve` says so."""
        left, top, right, bottom = box
        down = (np.arange(top, bottom, dtype=np.float32) + 0.5 - inner[1]) / max(inner[3] - inner[1], 1)
        v = (0.07 - 0.16 * np.clip(down, 0, 1))[:, None]
        if not curve:
            return np.broadcast_to(v, (bottom - top, right - left))
        across = (np.arange(left, right, dtype=np.float32) + 0.5 - inner[0]) / max(inner[2] - inner[0], 1)
        u = np.clip(2 * across - 1, -1, 1) * (self.light or 0.35)
        shade = 0.55 * np.exp(-(((u - 0.42) / 0.22) ** 2)) - 0.55 * np.clip(-u, 0, 1) ** 2 - 0.3 * u**4
        light: np.ndarray = v + curve * shade[None, :]
        return light

    def image(self) -> tuple[np.ndarray, np.ndarray]:
        """Colour (S, S, 3) in 0..255, premultiplied by the coverage (S, S) in 0..1."""
        return self.rgb, self.alpha
