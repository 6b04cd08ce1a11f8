"""Likeness: a perceptual hash of 64 bits, and which of many pictures nearly repeat an earlier one.

40 bits are the signs of the coarsest waves of brightness (as pHash takes them from a discrete cosine transform), 24 say
where the picture is rather red or green, blue or yellow. It does not see typos or small parts that changed.
"""

from functools import cache

import numpy as np
from PIL import Image

BITS = 64
_SIDE = 32
_WAVES = sorted(((row, column) for row in range(8) for column in range(8)), key=lambda wave: (sum(wave), wave))[1:41]
_COLOURED = 138
"""Of a plane's 0 to 255: a little beyond grey (128), where the bits of grey pictures would be chance."""


def likeness(pixels: np.ndarray) -> int:
    """The hash of a picture, uint8 (H, W, 3) in sRGB, as a whole number from 0 to 2⁶⁴ - 1."""
    small = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BOX).convert("YCbCr")
    planes = np.asarray(small, np.float64)  # (32, 32, 3)
    waves = _cosines() @ planes[..., 0] @ _cosines().T  # (8, 8)
    bits = [bool(waves[wave] > 0) for wave in _WAVES]
    bits += [mean > _COLOURED for plane in (1, 2) for mean in _coarse(planes[..., plane])]
    return sum(bit << place for place, bit in enumerate(bits))


def _coarse(plane: np.ndarray) -> list[float]:
    """Twelve means of a plane, three down and four across."""
    rows = np.array_split(plane, 3, axis=0)
    return [float(part.mean()) for row in rows for part in np.array_split(row, 4, axis=1)]


@cache
def _cosines() -> np.ndarray:
    """The eight slowest waves of a discrete cosine transform: (8, 32)."""
    places = (2 * np.arange(_SIDE) + 1) * np.pi / (2 * _SIDE)
    return np.cos(np.arange(8)[:, None] * places)
