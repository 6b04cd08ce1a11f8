"""The section `[copy]` of a finishing spec: which texts and logos are set on a picture, where, and in which type.

    [copy]
    language = "language"                # the manifest's column that chooses font, line breaks and letter forms
    enlarge = 6                          # how much larger the rendered picture is made before type is set on it

    [copy.fonts]                         # by language; "*" for any other
    "*" = "Inter"                        # a family of an installed font package, or a file beside this one, or s3://…
    ja = "Noto Sans CJK JP"

    [[copy.texts]]
    column = "headline"                  # what is set: the row's own words
    box = [6, 6, 60, 30]                 # left, top, width, height, in hundredths of the picture's sides
    size = [5, 12]                       # smallest and largest, in hundredths of the picture's shorter side
    colours = ["#ffffff", "#1c1b19"]     # the first one that is legible on this very picture

    [[copy.logos]]
    files = ["logo-light.png", "logo-dark.png"]
    box = { wide = [80, 6, 14, 12], tall = [70, 4, 24, 8], square = [76, 6, 18, 10] }

What it sets is part of the finish key and never of the render key: a changed headline changes no rendered pixel.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pressrun.pipeline.strict_table import StrictTable

ALIGNS = ("left", "centre", "right")
VALIGNS = ("top", "middle", "bottom")
REMEDIES = ("scrim", "fail")
SHAPES = ("wide", "tall", "square")
ANY_LANGUAGE = "*"

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_SQUARE = 1.15  # sides that differ by less make a square

Box = tuple[float, float, float, float]
Boxes = Mapping[str, Box]
Sizes = Mapping[str, tuple[float, float]]


def shape_of(width: int, height: int) -> str:
    """Which of `SHAPES` a picture has."""
    if width > height * _SQUARE:
        return "wide"
    return "tall" if height > width * _SQUARE else "square"


@dataclass(frozen=True)
class TextStyle:
    """How one column's words are set.

    `boxes` (left, top, width, height in hundredths of the picture's sides) and `sizes` (smallest, largest, in
    hundredths of its shorter side) are by shape. The first of `colours` that has `ratio` to every pixel behind it is
    taken; where none has, a soft `scrim` is laid under the words, or the row fails. A `panel` is a plate of that colour
    behind the words, as large as they need, with corners of `radius` hundredths of the type's size. Words that `avoid`
    what the picture shows stand in the first of `boxes`, `other_boxes` (else `boxes` mirrored) where they do.
    """

    column: str
    boxes: Boxes
    sizes: Sizes
    font: str = ""
    weight: int = 400
    colours: tuple[str, ...] = ("#ffffff", "#111111")
    align: str = "left"
    valign: str = "top"
    line_height: float = 1.2
    remedy: str = "scrim"
    ratio: float = 4.5
    panel: str = ""
    radius: float = 25.0
    avoid: bool = False
    other_boxes: tuple[Boxes, ...] = ()


@dataclass(frozen=True)
class LogoStyle:
    """Where a logo stands, as large as `boxes` allow: the first of `files` whose outline has `ratio` to what is behind
    it on this very picture. Where none has, a `remedy`: the one that has most on a plate of the colour `panel` ("":
    white or near black, whichever shows it better), or the row fails."""

    files: tuple[str, ...]
    boxes: Boxes
    align: str = "left"
    valign: str = "top"
    ratio: float = 3.0
    remedy: str = "plate"
    panel: str = ""


@dataclass(frozen=True)
class CopySpec:
    """Everything that is set on a picture. `fonts` are by language; `digests` are the SHA-256 of fonts' and logos'
    bytes, which decide the pixels as the rest does; `assets` are these bytes, by the same names: they travel with the
    spec, so that no worker needs a font, and are no part of what job.json keeps of it."""

    texts: tuple[TextStyle, ...] = ()
    logos: tuple[LogoStyle, ...] = ()
    language: str = ""
    fonts: tuple[tuple[str, str], ...] = ((ANY_LANGUAGE, "Inter"),)
    enlarge: float = 1.0
    only_renditions: bool = False
    digests: tuple[tuple[str, str], ...] = ()
    assets: Mapping[str, bytes] = field(default_factory=dict, repr=False, compare=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The manifest's columns that are read."""
        return tuple(dict.fromkeys([*(text.column for text in self.texts), *filter(None, [self.language])]))

    def font_for(self, text: TextStyle, language: str) -> str:
        """The font of a text in a language such as `ja` or `ja-JP`."""
        fonts = dict(self.fonts)
        primary = re.split("[-_]", language)[0].lower()
        return text.font or fonts.get(language) or fonts.get(primary) or fonts.get(ANY_LANGUAGE, "Inter")


def read_copy(spec: StrictTable) -> CopySpec | None:
    """The `[copy]` of a finishing spec, None if there is none; what is wrong with it is noted there."""
    if not spec.has("copy"):
        spec.table("copy")
        return None
    table = spec.table("copy")
    copy = CopySpec(
        texts=tuple(map(_read_text, table.tables("texts"))),
        logos=tuple(map(_read_logo, table.tables("logos"))),
        language=table.text("language"),
        fonts=_read_fonts(table),
        enlarge=table.number("enlarge", 1, 16, 1),
        only_renditions=table.truth("only_renditions"),
    )
    if not copy.texts and not copy.logos:
        table.note("it sets neither texts ([[copy.texts]]) nor logos ([[copy.logos]]).")
    table.end()
    return copy


def _read_fonts(table: StrictTable) -> tuple[tuple[str, str], ...]:
    fonts = table.mapping("fonts", "a font for each language", lambda value: isinstance(value, str) and value.strip())
    return tuple(sorted({ANY_LANGUAGE: "Inter", **fonts}.items()))


def _read_text(table: StrictTable) -> TextStyle:
    usual = TextStyle("", {}, {})
    style = TextStyle(
        column=table.text("column", required=True),
        boxes=_by_shape(table, "box", 4, _BOX),
        sizes=_by_shape(table, "size", 2, "[smallest, largest], hundredths of the picture's shorter side"),
        font=table.text("font"),
        weight=table.whole("weight", 100, 900, usual.weight),
        colours=table.texts("colours") or usual.colours,
        align=table.text("align", usual.align, choices=ALIGNS),
        valign=table.text("valign", usual.valign, choices=VALIGNS),
        line_height=table.number("line_height", 0.8, 3, usual.line_height),
        remedy=table.text("remedy", usual.remedy, choices=REMEDIES),
        ratio=table.number("ratio", 3, 21, usual.ratio),
        panel=table.text("panel"),
        radius=table.number("radius", 0, 200, usual.radius),
        avoid=table.truth("avoid"),
        other_boxes=_other_boxes(table),
    )
    if style.other_boxes and not style.avoid:
        table.note("“other_boxes” are for words that avoid what the picture shows: add avoid = true.")
    for colour in (*style.colours, *filter(None, [style.panel])):
        if not _COLOUR.fullmatch(colour):
            table.note(f"“{colour}” is no colour; write it as #rrggbb.")
    for least, most in style.sizes.values():
        if least > most:
            table.note(f"“size” goes from {least:g} down to {most:g}; write the smallest first.")
    table.end()
    return style


def _read_logo(table: StrictTable) -> LogoStyle:
    files = table.texts("files")
    if not files:
        table.note("“files” names no picture; give at least one.")
    style = LogoStyle(
        files=files,
        boxes=_by_shape(table, "box", 4, _BOX),
        align=table.text("align", "left", choices=ALIGNS),
        valign=table.text("valign", "top", choices=VALIGNS),
        ratio=table.number("ratio", 1, 21, 3.0),
        remedy=table.text("remedy", "plate", choices=("plate", "fail")),
        panel=table.text("panel"),
    )
    if style.panel and not _COLOUR.fullmatch(style.panel):
        table.note(f"“{style.panel}” is no colour; write it as #rrggbb.")
    table.end()
    return style


_BOX = "[left, top, width, height], hundredths of the picture's sides"


def _by_shape(table: StrictTable, name: str, length: int, wanted: str) -> dict[str, Any]:
    """A list of numbers for every shape, given once or for each."""
    value = table.anything(name, lambda value: _fits_shapes(value, length), wanted, required=True)
    return _spread(value) if value else {}


def _other_boxes(table: StrictTable) -> tuple[Boxes, ...]:
    def right(value: Any) -> bool:
        return isinstance(value, list) and bool(value) and all(_fits_shapes(each, 4) for each in value)

    value = table.anything("other_boxes", right, f"a list of boxes, each {_BOX}, or one for each shape")
    return tuple(map(_spread, value or ()))


def _spread(value: Any) -> dict[str, Any]:
    return {shape: tuple(map(float, value if isinstance(value, list) else value[shape])) for shape in SHAPES}


def _fits_shapes(value: Any, length: int) -> bool:
    """Whether a value is a list of so many numbers, or one for each shape."""
    if isinstance(value, dict):
        return set(value) == set(SHAPES) and all(_is_list(each, length) for each in value.values())
    return _is_list(value, length)


def _is_list(value: Any, length: int) -> bool:
    numbers = isinstance(value, list) and len(value) == length
    if not numbers or not all(isinstance(each, int | float) and 0 <= each <= 100 for each in value):
        return False
    if length == 4:
        return bool(value[2] and value[3] and value[0] + value[2] <= 100 and value[1] + value[3] <= 100)
    return bool(value[0] > 0)
