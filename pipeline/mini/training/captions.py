"""How people ask for a scene: several natural phrasings in four languages, so that the model learns words, not forms.

A plain caption names everything; a caption for reference pictures leaves out what a reference shows ("the product of
image 1 on a beach"). What the words do name wins over the reference.
"""

import random
import re
from dataclasses import dataclass

from pressrun.pipeline.mini.training.languages import LANGUAGES
from pressrun.pipeline.mini.training.scenes import Scene
from pressrun.pipeline.mini.training.vocabulary import ANY, ATTRIBUTES, SCENES

ENGLISH = "English"

SYNONYMS: dict[str, tuple[str, ...]] = {
    "t-shirt": ("t-shirt", "t-shirt", "tee"),
    "sneaker": ("sneaker", "sneaker", "running shoe"),
    "watch": ("watch", "watch", "wristwatch"),
    "sofa": ("sofa", "sofa", "couch"),
    "grey": ("grey", "grey", "gray"),
}

# As part of a sentence, and as a word of its own between commas.
WHEN: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "spring": (("in spring", "in springtime"), ("spring", "spring collection", "spring mood", "spring campaign")),
    "summer": (("in summer", "in summertime"), ("summer", "summer campaign", "summer mood", "summer sale")),
    "autumn": (("in autumn", "in fall"), ("autumn", "autumn catalogue", "autumn mood", "fall collection")),
    "winter": (("in winter", "in wintertime"), ("winter", "winter sale", "winter mood", "winter campaign")),
    "morning": (("in the morning", "in the early morning", "at dawn"), ("morning", "morning light", "early morning")),
    "noon": (("at noon", "at midday"), ("noon", "midday light", "midday sun")),
    "evening": (("in the evening", "at dusk", "at night"), ("evening", "evening light", "night")),
}

# What marketing adds without asking for anything that can be seen: the model has to learn to read past it.
FILLERS: tuple[str, ...] = (
    "soft light",
    "catalogue shot",
    "product photo",
    "high quality",
    "advertising photography",
    "clean composition",
    "social media post",
    "new arrival",
    "hero image",
    "studio quality",
    "centred",
    "sharp focus",
    "natural light",
    "web banner",
    "new campaign",
    "big sale",
)

# {thing} is colour and name, {in} the scene's phrase, {scene} its bare name; {when} and {list} add season and time.
TEMPLATES: dict[str, tuple[str, ...]] = {
    "plain": (
        "a {thing} {in}{when}",
        "a {thing} {in}{list}",
        "{thing}, {scene}{list}",
        "{thing} {in}{when}",
        "product photo of a {thing}, {scene}{list}",
        "product photo of a {thing} {in}{when}",
        "a photo of a {thing} {in}{when}",
        "a {thing}{when} {in}",
        "{scene} with a {thing}{list}",
        "the {product} is {colour}, {in}{when}",
        "{product} in {colour}, {scene}{list}",
        "our {thing} {in}{when}",
        "an advertisement for a {thing}, {scene} background{list}",
    ),
    "product": (
        "the product of image {n} {in}{when}",
        "the product of image {n} {in}{list}",
        "the product of image {n}, {scene}{list}",
        "the product from image {n} {in}{when}",
        "image {n} {in}{when}",
        "put the product of image {n} {in}{when}",
    ),
    "recoloured": (
        "the product of image {n} in {colour}, {in}{when}",
        "a {colour} version of the product of image {n} {in}{when}",
        "the product of image {n} {in}{when}, make it {colour}",
    ),
    "place": (
        "a {thing} in the place of image {m}{when}",
        "{thing} in the place of image {m}{list}",
        "a {thing}, background of image {m}{list}",
    ),
    "both": (
        "the product of image {n} in the place of image {m}{when}",
        "put the product of image {n} in the place of image {m}{when}",
        "the product of image {n}, background of image {m}{list}",
    ),
    "edited colour": (
        "image {n}, make it {colour}",
        "image {n} but {colour}",
        "image {n} with the product in {colour}",
    ),
    "edited season": ("image {n}{when}", "image {n}, make it {season}", "the scene of image {n}{when}"),
    "edited time": ("image {n}{when}", "image {n}, but{when}", "the scene of image {n}{when}"),
}

# The same where there is one reference picture, which then needs no number.
ALONE: dict[str, tuple[str, ...]] = {
    "product": ("this product {in}{when}", "the product {in}{when}", "put it {in}{list}"),
    "recoloured": ("this product {in}{when}, make it {colour}", "the product in {colour}, {in}{when}"),
    "place": ("a {thing} in this place{when}", "a {thing} in the same place{list}"),
    "both": (),
    "edited colour": ("make it {colour}", "the same in {colour}", "the same picture, product in {colour}"),
    "edited season": ("make it {season}", "the same{when}"),
    "edited time": ("the same{when}", "make it {time}"),
}

# What the words of each kind say, besides a season and a time of day that are not left open.
_NAMED: dict[str, tuple[str, ...]] = {
    "plain": tuple(ATTRIBUTES),
    "product": ("scene", "season", "time"),
    "recoloured": ("colour", "scene", "season", "time"),
    "place": ("product", "colour"),
    "both": (),
    "edited colour": ("colour",),
    "edited season": (),
    "edited time": (),
}


@dataclass(frozen=True)
class Images:
    """The 1-based numbers of the reference pictures that show the product and the place; `alone` if there is one."""

    product: int = 1
    place: int = 1
    alone: bool = False


def named(scene: Scene, kind: str) -> tuple[str, ...]:
    """The attributes that a caption of `kind` names; the others are for the reference pictures to show."""
    said = [what for what in ("season", "time") if getattr(scene, what) != ANY]
    return tuple(what for what in ATTRIBUTES if what in _NAMED[kind] or what in said)


def caption(
    scene: Scene,
    rng: random.Random,
    *,
    kind: str = "plain",
    images: Images | None = None,
    language: str = ENGLISH,
) -> str:
    """One phrasing of a wanted picture, drawn with `rng`; about a third of the English ones carry marketing fillers.

    `kind` is a key of `TEMPLATES`; a season or time of `ANY` is not mentioned. Raises KeyError for an unknown kind or
    language.
    """
    images = images or Images()
    numbers = {"n": str(images.product), "m": str(images.place)}
    if language != ENGLISH:
        spoken = LANGUAGES[language]
        text = rng.choice(spoken.templates[kind])
        return text.format_map(numbers | spoken.pieces({what: getattr(scene, what) for what in ATTRIBUTES}, rng))
    templates = TEMPLATES[kind] + (ALONE.get(kind, ()) if images.alone else ())
    text = _article(rng.choice(templates).format_map(numbers | _english(scene, rng)))
    if rng.random() < 0.3:
        fillers = rng.sample(FILLERS, rng.choice((1, 1, 2)))
        text = ", ".join([text, *fillers] if rng.random() < 0.75 else [*fillers, text])
    if rng.random() < 0.3:
        text = text[0].upper() + text[1:]
    return text + "." if rng.random() < 0.15 else text


def plain_caption(product: str, colour: str, scene: str) -> str:
    """The simplest way to ask: "a red mug on a wooden table"."""
    return _article(f"a {colour} {product} {SCENES[scene][0]}")


def _english(scene: Scene, rng: random.Random) -> dict[str, str]:
    product, colour = (rng.choice(SYNONYMS.get(name, (name,))) for name in (scene.product, scene.colour))
    when = [WHEN[name] for name in (scene.season, scene.time) if name != ANY]
    rng.shuffle(when)
    return {
        "thing": f"{colour} {product}",
        "product": product,
        "colour": colour,
        "in": rng.choice(SCENES[scene.scene]),
        "scene": scene.scene,
        "season": scene.season,
        "time": scene.time,
        "when": "".join(f" {rng.choice(phrases)}" for phrases, _ in when),
        "list": "".join(f", {rng.choice(words)}" for _, words in when),
    }


def _article(text: str) -> str:
    """Mend what templates cannot know: "an orange mug", and headphones, which take no article."""
    text = re.sub(r"\ba (\w+ headphones)", r"\1", text)
    return re.sub(r"\b([Aa]) orange", r"\1n orange", text)
