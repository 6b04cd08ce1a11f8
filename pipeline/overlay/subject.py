"""What a picture shows: where it differs from what its edges are like, so that words can keep off it.

The minimum barrier distance (Zhang et al., “Minimum Barrier Salient Object Detection at 80 FPS”, ICCV 2015): how much a
colour has to change, at least, on a way from the picture's edge to a pixel. A sky that grows darker evenly costs as
much as the whole change once; a mug in front of it costs its outline. No network and no weights: the same picture has
the same subject everywhere.
"""

import numpy as np
from PIL import Image, ImageFilter

_SIDE = 48
"""Pixels of the longer side at which it is looked for."""
_PASSES = 3
_STANDS_OUT = 2.0
"""Times the mean from which a pixel belongs to the subject (Achanta et al., CVPR 2009)."""


def subject(pixels: np.ndarray) -> np.ndarray:
    """Where a picture (H, W, 3), uint8, has its subject: booleans (h, w), about `_SIDE` on the longer side."""
    height, width = pixels.shape[:2]
    scale = _SIDE / max(height, width)
    size = max(4, round(width * scale)), max(4, round(height * scale))
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BOX).convert("LAB")
    channels = np.moveaxis(np.asarray(small, np.float64), 2, 0)
    distance = np.sum([_barrier_distance(channel) for channel in channels], axis=0)
    if not distance.max():
        return np.zeros(size[::-1], bool)
    stands_out = distance > min(_STANDS_OUT * distance.mean(), 0.9 * distance.max())
    without_specks = Image.fromarray(stands_out.astype(np.uint8) * 255).filter(ImageFilter.MedianFilter(3))
    return np.asarray(without_specks) > 0


def covered(shown: np.ndarray, box: tuple[float, float, float, float], size: tuple[int, int]) -> float:
    """The share of a subject (see `subject`) of a picture of `size` (width, height) that a box covers: left, top,
    right, bottom in pixels."""
    whole = shown.sum()
    if not whole:
        return 0.0
    across, down = shown.shape[1] / size[0], shown.shape[0] / size[1]
    left, top, right, bottom = box[0] * across, box[1] * down, box[2] * across, box[3] * down
    shares = np.outer(_overlap(shown.shape[0], top, bottom), _overlap(shown.shape[1], left, right))
    return float((shares * shown).sum() / whole)


def _overlap(count: int, start: float, end: float) -> np.ndarray:
    """How much of each of `count` cells of length 1 lies between `start` and `end`."""
    cells = np.arange(count)
    return np.asarray(np.clip(np.minimum(cells + 1, end) - np.maximum(cells, start), 0.0, 1.0))


def _barrier_distance(channel: np.ndarray) -> np.ndarray:
    """The minimum barrier distance (h, w) of each pixel of a channel to the edge, by raster scans."""
    height, width = channel.shape
    values = channel.tolist()
    high = [row[:] for row in values]
    low = [row[:] for row in values]
    edge = {(y, x) for y in range(height) for x in range(width) if y in (0, height - 1) or x in (0, width - 1)}
    distance = [[0.0 if (y, x) in edge else np.inf for x in range(width)] for y in range(height)]
    for number in range(_PASSES):
        step = 1 if number % 2 == 0 else -1
        rows, columns = range(1, height - 1)[::step], range(1, width - 1)[::step]
        for y in rows:
            for x in columns:
                value = values[y][x]
                for up, along in ((y - step, x), (y, x - step)):
                    most, least = max(high[up][along], value), min(low[up][along], value)
                    if most - least < distance[y][x]:
                        distance[y][x], high[y][x], low[y][x] = most - least, most, least
    return np.array(distance)
