"""How people ask for a scene: several natural phrasings, so that the model learns words and not one template.

Two kinds of caption exist: a plain one names product, colour and scene; a reference caption leaves out what a
reference picture shows ("the product of image 1 on a beach").
"""

import random
import re

from pipeline.mini.vocabulary import SCENES

SYNONYMS: dict[str, tuple[str, ...]] = {
    "t-shirt": ("t-shirt", "t-shirt", "tee"),
    "sneaker": ("sneaker", "sneaker", "running shoe"),
    "watch": ("watch", "watch", "wristwatch"),
    "sofa": ("sofa", "sofa", "couch"),
    "grey": ("grey", "grey", "gray"),
}

# What marketing adds without asking for anything that can be seen: the model has to learn to read past it.
FILLERS: tuple[str, ...] = (
    "summer campaign",
    "winter sale",
    "spring collection",
    "autumn catalogue",
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
)

# {a} is the product's article and colour and name, {in} the scene's phrase, {scene} its bare name.
_PLAIN: tuple[str, ...] = (
    "a {thing} {in}",
    "a {thing} {in}",
    "{thing}, {scene}",
    "{thing} {in}",
    "product photo of a {thing}, {scene}",
    "product photo of a {thing} {in}",
    "a photo of a {thing} {in}",
    "{scene} with a {thing}",
    "the {product} is {colour}, {in}",
    "{product} in {colour}, {scene}",
    "our {thing} {in}",
    "an advertisement for a {thing}, {scene} background",
)

_PRODUCT_REFERENCE: tuple[str, ...] = (
    "the product of image {n} {in}",
    "the product of image {n}, {scene}",
    "the product from image {n} {in}",
    "image {n} {in}",
    "put the product of image {n} {in}",
)

_RECOLOURED_REFERENCE: tuple[str, ...] = (
    "the product of image {n} in {colour}, {in}",
    "a {colour} version of the product of image {n} {in}",
    "the product of image {n} {in}, make it {colour}",
)

_PLACE_REFERENCE: tuple[str, ...] = (
    "a {thing} in the place of image {n}",
    "{thing} in the place of image {n}",
    "a {thing}, background of image {n}",
)

_BOTH_REFERENCES: tuple[str, ...] = (
    "the product of image {n} in the place of image {m}",
    "put the product of image {n} in the place of image {m}",
)

TEMPLATES: dict[str, tuple[str, ...]] = {
    "plain": _PLAIN,
    "product": _PRODUCT_REFERENCE,
    "recoloured": _RECOLOURED_REFERENCE,
    "place": _PLACE_REFERENCE,
    "both": _BOTH_REFERENCES,
}


def _word(name: str, rng: random.Random) -> str:
    return rng.choice(SYNONYMS.get(name, (name,)))


def caption(
    product: str,
    colour: str,
    scene: str,
    rng: random.Random,
    *,
    kind: str = "plain",
    product_image: int = 1,
    place_image: int = 1,
) -> str:
    """One phrasing of a wanted picture, drawn with `rng`; about a third carry marketing fillers.

    `kind` is a key of `TEMPLATES`; `product_image` and `place_image` are the 1-based numbers of the reference
    pictures that show the product and the place. Raises KeyError for an unknown kind or scene.
    """
    template = rng.choice(TEMPLATES[kind])
    name, hue = _word(product, rng), _word(colour, rng)
    text = template.format_map(
        {
            "thing": f"{hue} {name}",
            "product": name,
            "colour": hue,
            "in": rng.choice(SCENES[scene]),
            "scene": scene,
            "n": place_image if kind == "place" else product_image,
            "m": place_image,
        }
    )
    text = _article(text)
    if rng.random() < 0.35:
        fillers = rng.sample(FILLERS, rng.choice((1, 1, 2)))
        text = ", ".join([text, *fillers] if rng.random() < 0.75 else [*fillers, text])
    if rng.random() < 0.3:
        text = text[0].upper() + text[1:]
    return text + "." if rng.random() < 0.15 else text


def plain_caption(product: str, colour: str, scene: str) -> str:
    """The simplest way to ask: "a red mug on a wooden table"."""
    return _article(f"a {colour} {product} {SCENES[scene][0]}")


def _article(text: str) -> str:
    """Mend what templates cannot know: "an orange mug", and headphones, which take no article."""
    text = re.sub(r"\ba (\w+ headphones)", r"\1", text)
    return re.sub(r"\b([Aa]) orange", r"\1n orange", text)
