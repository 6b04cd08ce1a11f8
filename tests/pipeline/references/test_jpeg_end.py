"""JPEGs without their end: mended where nothing else is missing, and never where something may be."""

import io

import numpy as np
import pytest
from PIL import Image

from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.references.decode import decode_reference
from pressrun.pipeline.references.jpeg_end import with_end
from tests.picture_files import encoded, random_picture

SLOPE = Image.fromarray((np.indices((97, 131)).sum(0) % 256).astype(np.uint8))
PICTURES = {
    "photograph": random_picture(131, 97),
    "flat": Image.new("RGB", (128, 96), (200, 10, 10)),
    "grey slope": SLOPE,
    "white": Image.new("L", (128, 128), 255),
    "cmyk": Image.new("CMYK", (64, 64), (1, 2, 3, 4)),
}
CODINGS = {
    "plain": {},
    "fine": {"quality": 98, "subsampling": 0},
    "half": {"subsampling": 1},
    "restarts": {"restart_marker_blocks": 3},
    "restarts by rows": {"restart_marker_rows": 1},
    "optimised": {"optimize": True},
    "progressive": {"progressive": True},
}


def pixels(data: bytes) -> bytes:
    return Image.open(io.BytesIO(data)).tobytes()


@pytest.mark.parametrize("coding", CODINGS.values(), ids=CODINGS)
@pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)
def test_only_what_lacks_nothing_but_its_end_is_mended(picture, coding) -> None:
    whole = encoded(picture, "JPEG", **coding)
    mended = {}
    for missing in (*range(50), *range(50, len(whole), max(1, len(whole) // 100))):
        data = with_end(whole[: len(whole) - missing])
        if data is not None:
            mended[missing] = pixels(data) == pixels(whole)
    assert mended == ({} if coding.get("progressive") else {1: True, 2: True})


def test_a_picture_without_its_end_is_a_reference() -> None:
    model, whole = Model(name="any", family="flux2"), encoded(PICTURES["photograph"], "JPEG")
    for missing in (1, 2):
        assert decode_reference(whole[:-missing], model) == decode_reference(whole, model)
    with pytest.raises(RequestError, match="cannot be read"):
        decode_reference(whole[:-3], model)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xda\0\2", b"\xff\xd8\xff\xc0\0\x08" + bytes(9)]
)
def test_what_is_hardly_a_picture_is_left(data: bytes) -> None:
    assert with_end(data) is None


def test_anything_at_all_in_its_head_is_a_sentence_at_most() -> None:
    chance, whole = np.random.default_rng(7), encoded(PICTURES["photograph"], "JPEG", restart_marker_blocks=3)[:-2]
    for _ in range(300):
        data = bytearray(whole)
        for place in chance.integers(2, 640, 3):
            data[place] = chance.integers(256)
        with_end(bytes(data))
