"""The judge can be trusted on drawings that it never saw, and does not flatter noise."""

import numpy as np
import pytest
from PIL import Image

from pressrun.pipeline.mini.training.dataset import SHAPES
from pressrun.pipeline.mini.training.judge import JUDGE_FILE, SIDE, Verdict, load_judge, to_input, verdicts
from pressrun.pipeline.mini.training.scenes import Scene, draw
from pressrun.pipeline.mini.training.train_judge import accuracy, held_out_scenes
from pressrun.pipeline.mini.training.vocabulary import ATTRIBUTES


def test_its_weights_are_under_a_megabyte() -> None:
    assert JUDGE_FILE.stat().st_size < 1_000_000


def test_it_is_right_about_held_out_drawings() -> None:
    found = accuracy(load_judge(), 150)
    assert min(found[what] for what in ATTRIBUTES) >= 0.95, found


def test_held_out_scenes_are_held_out() -> None:
    assert all(scene.held_out for scene in held_out_scenes(100))


@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_it_reads_pictures_of_every_shape(width: int, height: int) -> None:
    scene = Scene("teapot", "green", "snow", 11, "autumn", "evening")
    (seen,) = verdicts(load_judge(), [draw(scene, width, height)])
    assert seen == Verdict("teapot", "green", "snow", "autumn", "evening")


def test_a_picture_becomes_a_small_square() -> None:
    assert to_input([Image.new("RGB", (160, 96))] * 2).shape == (2, 3, SIDE, SIDE)


def test_noise_is_no_product_in_particular() -> None:
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)) for _ in range(50)]
    asked = held_out_scenes(50)
    right = [s.product == v.product for s, v in zip(asked, verdicts(load_judge(), noise), strict=True)]
    assert sum(right) < 25
