"""Captions say what is wanted, in English and in three other languages, and nothing that a reference shows."""

import random

import pytest

from pressrun.pipeline.mini.training.captions import ENGLISH, TEMPLATES, Images, caption, named, plain_caption
from pressrun.pipeline.mini.training.languages import LANGUAGES
from pressrun.pipeline.mini.training.scenes import Scene
from pressrun.pipeline.mini.training.vocabulary import ANY, ATTRIBUTES, COLOURS, PRODUCTS, SCENES, SEASONS

SCENE = Scene("chair", "blue", "forest", season="winter", time="morning")


def captions(scene: Scene, count: int = 60, **options) -> list[str]:
    return [caption(scene, random.Random(seed), **options) for seed in range(count)]


@pytest.mark.parametrize("colour", ["red", "orange"])
def test_a_plain_caption_names_what_is_wanted(colour: str) -> None:
    article = "an" if colour == "orange" else "a"
    assert plain_caption("mug", colour, "wooden table") == f"{article} {colour} mug on a wooden table"


def test_headphones_take_no_article() -> None:
    assert plain_caption("headphones", "red", "beach") == "red headphones on a beach"


def test_every_english_caption_names_product_colour_and_scene() -> None:
    for text in captions(Scene("chair", "blue", "forest")):
        assert all(word in text.lower() for word in ("chair", "blue", "forest")), text


@pytest.mark.parametrize(
    ("language", "words"),
    [
        pytest.param("German", ("Stuhl", "au", "Wald", "Winter", "Morgen"), id="German"),
        pytest.param("Japanese", ("椅子", "青", "森の中", "冬", "朝"), id="Japanese"),
        pytest.param("Chinese", ("椅子", "蓝色", "森林里", "冬天", "早晨"), id="Chinese"),
    ],
)
def test_other_languages_say_the_same(language: str, words: tuple[str, ...]) -> None:
    for text in captions(SCENE, language=language):
        assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("product", "phrase"),
    [
        pytest.param("mug", "eine rote Tasse", id="feminine"),
        pytest.param("chair", "ein roter Stuhl", id="masculine"),
        pytest.param("book", "ein rotes Buch", id="neuter"),
    ],
)
def test_german_articles_and_endings_follow_the_gender(product: str, phrase: str) -> None:
    assert any(phrase in text for text in captions(Scene(product, "red", "beach"), language="German"))


@pytest.mark.parametrize("language", [ENGLISH, *LANGUAGES])
def test_every_language_can_ask_for_everything(language: str) -> None:
    asked = {
        caption(Scene(product, colour, scene, season=season), random.Random(1), language=language)
        for product in PRODUCTS
        for colour in COLOURS
        for scene in SCENES
        for season in SEASONS
    }
    assert len(asked) > 0.99 * len(PRODUCTS) * len(COLOURS) * len(SCENES) * len(SEASONS)


@pytest.mark.parametrize("language", [ENGLISH, *LANGUAGES])
@pytest.mark.parametrize("kind", TEMPLATES)
def test_captions_for_references_give_their_numbers(kind: str, language: str) -> None:
    wanted = {"plain": "", "product": "7", "recoloured": "7", "place": "8", "both": "78"}.get(kind, "7")
    for text in captions(SCENE, kind=kind, images=Images(7, 8), language=language):
        assert {n for n in text if n.isdigit()} == set(wanted), text


@pytest.mark.parametrize("kind", TEMPLATES)
def test_what_a_caption_does_not_name_is_not_in_it(kind: str) -> None:
    words = {"product": "chair", "colour": "blue", "scene": "forest", "season": "winter", "time": "morning"}
    quiet = Scene("chair", "blue", "forest")
    for scene in (SCENE, quiet):
        unnamed = [words[what] for what in ATTRIBUTES if what not in named(scene, kind)]
        for text in captions(scene, kind=kind):
            assert not any(word in text.lower() for word in unnamed), text


def test_a_single_reference_needs_no_number() -> None:
    texts = captions(SCENE, kind="edited colour", images=Images(alone=True))
    assert any(text.lower().startswith("make it blue") for text in texts)


def test_an_open_season_is_not_mentioned() -> None:
    assert not any("any" in text.lower().split() for text in captions(Scene("chair", "blue", "forest", season=ANY)))
