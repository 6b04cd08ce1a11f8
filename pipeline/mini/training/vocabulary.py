"""What the shipped model can be asked for, and which combinations its training never shows it.

The tables are plain data so that drawing, captions, judge and evaluation cannot disagree about a word. A list may
grow at its end: earlier entries keep their index, which the judge's weights depend on.
"""

import hashlib

Rgb = tuple[int, int, int]

PRODUCTS: tuple[str, ...] = (
    "mug",
    "bottle",
    "t-shirt",
    "sneaker",
    "handbag",
    "chair",
    "lamp",
    "watch",
    "headphones",
    "backpack",
    "teapot",
    "umbrella",
    "book",
    "sofa",
)

# sRGB, 0..255. Twelve hues a shopper would name apart; a drawing jitters each channel by a few units around them.
COLOURS: dict[str, Rgb] = {
    "red": (206, 32, 38),
    "orange": (242, 122, 22),
    "yellow": (246, 206, 44),
    "green": (46, 146, 62),
    "teal": (10, 144, 146),
    "blue": (34, 84, 208),
    "purple": (116, 52, 168),
    "pink": (242, 132, 178),
    "brown": (116, 72, 40),
    "black": (30, 30, 34),
    "white": (246, 246, 243),
    "grey": (134, 137, 142),
}

# The backdrop, and how English puts a product into it; the first phrase of each is the plain one.
SCENES: dict[str, tuple[str, ...]] = {
    "studio": ("in a studio", "in the studio"),
    "wooden table": ("on a wooden table", "on the wooden table"),
    "beach": ("on a beach", "on the beach", "at the beach"),
    "snow": ("in the snow", "on snow"),
    "forest": ("in a forest", "in the forest"),
    "night city": ("in a night city", "in the night city", "in front of a night city"),
    "marble": ("on marble", "on a marble table"),
    "sunset": ("at sunset", "in front of a sunset"),
    "desert": ("in a desert", "in the desert"),
    "meadow": ("in a meadow", "on a meadow"),
}

ANY = "any"  # a season or a time of day that the words leave open: the plain drawing
SEASONS: tuple[str, ...] = (ANY, "spring", "summer", "autumn", "winter")
TIMES: tuple[str, ...] = (ANY, "morning", "noon", "evening")

# Scenes that say themselves what time it is. They are drawn, and asked for, without another one.
OWN_TIME: tuple[str, ...] = ("night city", "sunset")

# What a picture is described by, in the order of the judge's outputs.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "product": PRODUCTS,
    "colour": tuple(COLOURS),
    "scene": tuple(SCENES),
    "season": SEASONS,
    "time": TIMES,
}

HELD_OUT_SHARE = 10  # one combination in ten


def held_out(product: str, colour: str, scene: str) -> bool:
    """Whether training must never see this combination of product, colour and scene.

    The rule is a digest, not a list: it does not depend on the order of the tables, and a grown vocabulary keeps
    the split that it had. One combination in ten is held out.
    """
    digest = hashlib.sha256(f"{product}|{colour}|{scene}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % HELD_OUT_SHARE == 0


def combinations(*, held: bool) -> list[tuple[str, str, str]]:
    """Every (product, colour, scene) that is held out (`held=True`) or open to training, in the tables' order."""
    return [
        (product, colour, scene)
        for product in PRODUCTS
        for colour in COLOURS
        for scene in SCENES
        if held_out(product, colour, scene) is held
    ]
