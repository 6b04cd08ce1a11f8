"""Whatever bytes a reference is made of: legal pixels or a documented refusal, never anything else, never for ever."""

import itertools
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pressrun.cluster.references.decoder_pool import Decoder
from pressrun.pipeline.errors import RequestError
from tests.picture_files import (
    DISPLAY_P3,
    animated_webp,
    chunk,
    cmyk_profile,
    encoded,
    gamma_curve,
    matrix_profile,
    png,
    random_picture,
    riff,
)

CAP = 128 * 128
CODES = {"reference_unreadable", "reference_too_large", "reference_unsuitable", "reference_timeout"}
EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
P3 = matrix_profile(DISPLAY_P3, gamma_curve(2.2))
CMYK = cmyk_profile({amounts: (50.0, 10.0 * amounts[0], 0.0) for amounts in itertools.product((0, 1), repeat=4)})


def _whole() -> Iterator[bytes]:
    """Well-formed files of every mode, with profiles, orientation, text, alpha and several frames."""
    picture = random_picture(80, 72)
    exif = Image.Exif()
    exif[0x0112] = 6
    grey, alpha = picture.convert("L"), picture.convert("L").rotate(90)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        yield encoded(picture.convert(mode), "PNG", icc_profile=P3, exif=exif)
    yield encoded(Image.fromarray(np.asarray(grey, np.uint16) * 257), "PNG")
    for colour, channels in ((0, 1), (2, 3), (4, 2), (6, 4)):
        yield png(
            64, 64, 16, colour, bytes(range(256)) * (32 * channels), chunk(b"zTXt", b"a\0\0" + zlib.compress(b"b"))
        )
    for depth in (1, 2, 4, 8):
        yield png(64, 64, depth, 0, bytes(8 * depth * 64), chunk(b"tRNS", b"\0\1"))
    yield encoded(picture, "PNG", save_all=True, append_images=[picture.rotate(90)])
    for mode, profile in (("L", b""), ("RGB", P3), ("CMYK", CMYK)):
        for progressive in (False, True):
            yield encoded(picture.convert(mode), "JPEG", icc_profile=profile, exif=exif, progressive=progressive)
    yield encoded(picture, "MPO", save_all=True, append_images=[picture])
    yield encoded(picture, "WEBP", icc_profile=P3, exif=exif)
    yield encoded(Image.merge("RGBA", [*picture.split(), alpha]), "WEBP", lossless=True, xmp=b"<x/>")
    yield animated_webp(20)


WHOLE = tuple(_whole())
offsets = st.integers(0, 1 << 16)


def _cut(data: bytes, at: int) -> bytes:
    return data[: at % (len(data) + 1)]


def _flip(data: bytes, spots: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for at, value in spots:
        changed[at % len(changed)] ^= value
    return bytes(changed)


def _extreme(data: bytes, at: int, value: int, form: str) -> bytes:
    """A number of 1 to 4 bytes somewhere, mostly in the first hundred bytes, set to an extreme."""
    size = struct.calcsize(form)
    at %= max(1, len(data) - size)
    return data[:at] + struct.pack(form, value & (1 << 8 * size) - 1) + data[at + size :]


def _parts(data: bytes) -> list[bytes]:
    """A file as its signature, chunks or segments, and the rest: concatenated, they are the file."""
    start = {b"\x89P": 8, b"RI": 12, b"\xff\xd8": 2}[data[:2]]
    parts = [data[:start]]
    while start < len(data):
        if data[:2] == b"\x89P":
            length = int.from_bytes(data[start : start + 4], "big") + 12
        elif data[:2] == b"RI":
            length = int.from_bytes(data[start + 4 : start + 8], "little") + 8
            length += length % 2
        elif data[start + 1] == 0xDA:  # the scans; they have no length
            length = len(data) - start
        else:
            length = int.from_bytes(data[start + 2 : start + 4], "big") + 2
        parts.append(data[start : start + length])
        start += length
    return parts


def _shuffle(data: bytes, take: list[int]) -> bytes:
    """Parts repeated, left out and exchanged; checksums and the length of a WebP stay right."""
    parts = _parts(data)
    mixed = parts[0] + b"".join(parts[number % len(parts)] for number in take)
    return _with_length(mixed)


def _repeat(data: bytes, number: int, times: int) -> bytes:
    parts = _parts(data)
    at = 1 + number % (len(parts) - 1)
    return _with_length(b"".join(parts[:at] + parts[at : at + 1] * times + parts[at + 1 :]))


def _inside(data: bytes, number: int, spots: list[tuple[int, int]]) -> bytes:
    """Bytes of one part changed, and a PNG's checksum mended: what a careless parser believes."""
    parts = _parts(data)
    at = 1 + number % (len(parts) - 1)
    part = parts[at]
    if data[:2] == b"\x89P" and len(part) > 12:
        parts[at] = chunk(part[4:8], _flip(part[8:-4], spots))
    elif len(part) > 4:
        parts[at] = part[:4] + _flip(part[4:], spots)
    return b"".join(parts)


def _with_length(data: bytes) -> bytes:
    return b"RIFF" + (len(data) - 8).to_bytes(4, "little") + data[8:] if data[:4] == b"RIFF" else data


def _in_webp(data: bytes, body: bytes, kind: bytes) -> bytes:
    """Anything in a chunk of a WebP, of which there is none in other files."""
    return _with_length(data + riff(kind, body))


spots = st.lists(st.tuples(offsets, st.integers(1, 255)), min_size=1, max_size=12)
whole = st.sampled_from(WHOLE)
mutated = st.one_of(
    st.builds(_flip, whole, spots),
    st.builds(_cut, whole, offsets),
    st.builds(
        _extreme,
        whole,
        st.integers(0, 120) | offsets,
        st.sampled_from(EXTREMES),
        st.sampled_from([">B", ">H", "<H", ">I", "<I"]),
    ),
    st.builds(_shuffle, whole, st.lists(st.integers(0, 40), max_size=30)),
    st.builds(_repeat, whole, st.integers(0, 40), st.sampled_from([2, 50, 3000])),
    st.builds(_inside, whole, st.integers(0, 40), spots),
    st.builds(lambda one, other, at: _cut(one, at) + other, whole, whole, offsets),
    st.builds(_in_webp, whole, st.binary(max_size=200), st.sampled_from([b"ICCP", b"EXIF", b"ANMF", b"ALPH", b"VP8L"])),
    st.builds(lambda one, tail: one[:40] + tail, whole, st.binary(max_size=600)),
    st.binary(max_size=600),
)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(seconds=20.0)
    yield decoder
    decoder.close()


def check(decoder: Decoder, data: bytes) -> None:
    try:
        pixels = decoder.decode(data, CAP)
    except RequestError as error:
        assert error.code in CODES
        assert error.message.startswith("The reference picture") and error.message.endswith(".")
        assert error.message.isprintable() and " at 0x" not in error.message and len(error.message) < 300
        assert "ends its decoder" not in error.message, "a crash is survived, and still is worth a look"
    else:
        height, width, channels = pixels.shape
        assert (height % 16, width % 16, channels, pixels.dtype) == (0, 0, 3, np.uint8)
        assert 0 < height * width <= CAP


@pytest.mark.parametrize("data", WHOLE, ids=lambda data: str(len(data)))
def test_what_the_mutations_start_from_is_well_formed(decoder: Decoder, data: bytes) -> None:
    assert b"".join(_parts(data)) == data
    assert decoder.decode(data, CAP).size > 0


def fuzz(decoder: Decoder, examples: int, derandomize: bool) -> None:
    # No example database: it would be written into the folder of whoever runs the tests.
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=derandomize,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated)
    def run(data: bytes) -> None:
        check(decoder, data)

    run()


def test_any_bytes_become_pixels_or_a_refusal(decoder: Decoder) -> None:
    fuzz(decoder, 200, derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_ten_thousand_pictures_become_pixels_or_refusals(decoder: Decoder) -> None:
    fuzz(decoder, 10_000, derandomize=False)
