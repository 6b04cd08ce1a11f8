"""What a check can measure of pixels alone: how much there is to see, how sharp it is, and what it looks like.

Every measure is of uint8 pixels (H, W, 3) in sRGB, of any size, and the same on every machine.
"""

import numpy as np
from PIL import Image, ImageFilter

_SIDE = 16
_LARGEST = 512
"""Pixels of the longer side at which sharpness is measured: a thumbnail's blur is nobody's trouble."""
_BLUR_RADIUS = 4


def contrast(pixels: np.ndarray) -> float:
    """Standard deviation of the picture as seen from far away, 16 pixels a side: 0 for one colour, 128 for half black,
    half white. Noise averages out, so that a picture of nothing but noise has next to none."""
    small = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    values = np.asarray(small, np.float64)  # (16, 16, 3)
    return float(np.sqrt(values.var(axis=(0, 1)).mean()))


def sharpness(pixels: np.ndarray) -> float:
    """How much of the picture's steepest changes a blur would take away, 0 to 1: little, if it is blurred already.

    After Crete et al., The blur effect (2007), but of the steepest fiftieth of all places: the backdrop of a product is
    soft on purpose.
    """
    picture = Image.fromarray(pixels).convert("L")
    picture.thumbnail((_LARGEST, _LARGEST), Image.Resampling.BOX)
    sharp = np.asarray(picture, np.float64)
    soft = np.asarray(picture.filter(ImageFilter.BoxBlur(_BLUR_RADIUS)), np.float64)
    shares = []
    for axis in (0, 1):
        before, after = (np.abs(np.diff(values, axis=axis)) for values in (sharp, soft))
        steep = before >= max(np.quantile(before, 0.98), 1.0)
        if steep.any():
            shares.append(float(np.maximum(before - after, 0)[steep].sum() / before[steep].sum()))
    return max(shares, default=0.0)
