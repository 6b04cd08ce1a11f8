"""Colours by a picture's own profile, compared with what the profile's numbers mean."""

import itertools

import numpy as np
import pytest
from PIL import Image, ImageCms

from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.references.decode import decode_reference
from tests.picture_files import (
    ADOBE_RGB,
    D50,
    DISPLAY_P3,
    SRGB,
    cmyk_profile,
    encoded,
    gamma_curve,
    grey_profile,
    linear,
    matrix_profile,
    random_picture,
    srgb_curve,
    srgb_of,
)

MODEL = Model(name="any", family="flux2")
COLOURS = [(200, 80, 40), (20, 160, 90), (128, 128, 128), (0, 0, 0), (255, 255, 255), (255, 0, 0), (12, 20, 240)]
PROFILES = {
    "Display P3": (matrix_profile(DISPLAY_P3, srgb_curve()), DISPLAY_P3, linear),
    "Adobe RGB": (matrix_profile(ADOBE_RGB, gamma_curve(563 / 256)), ADOBE_RGB, lambda values: values ** (563 / 256)),
}


def shown(data: bytes) -> tuple[int, ...]:
    """The colour of a picture that has but one."""
    return decode_reference(data, MODEL).getpixel((30, 30))


@pytest.mark.parametrize("colour", COLOURS, ids=str)
@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_a_profile_says_what_the_numbers_mean(file_format: str, name: str, colour: tuple[int, ...]) -> None:
    profile, primaries, light = PROFILES[name]
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(file_format, {})
    data = encoded(Image.new("RGB", (64, 64), colour), file_format, icc_profile=profile, **options)
    expected = srgb_of(np.array(primaries) @ light(np.array(colour) / 255))
    assert shown(data) == pytest.approx(expected, abs=3 if file_format == "JPEG" else 2)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_has_profiles_too(mode: str) -> None:
    grey = Image.new("L", (64, 64), 100)
    image = grey if mode == "L" else Image.merge("LA", [grey, Image.new("L", grey.size, 128)])
    expected = srgb_of(np.array(D50) * (100 / 255) ** 1.8)
    if mode == "LA":
        expected = expected * 128 / 255 + 127
    assert shown(encoded(image, icc_profile=grey_profile(gamma_curve(1.8)))) == pytest.approx(expected, abs=2)


def test_what_is_transparent_is_put_on_white_after_its_colours_are_srgb() -> None:
    profile, primaries, light = PROFILES["Adobe RGB"]
    colour = (40, 200, 60)
    expected = srgb_of(np.array(primaries) @ light(np.array(colour) / 255)) * 128 / 255 + 127
    data = encoded(Image.new("RGBA", (64, 64), (*colour, 128)), icc_profile=profile)
    assert shown(data) == pytest.approx(expected, abs=2)


def lab_to_xyz(lightness: float, a: float, b: float) -> np.ndarray:
    """CIE 15."""
    base = (lightness + 16) / 116
    parts = np.array([base + a / 500, base, base - b / 200])
    return np.where(parts > 6 / 29, parts**3, 3 * (6 / 29) ** 2 * (parts - 4 / 29)) * D50


CYAN, RED = (60.0, -30.0, -35.0), (50.0, 60.0, 40.0)


def test_cmyk_is_what_its_printer_makes_of_it() -> None:
    inks = {amounts: (0.0, 0.0, 0.0) for amounts in itertools.product((0, 1), repeat=4)}
    inks |= {(0, 0, 0, 0): (100.0, 0.0, 0.0), (1, 0, 0, 0): CYAN, (0, 1, 1, 0): RED}
    profile = cmyk_profile(inks)

    def printed(*amounts: int) -> tuple[int, ...]:
        image = Image.new("CMYK", (64, 64), amounts)
        return shown(encoded(image, "JPEG", quality=100, icc_profile=profile))

    assert printed(0, 0, 0, 0) == pytest.approx((255, 255, 255), abs=2)
    assert printed(0, 0, 0, 255) == pytest.approx((0, 0, 0), abs=2)
    assert printed(255, 0, 0, 0) == pytest.approx(srgb_of(lab_to_xyz(*CYAN)), abs=4)
    assert printed(0, 255, 255, 0) == pytest.approx(srgb_of(lab_to_xyz(*RED)), abs=4)


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(matrix_profile(SRGB, srgb_curve()), id="sRGB"),
        pytest.param(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), id="sRGB as lcms has it"),
        pytest.param(b"no profile at all", id="nonsense"),
        pytest.param(matrix_profile(DISPLAY_P3, srgb_curve())[:300], id="cut off"),
        pytest.param(matrix_profile(DISPLAY_P3, b"curv" + b"\xff" * 8), id="a curve without end"),
        pytest.param(grey_profile(gamma_curve(1.8)), id="of a grey picture"),
        pytest.param(
            cmyk_profile({amounts: (50.0, 0.0, 0.0) for amounts in itertools.product((0, 1), repeat=4)}), id="CMYK"
        ),
        pytest.param(b"", id="empty"),
    ],
)
def test_pixels_stay_as_they_are_in_srgb_and_under_a_profile_that_is_not_theirs(profile: bytes) -> None:
    picture = random_picture(64, 64)
    decoded = decode_reference(encoded(picture, icc_profile=profile), MODEL)
    assert np.array_equal(np.asarray(decoded), np.asarray(picture))


def test_a_palette_follows_the_profile() -> None:
    profile, primaries, light = PROFILES["Display P3"]
    image = Image.new("P", (64, 64), 0)
    image.putpalette([200, 80, 40])
    expected = srgb_of(np.array(primaries) @ light(np.array([200, 80, 40]) / 255))
    assert shown(encoded(image, icc_profile=profile)) == pytest.approx(expected, abs=2)
