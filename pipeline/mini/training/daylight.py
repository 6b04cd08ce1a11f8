"""What season and time of day do to a picture's light: two small maps of light, enlarged over the whole backdrop.

One map multiplies (what is taken away), one screens (what is added). The product stands in its own key light, and only
a little of this reaches it: its colour has to stay the one that was asked for.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops

GRID = 24  # points a side of the maps: light is soft

# What a season takes from red, green and blue (factors), and what it adds (0..255).
_SEASONS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "any": ((1.0, 1.0, 1.0), (0, 0, 0)),
    "spring": ((1.0, 0.96, 0.98), (14, 4, 12)),
    "summer": ((1.0, 0.97, 0.82), (20, 12, 0)),
    "autumn": ((0.98, 0.86, 0.68), (8, 2, 0)),
    "winter": ((0.82, 0.91, 1.0), (22, 26, 34)),
}


@dataclass(frozen=True)
class Lamp:
    """Where the light comes from: `side` -1 left, 1 right, 0 above; how long (share of its size) a shadow falls."""

    side: float
    reach: float


def lamp(time: str, rng: np.random.Generator) -> Lamp:
    """The light of a time of day; without one, a studio's light from either side."""
    either = 1.0 if rng.random() < 0.5 else -1.0
    lamps = {"any": (either, 0.0), "morning": (-1.0, 0.20), "noon": (0.0, 0.0), "evening": (1.0, 0.20)}
    return Lamp(*lamps[time])


def light(image: Image.Image, season: str, time: str) -> Image.Image:
    """`image` in the light of a season and a time of day. Raises KeyError for words that are not in the vocabulary."""
    if season == time == "any":
        return image
    taken, added = _TIMES[time]()
    factor, glow = (np.array(values, np.float32) for values in _SEASONS[season])
    image = ImageChops.multiply(image, _map(255 * taken * factor, image.size))
    return ImageChops.screen(image, _map(added + glow, image.size))


def tint(season: str, time: str) -> np.ndarray:
    """Factors (3,) for the product itself: a sixth of what the backdrop's light does."""
    times = {"any": (1, 1, 1), "morning": (1.05, 0.98, 0.9), "noon": (1.1, 1.1, 1.06), "evening": (0.85, 0.8, 0.95)}
    colour = np.array(_SEASONS[season][0], np.float32) * np.array(times[time], np.float32)
    return 1 + (colour - 1) / 6


def _map(values: np.ndarray, size: tuple[int, int]) -> Image.Image:
    small = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    return small.resize(size, Image.Resampling.BILINEAR)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    steps = (np.arange(GRID, dtype=np.float32) + 0.5) / GRID
    return steps[None, :, None], steps[:, None, None]  # across (1, G, 1), down (G, 1, 1)


def _spot(x: float, y: float, radius: float, *colour: float) -> np.ndarray:
    across, down = _grid()
    return np.exp(-((across - x) ** 2 + (down - y) ** 2) / radius**2) * np.array(colour, np.float32)


def _any() -> tuple[np.ndarray, np.ndarray]:
    return np.ones((GRID, GRID, 3), np.float32), np.zeros((GRID, GRID, 3), np.float32)


def _morning() -> tuple[np.ndarray, np.ndarray]:
    """Low sun from the left, rosy and hazy; the far right is still blue."""
    across, down = _grid()
    near, far = np.array((1.0, 0.93, 0.84), np.float32), np.array((0.66, 0.66, 0.80), np.float32)
    taken = near + (far - near) * across + 0 * down
    haze = np.exp(-(((down - 0.6) / 0.16) ** 2)) * np.array((64, 40, 36), np.float32)
    return taken, _spot(-0.02, 0.16, 0.55, 250, 164, 84) + haze * (1 - 0.6 * across)


def _noon() -> tuple[np.ndarray, np.ndarray]:
    """A high sun: shafts of white light from above, darker sides."""
    across, down = _grid()
    taken = 1 - 0.50 * np.abs(2 * across - 1) ** 1.6 * (1 - 0.35 * down) * np.ones(3, np.float32)
    fan = (across - 0.5) / (0.16 + 0.55 * down)
    shafts = np.exp(-((fan / 0.62) ** 2)) * (0.66 + 0.34 * np.cos(11 * fan)) * (1 - 0.62 * down)
    return taken, shafts * np.array((176, 170, 136), np.float32) + _spot(0.5, -0.04, 0.18, 120, 116, 96)


def _evening() -> tuple[np.ndarray, np.ndarray]:
    """Dusk: everything blue and dark but for the last warm light from the right and a pool of it on the ground."""
    taken = np.array((0.34, 0.36, 0.62), np.float32) + _spot(0.5, 0.82, 0.42, 0.36, 0.30, 0.14)
    return taken, _spot(1.04, 0.34, 0.42, 226, 104, 36)


_TIMES = {"any": _any, "morning": _morning, "noon": _noon, "evening": _evening}
