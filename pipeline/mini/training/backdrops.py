"""The ten places a product can stand in, drawn as a photographer would light them: sharp near, soft far.

A backdrop is painted once per picture from its own random stream; nothing in it depends on the product.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pressrun.pipeline.mini.training.vocabulary import Rgb

Stop = tuple[float, Rgb]


@dataclass(frozen=True)
class Backdrop:
    """A painted place, how dark a shadow on its ground is (0..1), and the height of its horizon in pixels."""

    image: Image.Image
    shadow: float
    horizon: int


class Canvas:
    """A picture under construction, `width` x `height` pixels, with the random stream that varies it."""

    def __init__(self, width: int, height: int, rng: np.random.Generator) -> None:
        self.width, self.height, self.rng = width, height, rng
        self.unit = min(width, height)
        self.horizon = round(height * rng.uniform(0.60, 0.68))
        self.image = Image.new("RGB", (width, height))

    def gradient(self, top: int, bottom: int, *stops: Stop) -> None:
        """Fill the rows from `top` to `bottom` with a vertical gradient through `stops` (position 0..1, colour)."""
        rows = np.linspace(0, 1, max(bottom - top, 1))
        where = [stop[0] for stop in stops]
        bands = [np.interp(rows, where, [stop[1][c] for stop in stops]) for c in range(3)]
        column = np.stack(bands, axis=-1).round().astype(np.uint8)[:, None, :]
        self.image.paste(Image.fromarray(column).resize((self.width, len(rows)), Image.Resampling.NEAREST), (0, top))

    def soften(self, radius: float) -> None:
        """Blur what was painted so far: it is far away. `radius` is a share of the shorter side.

        Shrinking and enlarging is a blur that costs a tenth of a Gaussian's time.
        """
        factor = max(round(1.6 * radius * self.unit), 1)
        small = self.image.reduce(factor) if factor > 1 else self.image.filter(ImageFilter.BoxBlur(0.5))
        self.image = small.resize(self.image.size, Image.Resampling.BICUBIC)

    def glow(self, x: float, y: float, radius: float, colour: Rgb, strength: float) -> None:
        """Add light around (x, y); position and radius in pixels, strength 0..1."""
        rows = np.exp(-(((np.arange(self.height) - y) / radius) ** 2))
        columns = np.exp(-(((np.arange(self.width) - x) / radius) ** 2))
        mask = Image.fromarray((255 * strength * rows[:, None] * columns[None, :]).astype(np.uint8))
        self.image.paste(Image.new("RGB", self.image.size, colour), (0, 0), mask)

    def cloud(self, x: float, y: float) -> None:
        """A fair-weather cloud around (x, y): puffs on a flat base."""
        for dx, dy, r in ((-0.09, 0.012, 0.045), (0.0, -0.012, 0.07), (0.085, 0.01, 0.05), (0.15, 0.022, 0.032)):
            self.glow(x + dx * self.unit, y + dy * self.unit, r * self.unit, (255, 255, 255), 0.8)

    def ridge(self, base: float, swing: float, colour: Rgb, waves: float = 2.0) -> np.ndarray:
        """Fill everything below a rolling line with `colour`; returns the line's y for every x."""
        x = np.linspace(0, 2 * np.pi * waves * self.width / self.unit, self.width)
        phase = self.rng.uniform(0, 2 * np.pi, 2)
        line: np.ndarray = base + swing * (np.sin(x + phase[0]) + 0.5 * np.sin(1.9 * x + phase[1]))
        points = [(i, float(y)) for i, y in enumerate(line)]
        self.draw.polygon([*points, (self.width, self.height), (0, self.height)], fill=colour)
        return line

    @property
    def draw(self) -> ImageDraw.ImageDraw:
        """A pen on the picture as it is now; `gradient`, `soften` and `glow` may replace the picture."""
        return ImageDraw.Draw(self.image)

    def done(self, shadow: float) -> Backdrop:
        """The finished backdrop, a little out of focus behind its product, which also takes the stairs out of lines."""
        return Backdrop(self.image.filter(ImageFilter.BoxBlur(0.5)), shadow, self.horizon)


def _studio(c: Canvas) -> Backdrop:
    warm = int(c.rng.integers(-6, 7))
    c.gradient(
        0,
        c.height,
        (0, (206 + warm, 209, 214 - warm)),
        (0.62, (228 + warm, 229, 232 - warm)),
        (0.70, (212, 213, 216)),
        (1, (190, 192, 197)),
    )
    c.glow(c.width * c.rng.uniform(0.35, 0.65), c.height * 0.4, 0.55 * c.unit, (255, 255, 253), 0.85)
    return c.done(0.50)


def _wooden_table(c: Canvas) -> Backdrop:
    c.gradient(0, c.horizon, (0, (196, 176, 150)), (1, (226, 208, 182)))
    x = c.width * c.rng.uniform(0.0, 0.8)
    c.glow(x + 0.1 * c.unit, c.horizon * 0.35, 0.45 * c.unit, (255, 244, 222), 0.8)
    c.soften(0.02)
    c.gradient(c.horizon, c.height, (0, (168, 108, 62)), (0.12, (150, 92, 50)), (1, (112, 64, 32)))
    middle = c.width * c.rng.uniform(0.3, 0.7)
    for i in range(-7, 8):
        step = c.width * 0.12 * (i + 0.5)
        c.draw.line(
            (middle + step, c.horizon, middle + 2.6 * step, c.height), fill=(96, 54, 26), width=max(c.unit // 110, 1)
        )
    for _ in range(26):
        y = c.horizon + (c.height - c.horizon) * c.rng.uniform(0.03, 1)
        x0, length = c.width * c.rng.uniform(-0.1, 1), c.width * c.rng.uniform(0.08, 0.3)
        c.draw.line((x0, y, x0 + length, y), fill=(134, 80, 42) if c.rng.random() < 0.6 else (176, 116, 68), width=1)
    return c.done(0.60)


def _beach(c: Canvas) -> Backdrop:
    sea = round(c.horizon - 0.14 * c.height)
    c.gradient(0, sea, (0, (84, 170, 232)), (1, (198, 232, 248)))
    for _ in range(3):
        x, y = c.width * c.rng.random(), sea * c.rng.uniform(0.15, 0.7)
        c.cloud(x, y)
    c.gradient(sea, c.horizon + c.unit // 20, (0, (18, 108, 176)), (0.7, (40, 160, 196)), (1, (150, 220, 222)))
    c.soften(0.008)
    line = c.ridge(c.horizon, 0.008 * c.unit, (236, 214, 164), 1.0)
    c.draw.line([(i, float(y)) for i, y in enumerate(line)], fill=(255, 255, 250), width=max(c.unit // 60, 1))
    for i in range(5):
        y = c.horizon + (c.height - c.horizon) * (0.2 + 0.18 * i)
        c.ridge(y, 0.012 * c.unit, (232 - 5 * i, 208 - 6 * i, 156 - 7 * i), c.rng.uniform(0.6, 1.4))
    return c.done(0.45)


def _snow(c: Canvas) -> Backdrop:
    c.gradient(0, c.height, (0, (150, 178, 212)), (0.6, (212, 224, 240)), (1, (226, 234, 246)))
    c.ridge(c.horizon - 0.16 * c.height, 0.05 * c.unit, (184, 202, 228), 1.2)
    c.ridge(c.horizon - 0.06 * c.height, 0.03 * c.unit, (206, 220, 240), 0.9)
    c.soften(0.012)
    c.ridge(c.horizon, 0.012 * c.unit, (236, 242, 250), 0.7)
    c.ridge(c.horizon + 0.16 * c.height, 0.012 * c.unit, (222, 231, 245), 0.8)
    return c.done(0.42)


def _pine(draw: ImageDraw.ImageDraw, x: float, base: float, tall: float, colour: Rgb) -> None:
    for k in range(3):
        top, low = base - tall * (1 - 0.22 * k), base - tall * (0.56 - 0.25 * k)
        half = tall * (0.12 + 0.06 * k)
        draw.polygon([(x, top), (x + half, low), (x - half, low)], fill=colour)


def _forest(c: Canvas) -> Backdrop:
    c.gradient(0, c.height, (0, (150, 190, 150)), (0.6, (196, 220, 178)), (1, (120, 150, 96)))
    for layer, colour in enumerate(((104, 150, 108), (58, 112, 70), (26, 76, 46))):
        for _ in range(round((7 - layer) * c.width / c.unit)):
            tall = c.height * c.rng.uniform(0.42, 0.60) * (0.8 + 0.16 * layer)
            _pine(c.draw, c.width * c.rng.random(), c.horizon + 2, tall, colour)
        c.soften(0.010 - 0.003 * layer)
    c.gradient(c.horizon, c.height, (0, (70, 88, 38)), (1, (44, 54, 24)))
    for _ in range(60):
        x, y = c.width * c.rng.random(), c.horizon + (c.height - c.horizon) * c.rng.random()
        c.draw.line((x, y, x + c.unit * 0.01, y - c.unit * 0.03), fill=(98, 122, 54), width=max(c.unit // 130, 1))
    return c.done(0.60)


def _night_city(c: Canvas) -> Backdrop:
    c.gradient(0, c.horizon, (0, (8, 10, 34)), (1, (46, 38, 92)))
    x = -0.05 * c.unit
    while x < c.width:
        wide, tall = c.unit * c.rng.uniform(0.10, 0.20), c.height * c.rng.uniform(0.18, 0.46)
        shade = int(c.rng.integers(14, 30))
        c.draw.rectangle((x, c.horizon - tall, x + wide, c.horizon), fill=(shade, shade + 2, shade + 26))
        pane = max(c.unit // 50, 2)
        for row in np.arange(c.horizon - tall + pane, c.horizon - pane, 2.1 * pane):
            for column in np.arange(x + pane * 0.7, x + wide - pane, 2.0 * pane):
                if c.rng.random() < 0.42:
                    lit: Rgb = (255, 214, 120) if c.rng.random() < 0.75 else (150, 200, 255)
                    c.draw.rectangle((column, row, column + pane, row + pane), fill=lit)
        x += wide + c.unit * 0.01
    c.soften(0.009)
    c.gradient(c.horizon, c.height, (0, (40, 36, 66)), (1, (14, 14, 28)))
    for _ in range(5):
        hue: Rgb = ((255, 196, 96), (255, 110, 120), (110, 170, 255))[int(c.rng.integers(3))]
        c.glow(c.width * c.rng.random(), c.horizon + 0.12 * c.unit, 0.07 * c.unit, hue, 0.35)
    return c.done(0.65)


def _veins(c: Canvas, top: float, bottom: float, count: int, colour: Rgb) -> None:
    slope = 0.55 if c.rng.random() < 0.5 else -0.55  # the veins of one slab run the same way
    for _ in range(count):
        x, y = c.width * c.rng.uniform(-0.3, 0.9), c.rng.uniform(top, bottom)
        points = [(x, y)]
        for _ in range(14):
            x += c.unit * c.rng.uniform(0.03, 0.07)
            y += c.unit * 0.05 * (slope + c.rng.uniform(-0.8, 0.8))
            points.append((x, float(np.clip(y, top, bottom))))
        c.draw.line(points, fill=colour, width=max(round(c.unit * c.rng.uniform(0.004, 0.012)), 1), joint="curve")


def _marble(c: Canvas) -> Backdrop:
    c.gradient(0, c.height, (0, (216, 217, 223)), (1, (236, 236, 240)))
    _veins(c, 0, c.horizon, round(5 * c.width / c.unit), (150, 153, 166))
    _veins(c, 0, c.horizon, 2, (190, 168, 132))
    c.soften(0.006)
    c.gradient(c.horizon, c.height, (0, (250, 250, 252)), (1, (226, 227, 233)))
    c.draw.line((0, c.horizon, c.width, c.horizon), fill=(170, 172, 182), width=max(c.unit // 60, 1))
    _veins(c, c.horizon + 2, c.height, 4, (188, 190, 200))
    return c.done(0.45)


def _sunset(c: Canvas) -> Backdrop:
    c.gradient(0, c.horizon, (0, (74, 44, 112)), (0.5, (214, 88, 96)), (0.85, (252, 158, 82)), (1, (255, 206, 120)))
    x, y = c.width * c.rng.uniform(0.15, 0.85), c.horizon * c.rng.uniform(0.72, 0.86)
    c.glow(x, y, 0.30 * c.unit, (255, 220, 130), 0.8)
    r = 0.085 * c.unit
    c.draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 240, 188))
    c.ridge(c.horizon - 0.04 * c.height, 0.025 * c.unit, (112, 54, 92), 0.8)
    c.soften(0.008)
    c.gradient(c.horizon, c.height, (0, (92, 52, 78)), (1, (48, 30, 52)))
    c.glow(x, c.horizon, 0.22 * c.unit, (255, 160, 90), 0.35)
    return c.done(0.60)


def _desert(c: Canvas) -> Backdrop:
    c.gradient(0, c.horizon, (0, (120, 186, 214)), (1, (250, 232, 196)))
    c.ridge(c.horizon - 0.12 * c.height, 0.06 * c.unit, (226, 164, 98), 0.8)
    c.ridge(c.horizon - 0.03 * c.height, 0.05 * c.unit, (204, 132, 70), 0.6)
    c.soften(0.008)
    line = c.ridge(c.horizon + 0.02 * c.height, 0.02 * c.unit, (224, 154, 86), 0.5)
    for i in range(1, 7):
        y = float(line.mean()) + (c.height - c.horizon) * 0.15 * i
        c.ridge(
            y, 0.014 * c.unit, (226 - 8 * (i % 2) - 3 * i, 156 - 8 * (i % 2) - 3 * i, 88 - 6 * (i % 2) - 2 * i), 0.9
        )
    return c.done(0.55)


def _meadow(c: Canvas) -> Backdrop:
    c.gradient(0, c.horizon, (0, (96, 172, 240)), (1, (214, 238, 252)))
    for _ in range(3):
        x, y = c.width * c.rng.random(), c.horizon * c.rng.uniform(0.1, 0.5)
        c.cloud(x, y)
    c.ridge(c.horizon - 0.10 * c.height, 0.035 * c.unit, (136, 190, 96), 0.8)
    c.soften(0.010)
    c.ridge(c.horizon, 0.012 * c.unit, (104, 174, 66), 0.6)
    c.gradient(c.horizon + round(0.03 * c.height), c.height, (0, (104, 174, 66)), (1, (62, 128, 40)))
    draw = c.draw
    petals: tuple[Rgb, ...] = ((255, 255, 255), (255, 220, 70), (236, 90, 120))
    for _ in range(30):
        x, y = c.width * c.rng.random(), c.horizon + (c.height - c.horizon) * c.rng.uniform(0.1, 1)
        r = c.unit * c.rng.uniform(0.009, 0.016)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=petals[int(c.rng.integers(3))])
    return c.done(0.50)


PAINTERS: dict[str, Callable[[Canvas], Backdrop]] = {
    "studio": _studio,
    "wooden table": _wooden_table,
    "beach": _beach,
    "snow": _snow,
    "forest": _forest,
    "night city": _night_city,
    "marble": _marble,
    "sunset": _sunset,
    "desert": _desert,
    "meadow": _meadow,
}


def paint_backdrop(scene: str, width: int, height: int, rng: np.random.Generator) -> Backdrop:
    """Paint `scene` at `width` x `height` pixels. Raises KeyError for a scene that is not in the vocabulary."""
    return PAINTERS[scene](Canvas(width, height, rng))
