"""Drawing is deterministic, complete, and keeps the held-out combinations away from training."""

import random

import numpy as np
import pytest

from pipeline.mini.captions import TEMPLATES, caption, plain_caption
from pipeline.mini.dataset import SHAPES
from pipeline.mini.scenes import Scene, draw, training_scenes
from pipeline.mini.vocabulary import COLOURS, PRODUCTS, SCENES, combinations, held_out


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
        near = np.abs(pixels(Scene("backpack", colour, "sunset", seed=1)) - np.array(rgb)).max(axis=2) < 40
        assert near.mean() > 0.04, colour


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


@pytest.mark.parametrize("colour", ["red", "orange"])
def test_a_plain_caption_names_what_is_wanted(colour: str) -> None:
    article = "an" if colour == "orange" else "a"
    assert plain_caption("mug", colour, "wooden table") == f"{article} {colour} mug on a wooden table"


def test_headphones_take_no_article() -> None:
    assert plain_caption("headphones", "red", "beach") == "red headphones on a beach"


@pytest.mark.parametrize("kind", TEMPLATES)
def test_reference_captions_number_their_pictures(kind: str) -> None:
    text = caption("chair", "blue", "forest", random.Random(1), kind=kind, product_image=7, place_image=8)
    numbers = {"plain": set(), "product": {"7"}, "recoloured": {"7"}, "place": {"8"}, "both": {"7", "8"}}[kind]
    assert {n for n in ("7", "8") if f"image {n}" in text.lower()} == numbers
