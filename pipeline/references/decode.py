"""Reference pictures: bytes from anywhere become RGB pixels that the autoencoder takes, or a sentence says why not.

Sizes follow diffusers' `Flux2Pipeline.__call__` exactly (step 4, "process images"), with the model's
`reference_pixels` in place of its constant of 1024 x 1024. Colours are what a photographer expects: upright, in sRGB by
the picture's own profile, on white where it is transparent, the first frame of what moves. Free of torch.

A stranger's bytes may crash or choke any decoder: `worker` does this in a process that may die.
"""

import io
import math
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.references.colour import to_srgb
from pressrun.pipeline.references.jpeg_end import with_end
from pressrun.pipeline.references.png_chunks import pixels_alone
from pressrun.pipeline.request import MULTIPLE, Grid

FORMATS = ("PNG", "JPEG", "WEBP")
"""The only decoders that a stranger's bytes ever reach."""

MAX_PIXELS = 50_000_000
"""Of a picture before it is scaled: 50 megapixels are a medium-format photograph and 150 MB in memory."""

MIN_SIDE = 64
MAX_ASPECT = 8
"""What FLUX.2 takes: `Flux2ImageProcessor.check_image_input` in diffusers."""

ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a picture of each EXIF orientation upright; from 5 on, width and height change places."""

KEY_SCALES: dict[str, Callable[[Any], Any]] = {
    "L;2": lambda grey: grey * 85,
    "L;4": lambda grey: grey * 17,
    "RGB;16B": lambda colour: tuple(level >> 8 for level in colour),
}
"""The transparent value of a PNG's tRNS, for 8 bits, by Pillow's names of the layouts where it has others."""

PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*(?:<!--.{,999}?-->\s*)?<(?:!doctype html|html|head|body)\b", re.I | re.S)
WRAPPED = re.compile(rb"[0-9a-f]{1,8}(?:;chunk-signature=[0-9a-f]{64})?\r\n(?:\x89PNG|\xff\xd8\xff|RIFF)", re.I)
"""What comes in pictures' places: pages, and uploads that somebody stored with what they were sent in."""

PNG_ORIENTATION_MARKERS = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")


def reference_grid(width: int, height: int, model: Model) -> Grid:
    """Rows and columns of tokens that an upright picture of `width` x `height` pixels becomes under `model`."""
    width, height = _scaled_size(width, height, model)
    return height // MULTIPLE, width // MULTIPLE


def decode_reference(data: bytes, model: Model) -> Image.Image:
    """The picture as `model` sees it: upright, RGB on white, at most `reference_pixels`, sides multiples of 16.

    Raises RequestError: `reference_unreadable`, `reference_too_large`, `reference_unsuitable`.
    """
    try:
        return _decoded(data, model)
    except RequestError as error:
        whole = _with_end(data) if error.code == "reference_unreadable" else None
        if whole is None:
            raise
    return _decoded(whole, model)


def _with_end(data: bytes) -> bytes | None:
    """A JPEG that lacks nothing but its end, with it; None if it lacks more. Raises RequestError where it is too large
    to be looked at, or is no picture."""
    with _opened(data) as image:
        _upright_size(image, data)
        return with_end(data)


def _decoded(data: bytes, model: Model) -> Image.Image:
    with _opened(data) as image:
        tiles = getattr(image, "tile", None)  # gone once anything has decoded them
        coding = str(tiles[0][3]) if tiles and image.format == "PNG" else ""
        # 1. Nothing is decoded before the header's size is known to be bearable.
        size = _upright_size(image, data)
        _check_size(*size)
        # 2. Upright RGB.
        image.load()
        upright = _rgb(image, coding)
        turn = UPRIGHT.get(_orientation(image, data))
        if turn is not None:
            upright = upright.transpose(turn)
    # 3. Scaled down to the cap by area, then cropped around the centre to whole tokens.
    return _fitted(upright, model)


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """The picture with only its header read. Whatever a decoder stumbles over in it becomes a RequestError."""
    series_lock, info = pixels_alone(data)
    try:
        with Image.open(io.BytesIO(series_lock), formats=FORMATS) as image:
            image.info.update(info)
            yield image
    except (RequestError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # The warning is raised only where warnings are errors; elsewhere our own, lower limit refuses the picture.
        raise _too_large("more pixels than can be decoded safely") from error
    except Exception as error:  # hostile bytes raise anything at all: struct.error, KeyError, SyntaxError, zlib.error
        raise RequestError("reference_unreadable", f"The reference picture {_why_unreadable(data, error)}.") from error


def _why_unreadable(data: bytes, error: Exception) -> str:
    """What is wrong with bytes that are no picture, and what to do."""
    if not data:
        return "is empty: it has no bytes; save it again"
    if PAGE.match(data[:2_000]):
        return (
            "is a web page (HTML), as servers send it in a picture's place to log in or to tell of an error; "
            "check the address"
        )
    if WRAPPED.match(data):
        return "is wrapped as an upload to S3 is on its way (aws-chunked), and was stored so; upload it again"
    return f"cannot be read as PNG, JPEG or WebP ({type(error).__name__}); save it again in one of these formats"


def _orientation(image: Image.Image, data: bytes) -> int:
    """EXIF orientation, 1 (upright) to 8; a picture whose EXIF is broken is taken as it lies.

    A PNG may carry it behind its pixels, where Pillow finds it only by decoding them: worth it only if it is there.
    """
    if image.format == "PNG" and not any(marker in data for marker in PNG_ORIENTATION_MARKERS):
        return 1
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except (SyntaxError, ValueError, KeyError, struct.error):
        return 1
    return value if value in UPRIGHT else 1


def _upright_size(image: Image.Image, data: bytes) -> tuple[int, int]:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(f"{width} x {height} pixels")
    return (height, width) if _orientation(image, data) >= 5 else (width, height)


def _too_large(what: str) -> RequestError:
    return RequestError(
        "reference_too_large",
        f"The reference picture has {what}; at most {MAX_PIXELS // 1_000_000} megapixels are read: scale it down.",
    )


def _check_size(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise RequestError(
            "reference_unsuitable",
            f"The reference picture is {width} x {height} pixels; each side must have at least {MIN_SIDE}.",
        )
    if max(width / height, height / width) > MAX_ASPECT:
        raise RequestError(
            "reference_unsuitable",
            f"The reference picture is {width} x {height} pixels; its long side may be at most {MAX_ASPECT} times its "
            "short side: crop it.",
        )


def _rgb(image: Image.Image, coding: str) -> Image.Image:
    """sRGB of any mode that the three formats hold; what is transparent shows white.

    `coding` is how Pillow calls the layout of a PNG's pixels, which its mode after loading no longer tells.
    """
    profile = image.info.get("icc_profile")
    grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I") or coding.startswith("LA")
    colours, alpha = _planes(image, coding)
    picture = to_srgb(colours, profile, grey)
    if alpha is None:
        return picture
    picture.putalpha(alpha)
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def _planes(image: Image.Image, coding: str) -> tuple[Image.Image, Image.Image | None]:
    """Colours with 8 bits a channel (L, RGB or CMYK), and alpha where anything may be transparent."""
    key = image.info.get("transparency")
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip instead of scale
        values = np.asarray(image).clip(0, 65535)
        grey = Image.fromarray((values // 257).astype(np.uint8))
        alpha = None if key is None else Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
        return grey, alpha
    if not image.has_transparency_data:
        return image if image.mode in ("L", "CMYK") else image.convert("RGB"), None
    if key is not None and coding in KEY_SCALES:  # Pillow scales the pixels, but not the value that is transparent
        image.info["transparency"] = KEY_SCALES[coding](key)
    image = image.convert("LA" if image.mode in ("1", "L", "LA") else "RGBA")
    return image.convert("L" if image.mode == "LA" else "RGB"), image.getchannel("A")


def _scaled_size(width: int, height: int, model: Model) -> tuple[int, int]:
    """Size after the cap by area: `Flux2ImageProcessor._resize_to_target_area`, its rounding included."""
    if width * height <= model.reference_pixels:
        return width, height
    scale = math.sqrt(model.reference_pixels / (width * height))
    return int(width * scale), int(height * scale)


def _fitted(image: Image.Image, model: Model) -> Image.Image:
    size = _scaled_size(*image.size, model)
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    rows, columns = reference_grid(*image.size, model)
    width, height = columns * MULTIPLE, rows * MULTIPLE
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
