"""A finished picture as bytes: PNG, JPEG, WebP or AVIF, marked as sRGB and carrying its metadata.

The same pixels and the same XMP give the same bytes on every machine with the same Pillow: no time stamps, no choice
that depends on the number of processors (libavif's bytes change with its number of threads, so it gets one).

How a file says that it is sRGB: PNG by an `sRGB` chunk, AVIF by its colour box (`nclx`), JPEG and WebP by a 588-byte
ICC profile. Chroma is not subsampled where the format lets us choose: product pictures live from saturated edges.
"""

import functools
import io
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.references.png_chunks import pixels_alone

FORMATS = ("png", "jpeg", "webp", "avif")
"""Formats that pictures are written in; each has an extension, a content type and, but for PNG, a quality."""

QUALITY = {"jpeg": 92, "webp": 85, "avif": 75}
"""Default quality, 1 to 100. PNG is lossless and has none."""

LOSSY = tuple(QUALITY)

_EXTENSION = {"png": "png", "jpeg": "jpg", "webp": "webp", "avif": "avif"}
_PROFILE_DATE = slice(24, 36)  # ICC.1:2022, 7.2.1: when the profile was made, as six big-endian 16-bit numbers
_LARGEST_XMP = 65_000
"""Bytes. A JPEG segment holds 65,533; the same limit everywhere, so that no row fails in one format only."""


class PictureHeader(NamedTuple):
    """What a file says about itself before any pixel is decoded; sides in pixels."""

    format: str
    width: int
    height: int


def encode_picture(pixels: np.ndarray, format: str, xmp: bytes, quality: int | None = None) -> bytes:
    """Encode `pixels`, uint8 (H, W, 3) in sRGB, as a file in `format` that carries the XMP packet.

    `quality` is 1 to 100 (default: `QUALITY`) and means nothing to PNG. Raises RequestError `cannot_encode` if the
    format cannot hold this picture (WebP ends at 16,383 pixels a side) or its metadata, ValueError for a caller's bug.
    """
    if format not in FORMATS:
        raise ValueError(f"There is no picture format {format!r}; there are {', '.join(FORMATS)}.")
    picture = _as_image(pixels)
    if len(xmp) > _LARGEST_XMP:
        message = f"The picture's metadata are {len(xmp):,} bytes, a file takes {_LARGEST_XMP:,}: shorten its texts."
        raise RequestError("cannot_encode", message)
    file = io.BytesIO()
    try:
        picture.save(file, format.upper(), **_options(format, xmp, quality))
    except (OSError, ValueError) as error:
        size = f"{picture.width} × {picture.height}"
        message = f"A picture of {size} pixels cannot be written as {format}: {error}. Choose another size or format."
        raise RequestError("cannot_encode", message) from error
    return file.getvalue()


def thumbnail(pixels: np.ndarray, side: int = 256, xmp: bytes = b"") -> bytes:
    """A small WebP of `pixels`, uint8 (H, W, 3), for the contact sheet: neither side longer than `side` pixels.

    Smaller pictures keep their size. `xmp` may carry the mark that the picture is generated. About 4 KiB at 256 pixels.
    """
    picture = _as_image(pixels)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=80, method=2, xmp=xmp)  # half the time of 4, a twentieth more bytes
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    """The pixels, uint8 (H, W, 3), of a picture file of ours. Raises OSError or ValueError for bytes that are none."""
    with Image.open(io.BytesIO(data), formats=[name.upper() for name in FORMATS]) as picture:
        return np.asarray(picture.convert("RGB"))


def read_picture_header(data: bytes) -> PictureHeader | None:
    """Format and size of a picture file, or None if `data` is no picture in one of our formats.

    Decodes no pixel, so it does not notice damage behind the header. PNG and JPEG may be cut off after their metadata,
    WebP and AVIF must be whole.
    """
    try:
        series_lock, _ = pixels_alone(data)
        with Image.open(io.BytesIO(series_lock), formats=[name.upper() for name in FORMATS]) as picture:
            return PictureHeader(str(picture.format).lower(), picture.width, picture.height)
    except Exception:  # whatever a decoder makes of foreign bytes, they are no picture of ours
        return None


def is_sound(data: bytes) -> bool:
    """Whether a picture's checksums hold, as far as its format has any: those of a PNG's chunks. Decodes no pixel."""
    try:
        with Image.open(io.BytesIO(data), formats=[name.upper() for name in FORMATS]) as picture:
            picture.verify()
            return True
    except Exception:  # there are many ways to be damaged
        return False


def decode_picture(data: bytes) -> np.ndarray | None:
    """The pixels of one of our own files, uint8 (H, W, 3); None if it is damaged."""
    try:
        with Image.open(io.BytesIO(data), formats=[name.upper() for name in FORMATS]) as picture:
            return np.asarray(picture.convert("RGB"))
    except Exception:  # there are many ways to be damaged
        return None


def content_type(format: str) -> str:
    """Media type of a format, e.g. `image/png`."""
    return f"image/{format}"


def extension(format: str) -> str:
    """File name extension of a format, without the dot."""
    return _EXTENSION[format]


def _as_image(pixels: np.ndarray) -> Image.Image:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"Pixels must be uint8 (H, W, 3), not {pixels.dtype} {pixels.shape}.")
    return Image.fromarray(np.ascontiguousarray(pixels))


def _options(format: str, xmp: bytes, quality: int | None) -> dict[str, Any]:
    """What Pillow's `save` is told. Pillow ignores `xmp=` for PNG without a word, so there it is a text chunk."""
    if format == "png":
        chunks = PngInfo()
        chunks.add(b"sRGB", b"\0")  # rendering intent: perceptual
        chunks.add_itxt("XML:com.adobe.xmp", xmp.decode())
        return {"compress_level": 1, "pnginfo": chunks}
    lossy: dict[str, Any] = {"xmp": xmp, "quality": QUALITY[format] if quality is None else quality}
    if format == "jpeg":
        return lossy | {"subsampling": "4:4:4", "icc_profile": _srgb_profile()}
    if format == "webp":
        return lossy | {"method": 4, "icc_profile": _srgb_profile()}
    return lossy | {"speed": 8, "subsampling": "4:4:4", "max_threads": 1, "autotiling": False}


@functools.cache
def _srgb_profile() -> bytes:
    """LittleCMS's sRGB profile with a fixed date in place of now, so that its bytes are always the same."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_PROFILE_DATE] = b"".join(number.to_bytes(2, "big") for number in (2026, 1, 1, 0, 0, 0))
    return bytes(profile)
