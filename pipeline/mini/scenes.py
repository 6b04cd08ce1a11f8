"""A product in a place, drawn: the only pictures the shipped model has ever seen.

A scene is a value: product, colour, place and a seed. The same scene is the same picture at every run.
"""

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from pipeline.mini.backdrops import paint_backdrop
from pipeline.mini.brush import Brush
from pipeline.mini.products import paint
from pipeline.mini.vocabulary import COLOURS, PRODUCTS, SCENES, Rgb, combinations, held_out

OVERSAMPLING = 2  # painted at twice the size, then shrunk: that is all the anti-aliasing

# Products that are wider than tall leave much of their square empty: they get a larger one.
_STRETCH: dict[str, float] = {"sofa": 1.25, "sneaker": 1.15, "umbrella": 1.1, "chair": 1.05, "lamp": 1.05}


@dataclass(frozen=True)
class Scene:
    """What a picture shows. `seed` decides everything that the words leave open: place, size, light, details.

    Raises ValueError for a product, colour or scene that is not in the vocabulary.
    """

    product: str
    colour: str
    scene: str
    seed: int = 0

    def __post_init__(self) -> None:
        for value, table in ((self.product, PRODUCTS), (self.colour, COLOURS), (self.scene, SCENES)):
            if value not in table:
                raise ValueError(f"{value!r} is not in the vocabulary: {', '.join(table)}")

    @property
    def held_out(self) -> bool:
        """Whether training must never see this product, colour and scene together."""
        return held_out(self.product, self.colour, self.scene)


def draw(scene: Scene, width: int, height: int) -> Image.Image:
    """The picture of `scene`, RGB, `width` x `height` pixels; about 10 ms at 128 x 128."""
    rng = np.random.default_rng([scene.seed, width, height])
    wide, tall = width * OVERSAMPLING, height * OVERSAMPLING
    backdrop = paint_backdrop(scene.scene, wide, tall, rng)
    size = round(min(0.64 * tall * _STRETCH.get(scene.product, 1.0), 0.84 * wide) * rng.uniform(0.90, 1.10))
    light = 1.0 if rng.random() < 0.5 else -1.0
    brush = Brush(size, light)
    paint(scene.product, _jitter(COLOURS[scene.colour], rng), brush)
    rgb, alpha = brush.image()
    if rng.random() < 0.5:
        rgb, alpha = rgb[:, ::-1], alpha[:, ::-1]
    left = round((wide - size) / 2 + wide * rng.uniform(-0.08, 0.08))
    left = min(max(left, 0), wide - size)
    top = round(tall * rng.uniform(0.84, 0.90)) - size
    picture = _shadow(backdrop.rgb.copy(), left, top + size, size, backdrop.shadow)
    _composite(picture, rgb, alpha, left, max(top, 0))
    image = Image.fromarray(np.clip(picture, 0, 255).round().astype(np.uint8))
    return image.resize((width, height), Image.Resampling.BOX)


def _jitter(colour: Rgb, rng: np.random.Generator) -> Rgb:
    r, g, b = (int(np.clip(c + d, 0, 255)) for c, d in zip(colour, rng.integers(-7, 8, 3), strict=True))
    return r, g, b


def _shadow(picture: np.ndarray, left: int, ground: int, size: int, strength: float) -> np.ndarray:
    """Darken the ground under a product: a wide soft ellipse, and a narrow dark one where it touches."""
    height, width = picture.shape[:2]
    y = (np.arange(height, dtype=np.float32)[:, None] - ground + 0.02 * size) / size
    x = (np.arange(width, dtype=np.float32)[None, :] - left - size / 2) / size
    soft = np.exp(-((x / 0.48) ** 4) - (y / 0.085) ** 2)
    touch = np.exp(-((x / 0.40) ** 4) - (y / 0.035) ** 2)
    dark = strength * np.clip(0.75 * soft + 0.45 * touch, 0, 1)
    return picture * (1 - dark[..., None])


def _composite(picture: np.ndarray, rgb: np.ndarray, alpha: np.ndarray, left: int, top: int) -> None:
    """Lay a product over `picture` in place, with a faint dark edge around it and a faint light one on it.

    The edges keep white on snow and black at night apart from their ground.
    """
    size = alpha.shape[0]
    mask = Image.fromarray((alpha * 255).astype(np.uint8))
    halo = np.asarray(mask.filter(ImageFilter.GaussianBlur(size * 0.018)), np.float32)[..., None] / 255
    rim = np.clip(alpha - np.asarray(mask.filter(ImageFilter.MinFilter(5)), np.float32) / 255, 0, 1)[..., None]
    spot = picture[top : top + size, left : left + size]
    dark_ground = spot.mean() < 90
    edged = rgb + (70 if dark_ground else -38) * rim
    picture[top : top + size, left : left + size] = (
        spot * (1 - 0.38 * halo) * (1 - alpha[..., None]) + np.clip(edged, 0, 255) * alpha[..., None]
    )


def training_scenes(count: int, seed: int = 0) -> list[Scene]:
    """`count` scenes open to training, every combination about equally often; no held-out one, ever."""
    allowed = combinations(held=False)
    rng = random.Random(seed)
    order: list[tuple[str, str, str]] = []
    while len(order) < count:
        order += rng.sample(allowed, len(allowed))
    return [Scene(*what, seed=seed * 1_000_003 + i) for i, what in enumerate(order[:count])]
