"""Colours of a picture that says what its numbers mean: from its ICC profile to sRGB, which is what models have learnt.

Colours move relative to the paper's white and black, as in Photoshop's default. A profile that is broken, or speaks of
another kind of picture than the one that it came with, is ignored.
"""

import functools
import io

import numpy as np
from PIL import Image, ImageCms

_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}
_SAME = 2
"""Levels by which a profile may differ from sRGB and still be it: the many copies of sRGB differ by rounding."""


def to_srgb(image: Image.Image, profile: bytes | None, grey: bool = False) -> Image.Image:
    """`image` (L, RGB or CMYK, as whose `profile` came) as RGB; pixels whose profile is sRGB are not touched.

    `grey` says that the picture is one of grey tones although its mode may be RGB.
    """
    mode, transform = _transform(profile) if profile else ("", None)
    fits = {"L": grey, "RGB": image.mode != "CMYK", "CMYK": image.mode == "CMYK"}.get(mode, False)
    if transform is None or not fits:
        return image.convert("RGB")
    return transform.apply(image.convert(mode))


@functools.lru_cache(maxsize=4)
def _transform(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """The mode that a profile is for and the way from it to sRGB; None where there is no way or none is needed."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES[source.profile.xcolor_space.strip()]
        target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        transform = ImageCms.buildTransform(source, target, mode, "RGB", _INTENT, _FLAGS)
        return mode, None if _is_identity(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, KeyError, AttributeError):
        return "", None


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether RGB or grey stays what it is, tried with 17 levels a channel."""
    if mode == "CMYK":
        return False
    levels = np.linspace(0, 255, 17).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    colours = Image.fromarray(grid if mode == "RGB" else np.arange(256, dtype=np.uint8)[None])
    before, after = (np.asarray(image.convert("RGB"), np.int16) for image in (colours, transform.apply(colours)))
    return int(np.abs(after - before).max()) <= _SAME
