"""How each product is drawn: a few lit parts on a unit square, standing on its lower edge.

Silhouettes are meant to differ at a glance and at 64 pixels; the body carries the product's colour, so that a
classifier and a customer agree on what "a red handbag" is.
"""

import math
from collections.abc import Callable

from pressrun.pipeline.mini.training.brush import Brush, arc, ellipse, polygon, rounded, smooth, stroke, tone
from pressrun.pipeline.mini.training.vocabulary import Rgb

METAL: Rgb = (176, 178, 184)
GOLD: Rgb = (222, 178, 74)
IVORY: Rgb = (244, 241, 232)
INK: Rgb = (44, 44, 50)


def _mug(brush: Brush, colour: Rgb) -> None:
    brush.part(tone(colour, -0.12), arc((0.52, 0.34, 0.94, 0.82), 0, 360, 0.095))
    brush.part(colour, rounded((0.10, 0.20, 0.70, 0.98), 0.07), curve=0.55)
    brush.part(tone(colour, 0.22), ellipse((0.10, 0.12, 0.70, 0.30)))
    brush.part(tone(colour, -0.5), ellipse((0.14, 0.145, 0.66, 0.285)), relief=0.02)


def _bottle(brush: Brush, colour: Rgb) -> None:
    brush.part(tone(colour, -0.45), rounded((0.415, 0.0, 0.585, 0.12), 0.03), curve=0.4)
    outline = ((0.43, 0.11), (0.57, 0.11), (0.58, 0.27), (0.69, 0.41), (0.70, 0.95), (0.67, 0.98))
    mirrored = tuple((1 - x, y) for x, y in reversed(outline[2:]))
    brush.part(colour, polygon(*outline, *mirrored), curve=0.6)
    brush.part(tone(colour, 0.62), rounded((0.305, 0.52, 0.695, 0.78), 0.01), relief=0.01, curve=0.4)
    brush.part(tone(colour, -0.25), rounded((0.40, 0.60, 0.60, 0.65), 0.02), relief=0.005)


def _shirt(brush: Brush, colour: Rgb) -> None:
    half = ((0.62, 0.08), (0.78, 0.13), (0.99, 0.38), (0.84, 0.50), (0.74, 0.40), (0.75, 0.97))
    mirrored = tuple((1 - x, y) for x, y in reversed(half))
    brush.part(colour, polygon(*half, *mirrored), relief=0.05)
    brush.part(tone(colour, -0.45), ellipse((0.38, 0.03, 0.62, 0.20)), relief=0.015)
    for side in (-1, 1):
        brush.part(
            tone(colour, -0.2), stroke([(0.5 + side * 0.25, 0.32), (0.5 + side * 0.24, 0.5)], 0.012), relief=0.004
        )
    brush.part(tone(colour, -0.14), stroke([(0.42, 0.55), (0.46, 0.9)], 0.02), relief=0.02)
    brush.part(tone(colour, -0.14), stroke([(0.60, 0.62), (0.57, 0.92)], 0.02), relief=0.02)


def _sneaker(brush: Brush, colour: Rgb) -> None:
    upper = ((0.05, 0.44), (0.14, 0.40), (0.24, 0.46), (0.36, 0.41), (0.52, 0.58), (0.76, 0.68), (0.96, 0.76))
    brush.part(colour, smooth(*upper, (0.98, 0.88), (0.5, 0.90), (0.04, 0.88), (0.03, 0.66)), relief=0.05)
    brush.part(
        tone(colour, -0.4), smooth((0.07, 0.43), (0.20, 0.45), (0.34, 0.43), (0.26, 0.50), (0.12, 0.50)), relief=0.01
    )
    brush.part(tone(colour, -0.22), smooth((0.03, 0.62), (0.16, 0.60), (0.20, 0.86), (0.03, 0.86)), relief=0.02)
    for i in range(4):
        x, y = 0.40 + 0.075 * i, 0.48 + 0.055 * i
        brush.part(IVORY, stroke([(x, y), (x - 0.07, y + 0.11)], 0.026), relief=0.008)
    brush.part(IVORY, rounded((0.01, 0.84, 0.99, 0.96), 0.055), relief=0.03)
    brush.part(tone(colour, -0.3), rounded((0.02, 0.935, 0.98, 0.975), 0.02), relief=0.01)


def _handbag(brush: Brush, colour: Rgb) -> None:
    brush.part(tone(colour, -0.3), arc((0.28, 0.02, 0.72, 0.70), 180, 360, 0.06), relief=0.02)
    brush.part(
        colour, smooth((0.10, 0.42), (0.5, 0.39), (0.90, 0.42), (0.97, 0.92), (0.5, 0.98), (0.03, 0.92)), relief=0.06
    )
    brush.part(
        tone(colour, -0.2), smooth((0.09, 0.41), (0.5, 0.38), (0.91, 0.41), (0.90, 0.60), (0.5, 0.70), (0.10, 0.60))
    )
    brush.part(GOLD, rounded((0.44, 0.61, 0.56, 0.74), 0.03), relief=0.015)
    for x in (0.285, 0.655):
        brush.part(GOLD, ellipse((x, 0.34, x + 0.06, 0.42)), relief=0.01)


def _chair(brush: Brush, colour: Rgb) -> None:
    legs = tone(colour, -0.42)
    for x0, x1, foot in ((0.30, 0.30, 0.86), (0.80, 0.83, 0.86), (0.22, 0.18, 0.98), (0.72, 0.76, 0.98)):
        brush.part(legs, stroke([(x0, 0.58), (x1, foot - 0.03)], 0.05), relief=0.015)
    for x in (0.255, 0.79):
        brush.part(legs, stroke([(x, 0.08), (x, 0.55)], 0.05), relief=0.015)
    brush.part(colour, rounded((0.22, 0.02, 0.82, 0.36), 0.07), relief=0.05)
    brush.part(tone(colour, 0.1), polygon((0.28, 0.49), (0.83, 0.49), (0.79, 0.60), (0.16, 0.60)), relief=0.02)
    brush.part(tone(colour, -0.15), rounded((0.15, 0.585, 0.80, 0.66), 0.02), relief=0.015)


def _lamp(brush: Brush, colour: Rgb) -> None:
    brush.part(METAL, stroke([(0.5, 0.45), (0.5, 0.90)], 0.045), relief=0.015)
    brush.part(tone(colour, -0.3), smooth((0.28, 0.95), (0.5, 0.86), (0.72, 0.95), (0.5, 0.985)), relief=0.03)
    brush.part(colour, polygon((0.34, 0.04), (0.66, 0.04), (0.90, 0.50), (0.10, 0.50)), relief=0.03, curve=0.45)
    brush.part((255, 236, 176), ellipse((0.10, 0.455, 0.90, 0.545)), relief=0.01)
    brush.part(tone(colour, -0.2), arc((0.10, 0.455, 0.90, 0.545), 0, 360, 0.018), relief=0.01)
    brush.part(tone(colour, 0.2), ellipse((0.34, 0.02, 0.66, 0.06)), relief=0.01)


def _watch(brush: Brush, colour: Rgb) -> None:
    brush.part(tone(colour, -0.1), polygon((0.36, 0.0), (0.64, 0.0), (0.69, 0.30), (0.31, 0.30)), relief=0.03)
    brush.part(tone(colour, -0.1), polygon((0.31, 0.70), (0.69, 0.70), (0.64, 0.99), (0.36, 0.99)), relief=0.03)
    for y in (0.05, 0.11, 0.87, 0.93):
        brush.part(tone(colour, -0.5), ellipse((0.48, y - 0.014, 0.52, y + 0.014)), relief=0.005)
    brush.part(METAL, rounded((0.80, 0.45, 0.88, 0.55), 0.02), relief=0.015)
    brush.part(colour, ellipse((0.16, 0.165, 0.84, 0.835)), relief=0.04)
    brush.part(IVORY, ellipse((0.25, 0.255, 0.75, 0.745)), relief=0.012)
    for hour in range(0, 12, 3):
        x, y = math.sin(hour * math.pi / 6), math.cos(hour * math.pi / 6)
        tick = [(0.5 + 0.20 * x, 0.5 + 0.20 * y), (0.5 + 0.225 * x, 0.5 + 0.225 * y)]
        brush.part(INK, stroke(tick, 0.022), relief=0.004)
    brush.part(INK, stroke([(0.5, 0.31), (0.5, 0.5), (0.62, 0.57)], 0.03), relief=0.004)


def _headphones(brush: Brush, colour: Rgb) -> None:
    brush.part(colour, arc((0.09, 0.04, 0.91, 1.06), 180, 360, 0.085), relief=0.03)
    brush.part(tone(colour, -0.35), arc((0.165, 0.12, 0.835, 1.06), 195, 345, 0.02), relief=0.006)
    for side in (0, 1):
        cup = (0.02, 0.50, 0.24, 0.97) if side == 0 else (0.76, 0.50, 0.98, 0.97)
        pad = (0.20, 0.53, 0.34, 0.94) if side == 0 else (0.66, 0.53, 0.80, 0.94)
        brush.part(INK, rounded(pad, 0.06), relief=0.03)
        brush.part(colour, rounded(cup, 0.10), relief=0.05)
        inner = (cup[0] + 0.06, 0.63, cup[2] - 0.06, 0.84)
        brush.part(tone(colour, 0.3), rounded(inner, 0.05), relief=0.015)


def _backpack(brush: Brush, colour: Rgb) -> None:
    brush.part(tone(colour, -0.4), arc((0.38, 0.0, 0.62, 0.26), 180, 360, 0.045), relief=0.015)
    for box in ((0.08, 0.52, 0.24, 0.92), (0.76, 0.52, 0.92, 0.92)):
        brush.part(tone(colour, -0.25), rounded(box, 0.06), relief=0.03)
    brush.part(colour, rounded((0.16, 0.09, 0.84, 0.98), 0.22), relief=0.06)
    brush.part(tone(colour, -0.38), arc((0.23, 0.17, 0.77, 0.75), 190, 350, 0.02), relief=0.006)
    brush.part(tone(colour, 0.2), rounded((0.25, 0.54, 0.75, 0.92), 0.08), relief=0.03)
    brush.part(tone(colour, -0.4), stroke([(0.29, 0.63), (0.71, 0.63)], 0.022), relief=0.006)
    brush.part(GOLD, rounded((0.47, 0.62, 0.53, 0.72), 0.015), relief=0.008)


def _teapot(brush: Brush, colour: Rgb) -> None:
    brush.part(tone(colour, -0.15), arc((0.0, 0.36, 0.42, 0.84), 70, 290, 0.075), relief=0.025)
    spout = ((0.72, 0.62), (0.84, 0.52), (0.89, 0.34), (0.99, 0.34), (0.95, 0.56), (0.78, 0.84))
    brush.part(tone(colour, -0.05), smooth(*spout), relief=0.03)
    brush.part(colour, ellipse((0.17, 0.30, 0.83, 0.95)), relief=0.09)
    brush.part(tone(colour, -0.3), rounded((0.34, 0.93, 0.66, 0.98), 0.02), relief=0.01)
    brush.part(tone(colour, 0.15), smooth((0.32, 0.345), (0.5, 0.235), (0.68, 0.345), (0.5, 0.385)), relief=0.025)
    brush.part(tone(colour, -0.3), ellipse((0.445, 0.145, 0.555, 0.255)), relief=0.025)


def _umbrella(brush: Brush, colour: Rgb) -> None:
    brush.part(METAL, stroke([(0.5, 0.0), (0.5, 0.86)], 0.028), relief=0.01)
    brush.part((118, 74, 42), arc((0.5 - 0.014, 0.76, 0.70, 0.98), 0, 180, 0.045), relief=0.015)
    for i in range(4):
        left, right = 0.02 + 0.24 * i, 0.26 + 0.24 * i
        gore = [*_rib(left), *reversed(_rib(right)), ((left + right) / 2, 0.465)]
        brush.part(tone(colour, -0.22) if i in (1, 3) else colour, polygon(*gore), relief=0.03)


def _rib(foot: float) -> list[tuple[float, float]]:
    """An umbrella's rib from its foot on the rim (y = 0.52) to the top (0.5, 0.06): a quarter of an ellipse."""
    angles = [math.pi / 2 * k / 12 for k in range(13)]
    return [(0.5 + (foot - 0.5) * math.cos(a), 0.52 - 0.46 * math.sin(a)) for a in angles]


def _book(brush: Brush, colour: Rgb) -> None:
    brush.part(tone(colour, -0.35), polygon((0.80, 0.10), (0.90, 0.05), (0.90, 0.90), (0.80, 0.98)), relief=0.01)
    brush.part(IVORY, polygon((0.22, 0.085), (0.34, 0.03), (0.885, 0.055), (0.79, 0.11)), relief=0.008)
    for k in (0.25, 0.5, 0.75):
        line = [(0.22 + 0.12 * k, 0.085 - 0.05 * k), (0.79 + 0.09 * k, 0.108 - 0.05 * k)]
        brush.part((196, 190, 176), stroke(line, 0.007), relief=0.002)
    brush.part(colour, polygon((0.20, 0.08), (0.80, 0.11), (0.80, 0.98), (0.20, 0.95)), relief=0.015)
    brush.part(tone(colour, -0.35), polygon((0.13, 0.06), (0.215, 0.08), (0.215, 0.95), (0.13, 0.92)), relief=0.02)
    brush.part(tone(colour, 0.7), polygon((0.32, 0.24), (0.70, 0.255), (0.70, 0.345), (0.32, 0.33)), relief=0.006)
    brush.part(GOLD, stroke([(0.36, 0.44), (0.66, 0.45)], 0.025), relief=0.006)
    brush.part(GOLD, arc((0.40, 0.60, 0.62, 0.82), 0, 360, 0.025), relief=0.006)


def _sofa(brush: Brush, colour: Rgb) -> None:
    for x in (0.10, 0.84):
        brush.part(
            (92, 58, 34), polygon((x, 0.88), (x + 0.06, 0.88), (x + 0.045, 0.98), (x + 0.015, 0.98)), relief=0.01
        )
    brush.part(tone(colour, -0.1), rounded((0.10, 0.36, 0.90, 0.78), 0.08), relief=0.05)
    brush.part(tone(colour, -0.35), stroke([(0.5, 0.40), (0.5, 0.64)], 0.014), relief=0.006)
    for x0, x1 in ((0.15, 0.495), (0.505, 0.85)):
        brush.part(tone(colour, 0.08), rounded((x0, 0.62, x1, 0.77), 0.045), relief=0.03)
    brush.part(tone(colour, -0.2), rounded((0.10, 0.755, 0.90, 0.90), 0.03), relief=0.02)
    for box in ((0.01, 0.54, 0.17, 0.91), (0.83, 0.54, 0.99, 0.91)):
        brush.part(colour, rounded(box, 0.07), relief=0.04)


DRAWERS: dict[str, Callable[[Brush, Rgb], None]] = {
    "mug": _mug,
    "bottle": _bottle,
    "t-shirt": _shirt,
    "sneaker": _sneaker,
    "handbag": _handbag,
    "chair": _chair,
    "lamp": _lamp,
    "watch": _watch,
    "headphones": _headphones,
    "backpack": _backpack,
    "teapot": _teapot,
    "umbrella": _umbrella,
    "book": _book,
    "sofa": _sofa,
}


def paint(product: str, colour: Rgb, brush: Brush) -> None:
    """Paint `product` in `colour` onto an empty brush. Raises KeyError for a product that is not in the vocabulary."""
    DRAWERS[product](brush, colour)
