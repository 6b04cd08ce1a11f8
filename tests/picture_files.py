"""Picture files as bytes, well-formed and not: what Pillow can write, and by hand what it cannot."""

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

D50 = (0.9642, 1.0, 0.8249)

# Primaries in XYZ relative to D50, a column for each channel: ICC's registry and the profiles' own tags.
SRGB = ((0.43607, 0.38515, 0.14307), (0.22249, 0.71687, 0.06061), (0.01392, 0.09708, 0.71410))
DISPLAY_P3 = ((0.51512, 0.29198, 0.15710), (0.24120, 0.69225, 0.06657), (-0.00105, 0.04189, 0.78407))
ADOBE_RGB = ((0.60974, 0.20528, 0.14919), (0.31111, 0.62567, 0.06322), (0.01947, 0.06087, 0.74457))


def encoded(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format=file_format, **options)
    return file.getvalue()


def random_picture(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *before: bytes) -> bytes:
    """A PNG of any depth and colour type; `rows` are unfiltered, `before` are chunks that precede the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    length = len(rows) // height if height else 0
    filtered = b"".join(b"\0" + rows[start : start + length] for start in range(0, len(rows), length or 1))
    parts = [chunk(b"IHDR", header), *before, chunk(b"IDAT", zlib.compress(filtered)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def claiming(side: int) -> bytes:
    """A PNG of a few bytes that claims `side` x `side` pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def animated_webp(frames: int, side: int = 64) -> bytes:
    """An animation of equal frames of one colour, green."""
    still = encoded(Image.new("RGB", (side, side), (0, 200, 0)), "WEBP", lossless=True)
    size = (side - 1).to_bytes(3, "little")
    frame = bytes(6) + size + size + (40).to_bytes(3, "little") + b"\0" + still[12:]
    body = riff(b"VP8X", b"\x02\0\0\0" + size + size) + riff(b"ANIM", bytes(6)) + riff(b"ANMF", frame) * frames
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def riff(kind: bytes, body: bytes) -> bytes:
    """One chunk of a WebP."""
    return kind + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)


def scan_bomb(side: int = 6000, scans: int = 20_000) -> bytes:
    """A progressive JPEG whose last scan comes again and again: small, and hours of work."""
    data = encoded(Image.new("L", (side, side), 128), "JPEG", progressive=True, quality=50)
    start = data.rindex(b"\xff\xda")
    return data[:start] + data[start:-2] * scans + data[-2:]


def matrix_profile(primaries: Sequence[Sequence[float]], curve: bytes) -> bytes:
    """An RGB profile by its primaries (columns, D50) and the one tone curve of its channels."""
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), zip(*primaries, strict=True), strict=True)
    curves = ((name, curve) for name in (b"rTRC", b"gTRC", b"bTRC"))
    return _profile(b"mntr", b"RGB ", b"XYZ ", dict([*((name, _xyz(value)) for name, value in columns), *curves]))


def grey_profile(curve: bytes) -> bytes:
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": curve})


def cmyk_profile(inks: dict[tuple[int, int, int, int], tuple[float, float, float]]) -> bytes:
    """A printer's profile by the Lab of each of the sixteen overprints (0 or 1 of each ink)."""
    identity = bytes(range(256))
    matrix = b"".join(_fixed(value) for value in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    grid = b"".join(
        bytes([round(lightness * 2.55), round(a + 128), round(b + 128)])
        for _, (lightness, a, b) in sorted(inks.items())
    )
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + identity * 4 + grid + identity * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


def gamma_curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))


def srgb_curve() -> bytes:
    levels = np.round(linear(np.linspace(0, 1, 1024)) * 65535).astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", 1024) + levels.tobytes()


def linear(encoded_values: np.ndarray) -> np.ndarray:
    """sRGB's numbers (0 to 1) as light: IEC 61966-2-1."""
    return np.where(encoded_values <= 0.04045, encoded_values / 12.92, ((encoded_values + 0.055) / 1.055) ** 2.4)


def srgb_of(xyz: np.ndarray) -> np.ndarray:
    """XYZ (relative to D50) as sRGB's numbers, 0 to 255; what sRGB does not have is clipped."""
    light = np.clip(np.linalg.inv(np.array(SRGB)) @ xyz, 0, 1)
    return 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def _profile(kind: bytes, space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile, version 2.4."""
    words = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(4 + 4 + 2 + 1 + 67)
    tags = {b"desc": words, b"cprt": b"text" + bytes(4) + b"none\0", b"wtpt": _xyz(D50), **tags}
    offset, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(value))
        body += value + b"\0" * (-len(value) % 4)
    date = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    head = bytes(4) + struct.pack(">I", 0x02400000) + kind + space + pcs + date + b"acsp" + bytes(28)
    head += b"".join(map(_fixed, D50)) + bytes(48)
    return struct.pack(">I", 128 + len(table) + len(body)) + head + table + body


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(_fixed, values))


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))
