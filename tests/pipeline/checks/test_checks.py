"""Checks: what each one sees in a picture, and what follows from all of them together."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from pressrun.pipeline.checks.checker import Checker, reasons_to_reseed, rejection
from pressrun.pipeline.checks.finding import findings_from_text, findings_to_text
from pressrun.pipeline.checks.likeness import likeness
from pressrun.pipeline.checks.measures import contrast, sharpness
from pressrun.pipeline.checks.spec import LEAST, CheckSpec
from pressrun.pipeline.checks.text import text_score
from pressrun.pipeline.errors import JobError, RequestError
from pressrun.pipeline.finishing.spec import read_finishing_spec
from pressrun.pipeline.mini.training.scenes import Scene, draw

MUG = draw(Scene("mug", "red", "studio"), 128, 128).convert("RGB")


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture)


def test_one_colour_and_mere_noise_are_blank_and_a_product_is_not() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    assert contrast(np.full((64, 64, 3), 200, np.uint8)) == 0
    assert contrast(noise) < LEAST["blank"] < contrast(pixels(MUG))


@pytest.mark.parametrize("scale", [1, 3])
def test_a_blurred_picture_is_less_sharp_than_is_needed_whatever_its_size(scale: int) -> None:
    large = MUG.resize((128 * scale, 128 * scale), Image.Resampling.NEAREST)
    blurred = large.filter(ImageFilter.GaussianBlur(3 * scale))
    assert sharpness(pixels(blurred)) < LEAST["sharpness"] < sharpness(pixels(large))
    assert sharpness(np.zeros((8, 8, 3), np.uint8)) == 0


def test_a_picture_is_like_itself_resized_and_unlike_another() -> None:
    def away(other: Image.Image) -> int:
        return (likeness(pixels(MUG)) ^ likeness(pixels(other))).bit_count()

    assert away(MUG.resize((90, 90))) < LEAST["duplicate"]
    assert away(draw(Scene("mug", "blue", "studio"), 128, 128).convert("RGB")) >= LEAST["duplicate"]
    assert away(draw(Scene("chair", "red", "beach"), 128, 128).convert("RGB")) >= LEAST["duplicate"]


@pytest.mark.parametrize(
    ("wanted", "read", "score"),
    [
        ("Summer Sale", "SUMMER SALE now", 1.0),
        ("Größe 42", "Gre42", 1.0),
        ("Summer Sale", "Sumer Sale", 0.9),
        ("Sale", "", 0.0),
        ("Весна", "Becha", 0.0),
    ],
)
def test_a_text_is_compared_letter_by_letter(wanted: str, read: str, score: float) -> None:
    assert text_score(wanted, read) == pytest.approx(score)


def test_a_required_text_is_read_back_from_the_picture() -> None:
    pytest.importorskip("onnxruntime", reason="the extra “ocr” is not installed")
    poster = MUG.resize((640, 640))
    ImageDraw.Draw(poster).text((60, 40), "Summer Sale", font=ImageFont.load_default(70), fill="black")
    checker = Checker([CheckSpec("text", "reject", 1.0)])
    [good] = checker.judge(pixels(poster), "", "Summer Sale")
    [typo] = checker.judge(pixels(poster), "", "Summer Sail")
    assert (good.verdict, typo.verdict) == ("passed", "rejected")
    assert "Summer Sale” was read" in typo.message
    assert checker.judge(pixels(poster), "", "") == ()


class Brand:
    """A classifier: the brand's pictures are dark."""

    def score(self, pixels: np.ndarray, prompt: str) -> tuple[float, str]:
        return 1 - pixels.mean() / 255, f"Too bright for {prompt}."


def test_a_customers_classifier_has_its_say() -> None:
    checker = Checker([CheckSpec("classifier", "flag", 0.5, option=f"{__name__}:Brand")])
    [bright] = checker.judge(np.full((8, 8, 3), 250, np.uint8), "us", "")
    [dark] = checker.judge(np.zeros((8, 8, 3), np.uint8), "us", "")
    assert (bright.verdict, bright.message, dark.verdict) == ("flagged", "Too bright for us.", "passed")


class Broken:
    def score(self, pixels: np.ndarray, prompt: str) -> float | tuple[float, str]:
        return {"no sentence": 0.5, "no number": (float("nan"), "Why?"), "error": ("a", "b")}[prompt]


@pytest.mark.parametrize("prompt", ["no sentence", "no number", "error", "missing"])
def test_a_classifier_that_fails_is_a_sentence(prompt: str) -> None:
    checker = Checker([CheckSpec("classifier", "flag", 0.5, option=f"{__name__}:Broken")])
    with pytest.raises(RequestError, match=r"The classifier “.*:Broken” failed \(.*Error: "):
        checker.judge(pixels(MUG), prompt, "")


@pytest.mark.parametrize("use", ["nothing", "no.such.module:A", "math:pi", "math:nothing", "collections:Counter"])
def test_a_classifier_that_cannot_be_had_is_a_sentence(use: str) -> None:
    with pytest.raises(JobError, match="The classifier"):
        Checker([CheckSpec("classifier", option=use)])


RESEED = CheckSpec("blank", "reseed", 12.0, attempts=2)


def test_another_seed_is_tried_as_often_as_was_asked_for_and_then_the_last_word_is_said() -> None:
    found = Checker([RESEED, CheckSpec("sharpness", "flag", 0.6)]).judge(np.zeros((64, 64, 3), np.uint8), "", "")
    reasons = [[each.check for each in reasons_to_reseed([RESEED], found, reseeds)] for reseeds in range(4)]
    assert reasons == [["blank"], ["blank"], [], []]
    assert [each.verdict for each in found] == ["rejected", "flagged"]
    why = rejection(found)
    assert why is not None and why.check == "blank"
    good = Checker([RESEED]).judge(pixels(MUG), "", "")
    assert not reasons_to_reseed([RESEED], good, 0) and rejection(good) is None


def test_findings_survive_in_a_picture() -> None:
    found = Checker([RESEED]).judge(np.zeros((64, 64, 3), np.uint8), "", "")
    assert findings_from_text(findings_to_text(found)) == found
    assert findings_from_text("[{") == findings_from_text('[{"a": 1}]') == ()


def test_what_is_wrong_with_checks_is_told_at_once() -> None:
    text = """
    [checks.blank]
    action = "reseed"
    attempts = 0
    [checks.sharpness]
    then = "flag"
    [checks.policy]
    action = "reseed"
    [checks.nudity]
    """
    with pytest.raises(JobError) as refused:
        read_finishing_spec(text, "png", "finish.toml")
    assert len(refused.value.problems) == 5, refused.value.problems


def test_checks_are_read_with_the_thresholds_that_were_found() -> None:
    spec = read_finishing_spec('[checks.blank]\n[checks.sharpness]\naction = "reject"\nleast = 0.3', "png", "f")
    assert spec.checks == (CheckSpec("blank", "flag", LEAST["blank"]), CheckSpec("sharpness", "reject", 0.3))
