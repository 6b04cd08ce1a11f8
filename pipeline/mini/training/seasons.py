"""What a season brings into a picture: a branch in an upper corner, and what falls from it.

Petals, leaves and flakes are masks of one colour each, drawn at twice the size and shrunk: that is cheap and smooth.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from pressrun.pipeline.mini.training.brush import OVERSAMPLING
from pressrun.pipeline.mini.training.vocabulary import Rgb

PETALS: tuple[Rgb, ...] = ((255, 190, 212), (250, 150, 186), (255, 224, 234))
LEAVES: tuple[Rgb, ...] = ((222, 112, 24), (190, 52, 24), (236, 172, 44))
FROND: tuple[Rgb, ...] = ((40, 132, 66), (22, 96, 52), (92, 172, 74))
BARK: Rgb = (86, 58, 44)
FLAKES: Rgb = (255, 255, 255)

Corner = tuple[float, float, float]  # x and y in pixels, and 1 or -1: which way is inwards


@dataclass
class Cutter:
    """Polygons and discs by colour, gathered in pixels and laid over a picture together, in the colours' order."""

    shapes: dict[Rgb, list[np.ndarray]] = field(default_factory=dict)

    def leaf(self, colour: Rgb, x: float, y: float, length: float, angle: float, width: float = 0.5) -> None:
        """A pointed oval around (x, y); `width` as a share of its length, `angle` in radians."""
        t = np.linspace(0, 2 * math.pi, 12, endpoint=False)
        along, across = np.cos(t), width * np.sin(t) * np.abs(np.sin(t)) ** 0.4
        self._turned(colour, x, y, length / 2, angle, along, across)

    def disc(self, colour: Rgb, x: float, y: float, radius: float) -> None:
        """A filled circle."""
        t = np.linspace(0, 2 * math.pi, 12, endpoint=False)
        self._turned(colour, x, y, radius, 0.0, np.cos(t), np.sin(t))

    def twig(self, colour: Rgb, points: Sequence[tuple[float, float]], width: float) -> None:
        """A line that grows thinner towards its last point."""
        way = np.array(points)
        along = np.gradient(way, axis=0)
        side = np.stack([-along[:, 1], along[:, 0]], 1) / np.maximum(np.linalg.norm(along, axis=1), 1e-6)[:, None]
        half = (width / 2 * np.linspace(1, 0.3, len(way)))[:, None]
        self.shapes.setdefault(colour, []).append(np.concatenate([way + side * half, (way - side * half)[::-1]]))

    def _turned(
        self, colour: Rgb, x: float, y: float, size: float, angle: float, along: np.ndarray, across: np.ndarray
    ) -> None:
        c, s = math.cos(angle), math.sin(angle)
        points = np.stack([x + size * (c * along - s * across), y + size * (s * along + c * across)], 1)
        self.shapes.setdefault(colour, []).append(points)

    def lay(self, image: Image.Image, opacity: float = 1.0) -> None:
        """Paint everything onto `image`, in place."""
        for colour, polygons in self.shapes.items():
            mask = Image.new("L", (image.width * OVERSAMPLING, image.height * OVERSAMPLING))
            draw = ImageDraw.Draw(mask)
            for points in polygons:
                draw.polygon((points * OVERSAMPLING).ravel().tolist(), fill=round(255 * opacity))
            image.paste(colour, (0, 0), mask.reduce(OVERSAMPLING))


def _spread(image: Image.Image, rng: np.random.Generator, count: int) -> np.ndarray:
    """Places (N, 2) in pixels all over the picture, one in each cell of a coarse grid: no gaps and no clusters."""
    number = max(round(count * image.width * image.height / min(image.size) ** 2), 1)
    columns = max(round(math.sqrt(number * image.width / image.height)), 1)
    rows = -(-number // columns)
    cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2)
    return (cells + rng.random(cells.shape)) / (columns, rows) * image.size


def _branch(image: Image.Image, rng: np.random.Generator, corner: Corner) -> list[tuple[float, float]]:
    x, y, inwards = corner
    unit, sag = min(image.size), rng.uniform(0.05, 0.12)
    steps = np.linspace(0, 1, 7)
    return [(x + inwards * 0.40 * unit * t, y + unit * (0.05 + 0.02 * t + sag * t * t)) for t in steps]


def _spring(image: Image.Image, rng: np.random.Generator, corner: Corner) -> None:
    unit, cut = min(image.size), Cutter()
    way = _branch(image, rng, corner)
    cut.twig(BARK, way, 0.024 * unit)
    for x, y in way:
        for _ in range(2):
            dx, dy = rng.normal(0, 0.025 * unit, 2)
            turn, r = rng.uniform(0, 2 * math.pi), unit * rng.uniform(0.020, 0.028)
            for k in range(5):
                a = turn + 2 * math.pi * k / 5
                cut.disc(PETALS[k % 2], x + dx + r * math.cos(a), y + dy + r * math.sin(a), 0.72 * r)
            cut.disc((255, 226, 120), x + dx, y + dy, 0.35 * r)
    cut.lay(image)


def _summer(image: Image.Image, rng: np.random.Generator, corner: Corner) -> None:
    unit, cut = min(image.size), Cutter()
    x, y, inwards = corner
    for k, start in enumerate((0.05, 0.50, 1.0)):
        angle = start + rng.uniform(-0.1, 0.1)
        length = unit * rng.uniform(0.36, 0.44)
        colour = FROND[k % 3]
        steps = np.linspace(0.12, 1, 9)
        rib = [(x + inwards * length * t * math.cos(angle), y + length * t * math.sin(angle + 0.25 * t)) for t in steps]
        cut.twig(colour, rib, 0.012 * unit)
        for t, (px, py) in zip(steps, rib, strict=True):
            for side in (-1, 1):
                turn = angle + side * (1.15 - 0.5 * t)
                size = unit * 0.15 * (1.1 - 0.7 * t)
                dx, dy = inwards * math.cos(turn) * size / 2, math.sin(turn) * size / 2
                cut.leaf(colour, px + dx, py + dy, size, math.atan2(dy, dx), 0.28)
    cut.lay(image)


def _autumn(image: Image.Image, rng: np.random.Generator, corner: Corner) -> None:
    unit, cut = min(image.size), Cutter()
    way = _branch(image, rng, corner)
    cut.twig(BARK, way, 0.024 * unit)
    for i, (x, y) in enumerate(way):
        for k in range(3):
            dx, dy = rng.normal(0, 0.028 * unit, 2)
            cut.leaf(LEAVES[(i + k) % 3], x + dx, y + dy, unit * rng.uniform(0.06, 0.085), rng.uniform(0.4, 2.7), 0.55)
    cut.lay(image)


def _winter(image: Image.Image, rng: np.random.Generator, corner: Corner) -> None:
    unit, cut = min(image.size), Cutter()
    way = _branch(image, rng, corner)
    cut.twig((92, 82, 84), way, 0.030 * unit)
    for (x, y), (x1, y1) in itertools.pairwise(way[1:]):
        side = 1 if rng.random() < 0.5 else -0.7
        cut.twig((92, 82, 84), [(x, y), (x1, y1 + 0.045 * unit * side), (x1, y1 + 0.09 * unit * side)], 0.012 * unit)
    cut.twig((240, 246, 255), [(x, y - 0.014 * unit) for x, y in way], 0.022 * unit)
    cut.lay(image)


_BRANCHES: dict[str, Callable[[Image.Image, np.random.Generator, Corner], None]] = {
    "spring": _spring,
    "summer": _summer,
    "autumn": _autumn,
    "winter": _winter,
}


def hang(image: Image.Image, season: str, rng: np.random.Generator) -> None:
    """Let the season's branch reach into `image` from an upper corner, in place; nothing for a season left open."""
    if season in _BRANCHES:
        left = rng.random() < 0.5
        _BRANCHES[season](image, rng, (0.0, 0.0, 1.0) if left else (float(image.width), 0.0, -1.0))


def scatter(image: Image.Image, season: str, rng: np.random.Generator, count: int) -> None:
    """Let `count` petals, leaves, flakes or motes of summer light per square fall over `image`, in place."""
    if season not in _BRANCHES:
        return
    unit, cut = min(image.size), Cutter()
    for i, (x, y) in enumerate(_spread(image, rng, count)):
        if season == "spring":
            cut.leaf(PETALS[i % 2], x, y, unit * rng.uniform(0.030, 0.044), rng.uniform(0, math.pi), 0.62)
        elif season == "autumn":
            cut.leaf(LEAVES[i % 3], x, y, unit * rng.uniform(0.045, 0.070), rng.uniform(0, math.pi), 0.52)
        elif season == "winter":
            cut.disc(FLAKES, x, y, unit * rng.uniform(0.008, 0.017))
        else:
            cut.disc((255, 232, 150), x, y, unit * rng.uniform(0.012, 0.034))
    cut.lay(image, 0.42 if season == "summer" else 1.0)
