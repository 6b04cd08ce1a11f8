"""Pictures as files: the same bytes every time, marked as sRGB, readable, and honest about what does not fit."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.finishing.codec import (
    FORMATS,
    content_type,
    encode_picture,
    extension,
    read_picture_header,
    thumbnail,
)

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>\xc3\xbc</x:xmpmeta>"


@pytest.fixture
def pixels() -> np.ndarray:
    """A smooth scene with a saturated edge, uint8 (72, 100, 3)."""
    y, x = np.mgrid[0:72, 0:100]
    scene = np.stack([x * 2, y * 3, 255 - x], axis=2)
    scene[20:50, 30:60] = (255, 0, 0)
    return scene.astype(np.uint8)


@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_comes_back(pixels: np.ndarray, format: str) -> None:
    data = encode_picture(pixels, format, XMP)
    assert read_picture_header(data) == (format, 100, 72)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.info["xmp"] == XMP
        decoded = np.asarray(picture.convert("RGB")).astype(int)
    worst_mean = 0 if format == "png" else 3
    assert np.abs(decoded - pixels).mean() <= worst_mean


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_pixels_give_the_same_bytes_in_every_process(pixels: np.ndarray, format: str) -> None:
    code = (
        "import sys, hashlib, numpy, time; from pressrun.pipeline.finishing.codec import encode_picture\n"
        "pixels = numpy.frombuffer(sys.stdin.buffer.read(), numpy.uint8).reshape(72, 100, 3)\n"
        "sys.stdout.buffer.write(encode_picture(pixels, sys.argv[1], sys.argv[2].encode()))"
    )
    command = [sys.executable, "-c", code, format, XMP.decode()]
    elsewhere = subprocess.run(command, input=pixels.tobytes(), capture_output=True, check=True).stdout
    assert elsewhere == encode_picture(pixels, format, XMP) == encode_picture(pixels[:, :, :].copy("F"), format, XMP)


@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_says_that_it_is_srgb(pixels: np.ndarray, format: str) -> None:
    data = encode_picture(pixels, format, XMP)
    with Image.open(io.BytesIO(data)) as picture:
        profile = picture.info.get("icc_profile")
        if format == "png":
            assert picture.info["srgb"] == 0
        elif format == "avif":
            assert b"colrnclx\x00\x01\x00\x0d" in data  # BT.709 primaries, sRGB transfer (ITU-T H.273)
        else:
            assert ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).startswith("sRGB")


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif"])
def test_quality_decides_the_size(pixels: np.ndarray, format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    assert len(encode_picture(noise, format, XMP, 30)) < len(encode_picture(noise, format, XMP)) * 0.8


@pytest.mark.parametrize("format", ["png", "jpeg"])
def test_metadata_and_size_stand_in_the_head(pixels: np.ndarray, format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    head = encode_picture(noise, format, XMP)[:4096]
    assert read_picture_header(head) == (format, 512, 512)


def test_what_a_format_cannot_hold_fails_the_row() -> None:
    with pytest.raises(RequestError, match="16384 × 1 pixels cannot be written as webp") as failure:
        encode_picture(np.zeros((1, 16_384, 3), np.uint8), "webp", XMP)
    assert failure.value.code == "cannot_encode"
    with pytest.raises(RequestError, match="shorten its texts"):
        encode_picture(np.zeros((8, 8, 3), np.uint8), "png", b"x" * 70_000)


def test_what_is_no_picture_is_our_mistake(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        encode_picture(pixels.astype(np.float32), "png", XMP)
    with pytest.raises(ValueError, match="no picture format 'gif'"):
        encode_picture(pixels, "gif", XMP)


@pytest.mark.parametrize("size", [(1200, 800), (800, 1200), (100, 60)])
def test_a_thumbnail_fits_its_square(size: tuple[int, int]) -> None:
    width, height = size
    pixels = np.full((height, width, 3), 200, np.uint8)
    header = read_picture_header(thumbnail(pixels, 256))
    assert header is not None
    scale = min(1.0, 256 / max(size))
    assert (header.width, header.height) == (round(width * scale), round(height * scale))
    assert thumbnail(pixels) == thumbnail(pixels)


def test_a_thumbnail_can_say_that_it_is_generated(pixels: np.ndarray) -> None:
    with Image.open(io.BytesIO(thumbnail(pixels, xmp=XMP))) as picture:
        assert picture.info["xmp"] == XMP


def _huge_png() -> bytes:
    data = bytearray(encode_picture(np.zeros((8, 8, 3), np.uint8), "png", XMP))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0", id="eps"),
        pytest.param(b"\x89PNG\r\n\x1a\n", id="signature-only"),
        pytest.param(b"RIFF\x10\x00\x00\x00WEBPVP8 ", id="cut-webp"),
        pytest.param(b"GIF89a\x01\x00\x01\x00\x00\x00\x00", id="gif"),
        pytest.param(_huge_png(), id="bomb"),
    ],
)
def test_foreign_bytes_have_no_header(data: bytes) -> None:
    assert read_picture_header(data) is None


def test_names_of_formats() -> None:
    assert [extension(format) for format in FORMATS] == ["png", "jpg", "webp", "avif"]
    assert [content_type(format) for format in FORMATS] == ["image/png", "image/jpeg", "image/webp", "image/avif"]
