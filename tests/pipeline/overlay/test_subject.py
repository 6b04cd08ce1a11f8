"""Words keep off what a picture shows: it is found in the picture, and another box is taken."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from pressrun.pipeline.finishing.spec import FinishingSpec, read_described
from pressrun.pipeline.overlay.subject import covered, subject
from tests.pipeline.overlay.test_typesetting import spec, typesetter

SIDE = 256
HEADLINE: dict[str, Any] = {"column": "headline", "box": [5, 5, 40, 25], "size": [5, 8], "avoid": True}


def scene(*where: int, noise: int = 0) -> np.ndarray:
    """A sky that grows darker, with an ellipse (left, top, right, bottom) before it."""
    sky = np.repeat(np.linspace(235, 150, SIDE)[:, None], SIDE, axis=1)[..., None] * np.array([0.8, 0.9, 1.0])
    sky += np.random.default_rng(5).normal(0, noise, sky.shape)
    picture = Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8))
    if where:
        ImageDraw.Draw(picture).ellipse(where, fill="#b03020")
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(1)))


@pytest.mark.parametrize("noise", [0, 8])
@pytest.mark.parametrize("where", [(80, 80, 180, 200), (10, 20, 90, 120), (150, 140, 240, 240)])
def test_what_stands_before_a_ground_is_found(where: tuple[int, int, int, int], noise: int) -> None:
    found = subject(scene(*where, noise=noise))
    mask = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(mask).ellipse(where, fill=255)
    wanted = np.asarray(mask.resize(found.shape[::-1], Image.Resampling.BOX)) > 127
    assert (found & wanted).sum() / (found | wanted).sum() > 0.8


def test_a_plain_picture_shows_nothing() -> None:
    assert not subject(np.full((64, 96, 3), 127, np.uint8)).any()


def test_a_box_covers_its_share_of_what_is_shown() -> None:
    shown = np.zeros((10, 10), bool)
    shown[2:6, 2:6] = True
    assert covered(shown, (0, 0, 40, 100), (100, 100)) == pytest.approx(0.5)
    assert covered(shown, (60, 60, 100, 100), (100, 100)) == 0.0


def placed(pixels: np.ndarray, *texts: dict[str, Any], **copy: Any) -> tuple[float, float]:
    setter = typesetter(*texts, **copy)
    first = setter.placed(pixels, {text["column"]: "Into the green" for text in texts})[0]
    return first.left / SIDE, first.top / SIDE


def test_words_stay_in_their_box_where_they_cover_nothing() -> None:
    assert placed(scene(130, 130, 240, 240), HEADLINE) == pytest.approx((0.05, 0.05), abs=0.02)


def test_words_that_would_cross_what_is_shown_stand_on_its_other_side() -> None:
    left, top = placed(scene(5, 5, 120, 120), HEADLINE)
    assert left > 0.5 or top > 0.5


def test_without_the_wish_words_stand_where_they_are_put() -> None:
    plain = {name: value for name, value in HEADLINE.items() if name != "avoid"}
    assert placed(scene(5, 5, 120, 120), plain) == pytest.approx((0.05, 0.05), abs=0.02)


def test_a_styles_other_boxes_are_tried_in_their_order() -> None:
    style = {**HEADLINE, "other_boxes": [[8, 10, 40, 20], [5, 70, 40, 25], [55, 5, 40, 25]]}
    assert placed(scene(5, 5, 120, 120), style) == pytest.approx((0.05, 0.70), abs=0.02)


def test_no_other_box_is_taken_where_another_text_or_a_logo_belongs() -> None:
    legal = {"column": "legal", "box": [0, 65, 100, 35], "size": [3, 4]}
    left, top = placed(scene(5, 5, 120, 120), HEADLINE, legal)
    assert left > 0.5 and top < 0.3


def test_job_json_keeps_the_wish_and_the_boxes() -> None:
    by_shape = {shape: [55, 5, 40, 25] for shape in ("square", "wide", "tall")}
    style = {**HEADLINE, "other_boxes": [[5, 70, 40, 25], by_shape]}
    finishing = FinishingSpec(copy=spec(texts=[style]))
    assert read_described(finishing.described) == finishing


def test_boxes_without_the_wish_are_told() -> None:
    problems: list[str] = []
    spec(problems, texts=[{**HEADLINE, "avoid": False, "other_boxes": [[5, 70, 40, 25]]}])
    assert any("add avoid = true" in problem for problem in problems)
