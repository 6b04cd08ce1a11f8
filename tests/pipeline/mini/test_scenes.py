"""Drawing is deterministic, complete, and keeps the held-out combinations away from training."""

import itertools

import numpy as np
import pytest

from pressrun.pipeline.mini.training.dataset import SHAPES
from pressrun.pipeline.mini.training.scenes import Scene, draw, training_scenes
from pressrun.pipeline.mini.training.vocabulary import (
    ANY,
    COLOURS,
    OWN_TIME,
    PRODUCTS,
    SCENES,
    SEASONS,
    TIMES,
    combinations,
    held_out,
)


def pixels(scene: Scene, width: int = 64, height: int = 64) -> np.ndarray:
    return np.asarray(draw(scene, width, height)).astype(int)


def test_the_same_scene_is_the_same_picture() -> None:
    scene = Scene("mug", "red", "beach", seed=3)
    assert (pixels(scene) == pixels(scene)).all()


def test_another_seed_is_another_picture() -> None:
    assert (pixels(Scene("mug", "red", "beach", seed=3)) != pixels(Scene("mug", "red", "beach", seed=4))).any()


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_product_draws_in_every_scene(product: str) -> None:
    for seed, scene in enumerate(SCENES):
        picture = draw(Scene(product, "purple", scene, seed), 48, 48)
        assert (picture.mode, picture.size) == ("RGB", (48, 48))
        assert np.asarray(picture).std() > 5


@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_every_shape_has_the_size_that_was_asked_for(width: int, height: int) -> None:
    assert draw(Scene("sofa", "teal", "desert"), width, height).size == (width, height)


def test_the_colour_of_a_product_can_be_seen_in_its_picture() -> None:
    for colour, rgb in COLOURS.items():
        for season, time in ((ANY, ANY), ("autumn", "evening"), ("winter", "noon")):
            picture = pixels(Scene("backpack", colour, "beach", 1, season, time))
            near = np.abs(picture - np.array(rgb)).max(axis=2) < 45
            assert near.mean() > 0.04, (colour, season, time)


@pytest.mark.parametrize(
    ("product", "colour", "scene"),
    [
        pytest.param("piano", "red", "beach", id="product"),
        pytest.param("mug", "mauve", "beach", id="colour"),
        pytest.param("mug", "red", "moon", id="scene"),
    ],
)
def test_an_unknown_word_is_refused(product: str, colour: str, scene: str) -> None:
    with pytest.raises(ValueError, match="not in the vocabulary"):
        Scene(product, colour, scene)


def test_about_a_tenth_of_the_combinations_is_held_out() -> None:
    share = len(combinations(held=True)) / (len(PRODUCTS) * len(COLOURS) * len(SCENES))
    assert 0.07 < share < 0.13


def test_training_never_shows_a_held_out_combination() -> None:
    assert not any(scene.held_out for scene in training_scenes(20_000))


def test_training_shows_every_other_combination() -> None:
    shown = {(s.product, s.colour, s.scene) for s in training_scenes(3_000)}
    assert shown == set(combinations(held=False))


def test_the_held_out_rule_does_not_change() -> None:
    # The split is part of what the committed weights mean.
    assert [held_out("mug", "red", scene) for scene in SCENES] == HELD_OUT_RED_MUGS


HELD_OUT_RED_MUGS = [False, False, False, False, False, False, False, False, False, False]


@pytest.mark.parametrize("scene", SCENES)
def test_every_season_and_time_of_day_changes_the_picture(scene: str) -> None:
    whens = [(season, ANY) for season in SEASONS]
    whens += [] if scene in OWN_TIME else [(ANY, time) for time in TIMES[1:]]
    shown = [pixels(Scene("mug", "red", scene, 3, *when)) for when in whens]
    for one, other in itertools.combinations(shown, 2):
        assert np.abs(one - other).mean() > 3


def test_a_scene_with_a_time_of_its_own_takes_no_other() -> None:
    with pytest.raises(ValueError, match="time of day of its own"):
        Scene("mug", "red", "sunset", time="noon")


def test_training_shows_every_season_and_time_of_day() -> None:
    scenes = training_scenes(2_000)
    assert {s.season for s in scenes} == set(SEASONS)
    assert {s.time for s in scenes} == set(TIMES)
