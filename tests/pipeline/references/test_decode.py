"""Reference pictures: what is let in, how it is set upright and scaled, and the sentences for what is not."""

from dataclasses import replace

import numpy as np
import pytest
from diffusers.pipelines.flux2.image_processor import Flux2ImageProcessor
from PIL import Image

from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.references.decode import decode_reference, reference_grid
from tests.picture_files import animated_webp, chunk, claiming, encoded, png, random_picture

MODEL = Model(name="any", family="flux2")


def refused(data: bytes) -> RequestError:
    """The error that decoding ends in."""
    with pytest.raises(RequestError) as decoding:
        decode_reference(data, MODEL)
    return decoding.value


@pytest.mark.parametrize(
    "size",
    [
        pytest.param((64, 64), id="smallest"),
        pytest.param((1024, 1024), id="at-the-cap"),
        pytest.param((1040, 1024), id="over-the-cap"),
        pytest.param((1501, 1103), id="photograph"),
        pytest.param((333, 211), id="crooked"),
        pytest.param((4000, 500), id="banner"),
    ],
)
def test_pictures_are_scaled_and_cropped_as_diffusers_does(size):
    picture = random_picture(*size)
    processor, theirs = Flux2ImageProcessor(vae_scale_factor=16), picture
    if size[0] * size[1] > 1024 * 1024:
        theirs = processor._resize_to_target_area(picture, 1024 * 1024)
    width, height = (side // 16 * 16 for side in theirs.size)
    tensor = processor.preprocess(theirs, height=height, width=width, resize_mode="crop")
    ours = decode_reference(encoded(picture), MODEL)
    assert np.array_equal(processor.preprocess(ours).numpy(), tensor.numpy())


@pytest.mark.parametrize("cap", [128 * 128, 1024 * 1024])
@pytest.mark.parametrize("size", [(64, 64), (127, 129), (1000, 130), (640, 480), (1920, 1080), (3000, 2999)])
def test_the_size_tells_the_tokens(size, cap):
    model = replace(MODEL, reference_pixels=cap)
    rows, columns = reference_grid(*size, model)
    assert decode_reference(encoded(Image.new("RGB", size)), model).size == (columns * 16, rows * 16)
    assert rows * columns * 256 <= cap


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_set_upright(file_format, orientation):
    # Quarters of four greys: each of the eight orientations puts another one elsewhere.
    lying = Image.new("L", (96, 64))
    for grey, corner in enumerate([(0, 0), (48, 0), (0, 32), (48, 32)]):
        lying.paste(60 * grey, (*corner, corner[0] + 48, corner[1] + 32))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encoded(lying.convert("RGB"), file_format, exif=exif, **options)
    upright = decode_reference(data, MODEL)
    turn = [None, 0, 3, 1, 5, 4, 6, 2]  # Pillow's transpose methods by orientation 1..8
    expected = lying if orientation == 1 else lying.transpose(turn[orientation - 1])
    assert upright.size == expected.size
    assert np.abs(np.asarray(upright.convert("L"), int) - np.asarray(expected, int)).max() <= 3


def test_an_orientation_behind_the_pixels_of_a_png_counts():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(random_picture(96, 64), exif=exif)
    start = data.index(b"eXIf") - 4
    length = int.from_bytes(data[start : start + 4], "big") + 12
    chunk, rest = data[start : start + length], data[:start] + data[start + length :]
    end = rest.index(b"IEND") - 4
    moved = rest[:end] + chunk + rest[end:]
    assert decode_reference(moved, MODEL).size == (64, 96)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(Image.new("RGBA", (64, 64), (255, 0, 0, 0)), (255, 255, 255), id="transparent-is-white"),
        pytest.param(Image.new("RGBA", (64, 64), (0, 0, 0, 128)), (127, 127, 127), id="half-transparent"),
        pytest.param(Image.new("LA", (64, 64), (0, 255)), (0, 0, 0), id="grey-with-alpha"),
        pytest.param(Image.new("L", (64, 64), 77), (77, 77, 77), id="grey"),
        pytest.param(Image.new("1", (64, 64), 1), (255, 255, 255), id="one-bit"),
        pytest.param(Image.fromarray(np.full((64, 64), 0x8000, np.uint16)), (127, 127, 127), id="sixteen-bit-grey"),
        pytest.param(Image.new("RGB", (64, 64), (9, 8, 7)).convert("P", palette=1), (9, 8, 7), id="palette"),
    ],
)
def test_every_mode_of_a_png_becomes_rgb(image, expected):
    picture = decode_reference(encoded(image), MODEL)
    assert picture.mode == "RGB"
    assert picture.getpixel((30, 30)) == pytest.approx(expected, abs=1)


def test_a_transparent_palette_entry_is_white():
    image = Image.new("P", (64, 64), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    assert decode_reference(encoded(image, transparency=0), MODEL).getpixel((5, 5)) == (255, 255, 255)


def words(*values: int) -> bytes:
    """Numbers of 16 bits, as a PNG has them."""
    return b"".join(value.to_bytes(2, "big") for value in values)


@pytest.mark.parametrize(
    ("data", "left", "right"),
    [
        pytest.param(png(64, 64, 16, 2, words(0xFFFF, 0x8000, 0x1234) * 4096), (255, 128, 18), None, id="rgb"),
        pytest.param(png(64, 64, 16, 6, words(0, 0, 0, 0x8000) * 4096), (127, 127, 127), None, id="rgb with alpha"),
        pytest.param(png(64, 64, 16, 4, words(0x4000, 0xFFFF) * 4096), (64, 64, 64), None, id="grey with alpha"),
        pytest.param(
            png(64, 64, 16, 0, words(*[0x4000, 0x4001] * 2048), chunk(b"tRNS", words(0x4001))),
            (63, 63, 63),
            (255, 255, 255),
            id="grey, one of which is transparent",
        ),
        pytest.param(
            png(64, 64, 16, 2, words(*[0x4000, 0, 0, 0x8000, 0, 0] * 2048), chunk(b"tRNS", words(0x8000, 0, 0))),
            (64, 0, 0),
            (255, 255, 255),
            id="rgb, one of which is transparent",
        ),
    ],
)
def test_sixteen_bits_become_eight(data, left, right):
    picture = decode_reference(data, MODEL)
    assert picture.getpixel((30, 30)) == pytest.approx(left, abs=1)
    assert picture.getpixel((31, 30)) == pytest.approx(right or left, abs=1)


@pytest.mark.parametrize(
    ("depth", "row", "key", "grey"),
    [
        pytest.param(1, b"\x55" * 8, 1, 0, id="one bit"),
        pytest.param(2, b"\x66" * 16, 2, 85, id="two bits"),
        pytest.param(4, b"\x57" * 32, 7, 85, id="four bits"),
        pytest.param(8, b"\x33\x77" * 32, 0x77, 0x33, id="eight bits"),
    ],
)
def test_the_grey_that_a_png_calls_transparent_is_white(depth, row, key, grey):
    picture = decode_reference(png(64, 64, depth, 0, row * 64, chunk(b"tRNS", words(key))), MODEL)
    assert picture.getpixel((30, 30)) == (grey, grey, grey)
    assert picture.getpixel((31, 30)) == (255, 255, 255)


def test_the_grey_that_is_transparent_is_found_under_an_orientation_too():
    exif = Image.Exif()
    exif[0x0112] = 3
    data = png(64, 64, 2, 0, b"\x66" * 1024, chunk(b"tRNS", words(2)))
    data = data[:-12] + chunk(b"eXIf", exif.tobytes()[6:]) + data[-12:]
    picture = decode_reference(data, MODEL)
    assert (picture.getpixel((30, 30)), picture.getpixel((31, 30))) == ((255, 255, 255), (85, 85, 85))


def test_a_transparent_colour_is_white():
    data = png(64, 64, 8, 2, bytes([9, 8, 7, 1, 2, 3]) * 2048, chunk(b"tRNS", words(1, 2, 3)))
    picture = decode_reference(data, MODEL)
    assert (picture.getpixel((30, 30)), picture.getpixel((31, 30))) == ((9, 8, 7), (255, 255, 255))


def test_of_what_moves_the_first_frame_is_taken():
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("blue", "red", "lime")]
    for file_format in ("PNG", "WEBP"):
        data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], lossless=True)
        red, green, blue = decode_reference(data, MODEL).getpixel((30, 30))
        assert blue > 240 and red < 15 and green < 15, file_format


def test_an_animation_of_very_many_frames_costs_no_more_than_its_first():
    assert decode_reference(animated_webp(100_000), MODEL).getpixel((30, 30)) == (0, 200, 0)


def test_a_cmyk_jpeg_becomes_rgb():
    picture = decode_reference(encoded(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG"), MODEL)
    red, green, blue = picture.getpixel((30, 30))
    assert red > 240 and green < 15 and blue < 15


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"", "reference_unreadable", id="empty"),
        pytest.param(b"<html>404</html>", "reference_unreadable", id="a-web-page"),
        pytest.param(encoded(random_picture(64, 64), "GIF"), "reference_unreadable", id="gif"),
        pytest.param(encoded(random_picture(64, 64), "TIFF"), "reference_unreadable", id="tiff"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n", "reference_unreadable", id="eps"),
        pytest.param(b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x40\0\0\0\x40\0\x08\0\3", "reference_unreadable", id="psd"),
        pytest.param(b'<svg xmlns="http://www.w3.org/2000/svg"/>', "reference_unreadable", id="svg"),
        pytest.param(encoded(random_picture(99, 99))[:-3000], "reference_unreadable", id="cut-off-png"),
        pytest.param(encoded(random_picture(99, 99), "JPEG")[:-900], "reference_unreadable", id="cut-off-jpeg"),
        pytest.param(encoded(Image.new("RGB", (63, 200))), "reference_unsuitable", id="too-narrow"),
        pytest.param(encoded(Image.new("RGB", (640, 70))), "reference_unsuitable", id="too-long"),
    ],
)
def test_what_is_no_reference_is_refused_in_a_sentence(data, code):
    error = refused(data)
    assert error.code == code
    assert error.message.startswith("The reference picture") and error.message.endswith(".")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty: it has no bytes"),
        (b"\xef\xbb\xbf\n<!-- of a proxy -->\n<!DOCTYPE html><html>log in</html>", "is a web page (HTML)"),
        (b"<HTML>" + b" " * 5_000_000, "is a web page (HTML)"),
        (b"2b61;chunk-signature=" + b"a1" * 32 + b"\r\n" + encoded(random_picture(64, 64)), "(aws-chunked)"),
        (b"2b61\r\n" + encoded(random_picture(64, 64), "JPEG") + b"\r\n0\r\n\r\n", "(aws-chunked)"),
        (b" " * 5_000_000, "cannot be read as PNG, JPEG or WebP"),
    ],
    ids=["empty", "page", "long-page", "signed-chunks", "chunks", "blanks"],
)
def test_what_comes_in_a_pictures_place_is_named(data, words):
    assert words in refused(data).message


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # Pillow's limit is above ours
@pytest.mark.parametrize("side", [8000, 12000, 60000])
def test_a_decompression_bomb_is_refused_by_its_header(side):
    """A PNG of a few bytes that claims `side` x `side` pixels; none of them is ever asked for."""
    error = refused(claiming(side))
    assert error.code == "reference_too_large" and "megapixels" in error.message


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")
def test_broken_exif_is_no_reason_to_refuse_a_picture():
    data = encoded(random_picture(64, 64), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert decode_reference(data, MODEL).size == (64, 64)
