"""A product in a place, in a season, at a time of day, drawn: the only pictures the shipped model has ever seen.

A scene is a value: what the words say, and a seed. The same scene is the same picture at every run.
"""

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from pressrun.pipeline.mini.training.backdrops import Backdrop, paint_backdrop
from pressrun.pipeline.mini.training.brush import Brush
from pressrun.pipeline.mini.training.daylight import Lamp, lamp, light, tint
from pressrun.pipeline.mini.training.products import paint
from pressrun.pipeline.mini.training.seasons import hang, scatter
from pressrun.pipeline.mini.training.vocabulary import (
    ANY,
    ATTRIBUTES,
    COLOURS,
    OWN_TIME,
    SEASONS,
    TIMES,
    Rgb,
    combinations,
    held_out,
)

# Products that are wider than tall leave much of their square empty: they get a larger one.
_STRETCH: dict[str, float] = {"sofa": 1.25, "sneaker": 1.15, "umbrella": 1.1, "chair": 1.05, "lamp": 1.05}

OPEN_SHARE = 0.4  # of the training pictures leave the season open, and as many the time of day
FALLING, IN_FRONT = 20, 5  # petals, leaves or flakes per square behind the product, and before it


@dataclass(frozen=True)
class Scene:
    """What a picture shows. `seed` decides everything that the words leave open: place, size, light, details.

    Raises ValueError for a word that is not in the vocabulary, and for a time of day where the scene has its own.
    """

    product: str
    colour: str
    scene: str
    seed: int = 0
    season: str = ANY
    time: str = ANY

    def __post_init__(self) -> None:
        for what, names in ATTRIBUTES.items():
            if getattr(self, what) not in names:
                raise ValueError(f"{what} {getattr(self, what)!r} is not in the vocabulary: {', '.join(names)}")
        if self.scene in OWN_TIME and self.time != ANY:
            raise ValueError(f"{self.scene} has a time of day of its own, so {self.time!r} cannot be asked for")

    @property
    def held_out(self) -> bool:
        """Whether training must never see this product, colour and scene together."""
        return held_out(self.product, self.colour, self.scene)


def draw(scene: Scene, width: int, height: int) -> Image.Image:
    """The picture of `scene`, RGB, `width` x `height` pixels."""
    rng = np.random.default_rng([scene.seed, width, height])
    backdrop = paint_backdrop(scene.scene, width, height, rng)
    image = light(backdrop.image, scene.season, scene.time)
    hang(image, scene.season, rng)
    scatter(image, scene.season, rng, FALLING)
    lit = lamp(scene.time, rng)
    size = round(min(0.64 * height * _STRETCH.get(scene.product, 1.0), 0.84 * width) * rng.uniform(0.92, 1.08))
    brush = Brush(size, lit.side)
    paint(scene.product, _jitter(COLOURS[scene.colour], rng), brush)
    left = round((width - size) / 2 + width * rng.uniform(-0.07, 0.07))
    left = min(max(left, 0), width - size)
    top = max(round(height * rng.uniform(0.85, 0.90)) - size, 0)
    picture = _shadow(np.array(image), left, top + size, size, backdrop, lit)
    rgb, alpha = brush.image()
    _composite(picture, rgb * tint(scene.season, scene.time), alpha, left, top)
    done = Image.fromarray(picture)
    scatter(done, scene.season, rng, IN_FRONT)
    return done


def _jitter(colour: Rgb, rng: np.random.Generator) -> Rgb:
    r, g, b = (int(np.clip(c + d, 0, 255)) for c, d in zip(colour, rng.integers(-7, 8, 3), strict=True))
    return r, g, b


def _shadow(picture: np.ndarray, left: int, ground: int, size: int, backdrop: Backdrop, lit: Lamp) -> np.ndarray:
    """Darken the ground under a product in uint8 (H, W, 3): wide and soft, and dark where it touches; in place."""
    height, width = picture.shape[:2]
    first = max(ground - round(0.22 * size), 0)
    y = (np.arange(first, height, dtype=np.float32) - ground + 0.02 * size) / size
    x = (np.arange(width, dtype=np.float32) - left - size / 2) / size
    long = 0.48 + 0.6 * lit.reach
    soft = np.outer(np.exp(-((y / 0.085) ** 2)), np.exp(-(((x + lit.side * lit.reach) / long) ** 4)))
    touch = np.outer(np.exp(-((y / 0.035) ** 2)), np.exp(-((x / 0.40) ** 4)))
    bright = 1 - backdrop.shadow * np.clip(0.75 * soft + 0.45 * touch, 0, 1)
    picture[first:] = (picture[first:] * bright[..., None]).astype(np.uint8)
    return picture


def _composite(picture: np.ndarray, rgb: np.ndarray, alpha: np.ndarray, left: int, top: int) -> None:
    """Lay a premultiplied product over `picture` in place, with a faint dark edge around it and a faint one on it.

    The edges keep white on snow and black at night apart from their ground.
    """
    size = alpha.shape[0]
    mask = Image.fromarray((alpha * 255).astype(np.uint8))
    halo = np.asarray(mask.filter(ImageFilter.GaussianBlur(size * 0.018)), np.float32) / 255
    spot = picture[top : top + size, left : left + size]
    alpha = alpha[: spot.shape[0]]
    halo, rgb = halo[: spot.shape[0]], rgb[: spot.shape[0]]
    edge = np.clip(1.7 * (1 - halo) - 0.35, 0, 1) * alpha * (70 if spot.mean() < 90 else -38)
    under = (1 - 0.38 * halo) * (1 - alpha)
    spot[:] = np.clip(spot * under[..., None] + rgb + edge[..., None], 0, 255).astype(np.uint8)


def dressed(product: str, colour: str, scene: str, seed: int, rng: random.Random) -> Scene:
    """A scene of that product, colour and place in a season and at a time of day drawn with `rng`, or in none."""
    season = ANY if rng.random() < OPEN_SHARE else rng.choice(SEASONS[1:])
    time = ANY if scene in OWN_TIME or rng.random() < OPEN_SHARE else rng.choice(TIMES[1:])
    return Scene(product, colour, scene, seed, season, time)


def training_scenes(count: int, seed: int = 0) -> list[Scene]:
    """`count` scenes open to training, every combination about equally often; no held-out one, ever."""
    allowed = combinations(held=False)
    rng = random.Random(seed)
    order: list[tuple[str, str, str]] = []
    while len(order) < count:
        order += rng.sample(allowed, len(allowed))
    return [dressed(*what, seed * 1_000_003 + i, rng) for i, what in enumerate(order[:count])]
