"""PNGs with more to say than their pixels: long, damaged or misleading texts change nothing of the picture."""

import zlib

import numpy as np
import pytest
from PIL import Image

from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.finishing.codec import read_picture_header
from pressrun.pipeline.finishing.metadata import read_properties
from pressrun.pipeline.models.catalogue import find_model
from pressrun.pipeline.overlay.copy_assets import read_logo
from pressrun.pipeline.references.decode import decode_reference
from pressrun.pipeline.references.png_chunks import MAX_BYTES, pixels_alone
from tests.picture_files import DISPLAY_P3, chunk, claiming, encoded, matrix_profile, random_picture, srgb_curve

MODEL = find_model("mini")
PICTURE = random_picture(96, 64)
PLAIN = encoded(PICTURE)
WORDS = b'{"node": "KSampler", "seed": 12345, "links": [1, 2, 3]}, ' * 40_000  # 2.3 MB
PACKET = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/>' + WORDS + b"</x:xmpmeta>"


def with_chunks(*chunks: bytes, data: bytes = PLAIN) -> bytes:
    return data[:33] + b"".join(chunks) + data[33:]


def damaged(piece: bytes) -> bytes:
    """A chunk with a wrong checksum."""
    return piece[:-1] + bytes([piece[-1] ^ 1])


def zipped(kind: bytes, key: bytes, between: bytes, text: bytes) -> bytes:
    return chunk(kind, key + between + zlib.compress(text))


def shown(data: bytes) -> list[list[list[int]]]:
    return np.asarray(decode_reference(data, MODEL)).tolist()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(with_chunks(chunk(b"tEXt", b"workflow\0" + WORDS)), id="long text"),
        pytest.param(with_chunks(zipped(b"zTXt", b"workflow", b"\0\0", WORDS)), id="long packed text"),
        pytest.param(with_chunks(zipped(b"iTXt", b"workflow", b"\0\1\0de\0Ablauf\0", WORDS)), id="long packed UTF-8"),
        pytest.param(with_chunks(*[chunk(b"tEXt", b"a\0" + WORDS)] * 40), id="90 MB of texts"),
        pytest.param(PLAIN[:-12] + zipped(b"zTXt", b"a", b"\0\0", WORDS) + PLAIN[-12:], id="behind the pixels"),
        pytest.param(with_chunks(damaged(chunk(b"tEXt", b"Comment\0hello"))), id="wrong checksum of a comment"),
        pytest.param(with_chunks(damaged(chunk(b"tIME", bytes(7)))), id="wrong checksum of a date"),
        pytest.param(with_chunks(chunk(b"zTXt", b"workflow\0\0no zlib")), id="text that is not packed"),
        pytest.param(with_chunks(chunk(b"zTXt", b"workflow\0\7" + WORDS)), id="text packed in another way"),
        pytest.param(with_chunks(chunk(b"iCCP", b"press\0\7" + WORDS)), id="profile packed in another way"),
        pytest.param(with_chunks(zipped(b"iCCP", b"bomb", b"\0\0", bytes(200 << 20))), id="profile that is a bomb"),
        pytest.param(with_chunks(zipped(b"zTXt", b"bomb", b"\0\0", bytes(200 << 20))), id="text that is a bomb"),
        pytest.param(with_chunks(chunk(b"tEXt", b"transparency\0red")), id="text with a name of Pillow's"),
        pytest.param(with_chunks(chunk(b"tEXt", b"icc_profile\0red")), id="text that is no profile"),
        pytest.param(with_chunks(chunk(b"gAMA", b"\1")), id="gamma that is cut off"),
        pytest.param(with_chunks(chunk(b"caBX", WORDS)), id="long manifest of somebody's signature"),
    ],
)
def test_what_a_picture_says_beside_its_pixels_does_not_change_them(data: bytes) -> None:
    assert shown(data) == shown(PLAIN)


def test_a_large_profile_still_tells_the_colours() -> None:
    profile = matrix_profile(DISPLAY_P3, srgb_curve())
    profile = (len(profile) + 1_300_000).to_bytes(4, "big") + profile[4:] + bytes(1_300_000)
    data = with_chunks(zipped(b"iCCP", b"press", b"\0\0", profile))
    assert shown(data) == shown(encoded(PICTURE, icc_profile=matrix_profile(DISPLAY_P3, srgb_curve()))) != shown(PLAIN)


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + PACKET), id="as it is"),
        pytest.param(zipped(b"iTXt", b"XML:com.adobe.xmp", b"\0\1\0\0\0", PACKET), id="packed"),
    ],
)
def test_a_long_history_still_tells_which_way_is_up(piece: bytes) -> None:
    turned = encoded(PICTURE.transpose(Image.Transpose.ROTATE_270))
    assert shown(with_chunks(piece)) == shown(turned)
    assert read_picture_header(with_chunks(piece)) == ("png", 96, 64)
    assert read_properties(with_chunks(piece)) == {}


def test_a_logo_may_have_a_long_history_too() -> None:
    logo = read_logo(with_chunks(zipped(b"zTXt", b"workflow", b"\0\0", WORDS)), "logo.png")
    assert logo.convert("RGB").tobytes() == PICTURE.tobytes()


def test_no_more_is_unpacked_than_the_limit() -> None:
    packet = b"<x:xmpmeta>" + bytes(MAX_BYTES)
    _, info = pixels_alone(with_chunks(zipped(b"iTXt", b"XML:com.adobe.xmp", b"\0\1\0\0\0", packet)))
    assert info == {}


def test_a_bomb_of_pixels_is_refused_whatever_stands_beside_them() -> None:
    with pytest.raises(RequestError) as error:
        decode_reference(with_chunks(chunk(b"tEXt", b"a\0" + WORDS), data=claiming(60_000)), MODEL)
    assert error.value.code == "reference_too_large"


@pytest.mark.parametrize("cut", range(0, 60))
def test_a_picture_that_is_cut_off_is_none(cut: int) -> None:
    with pytest.raises(RequestError) as error:
        decode_reference(with_chunks(chunk(b"tEXt", b"a\0b"))[:cut], MODEL)
    assert error.value.code == "reference_unreadable"


def test_other_files_are_left_as_they_are() -> None:
    for data in (b"", b"GIF89a", PLAIN[:7], encoded(PICTURE, "JPEG")):
        assert pixels_alone(data) == (data, {})
