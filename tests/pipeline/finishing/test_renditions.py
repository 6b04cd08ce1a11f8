"""Renditions: what a crop keeps, what a pad adds, and sides to the pixel."""

import numpy as np
import pytest

from pressrun.pipeline.finishing.renditions import Rendition

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def wide() -> np.ndarray:
    """Red on the left, blue on the right: (60, 120, 3)."""
    pixels = np.zeros((60, 120, 3), np.uint8)
    pixels[:, :60], pixels[:, 60:] = RED, BLUE
    return pixels


@pytest.mark.parametrize("fit", ["crop", "pad", "inside"])
@pytest.mark.parametrize("size", [(30, 30), (200, 40), (33, 71), (1, 1), (120, 60)])
def test_sides_are_those_that_were_asked_for(wide: np.ndarray, fit: str, size: tuple[int, int]) -> None:
    height, width = Rendition("a", *size, fit=fit).of(wide).shape[:2]
    if fit == "inside":
        assert width <= size[0] and height <= size[1] and (width == size[0] or height == size[1])
    else:
        assert (width, height) == size


@pytest.mark.parametrize(
    ("anchor", "left", "right"), [("centre", RED, BLUE), ("left", RED, RED), ("right", BLUE, BLUE)]
)
def test_a_crop_keeps_the_side_of_its_anchor(wide: np.ndarray, anchor: str, left: tuple, right: tuple) -> None:
    square = Rendition("a", 30, 30, anchor=anchor).of(wide)
    assert tuple(square[15, 8]) == left and tuple(square[15, 21]) == right


def test_a_pad_keeps_everything_and_fills_the_rest_with_its_colour(wide: np.ndarray) -> None:
    square = Rendition("a", 60, 60, fit="pad", background="#10ff20").of(wide)
    assert tuple(square[0, 0]) == tuple(square[-1, -1]) == (16, 255, 32)
    assert tuple(square[30, 0]) == RED and tuple(square[30, -1]) == BLUE


def test_a_picture_of_that_size_is_left_as_it_is(wide: np.ndarray) -> None:
    assert np.array_equal(Rendition("a", 120, 60).of(wide), wide)
