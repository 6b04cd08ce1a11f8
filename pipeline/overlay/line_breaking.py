"""Lines: where a text may be broken in its language, and the largest size at which it fits its box.

Where a line may end is the Unicode standard's matter (UAX #14, by uniseg); in Japanese and Chinese it allows nearly
every place, so that phrases are kept together there (by BudouX) as long as they fit.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate
from typing import Any

from PIL import ImageFont

SOFT_HYPHEN = "\u00ad"
_PHRASES = {"ja": "japanese", "zh": "simplified_chinese", "zh-hant": "traditional_chinese", "th": "thai"}

Measure = Callable[[str], float]


_FROM_THE_RIGHT = ("ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi")


@dataclass(frozen=True)
class Setting:
    """A text at its size: lines, and what sets them."""

    lines: tuple[str, ...]
    face: ImageFont.FreeTypeFont
    size: int
    line_height: float
    language: str

    @property
    def width(self) -> float:
        """Of the longest line, in pixels."""
        return max(length(line, self.face, self.language) for line in self.lines)

    @property
    def height(self) -> float:
        """Of all lines, in pixels, from the first one's top to the last one's bottom."""
        return self.line_height * self.size * len(self.lines)


def primary(language: str) -> str:
    """`ja` of `ja-JP`; traditional Chinese stays apart."""
    tag = language.replace("_", "-").lower()
    if tag.startswith(("zh-hant", "zh-tw", "zh-hk")):
        return "zh-hant"
    return tag.partition("-")[0]


def features_for(language: str) -> list[str] | None:
    """OpenType features that a language's display type wants: kana stand as close as their shapes allow."""
    return ["palt"] if primary(language) == "ja" else None


def direction_for(language: str) -> str | None:
    """`rtl` where a language is written from right to left, so that a line may begin with a Latin name; None: as its
    first letter is."""
    return "rtl" if primary(language) in _FROM_THE_RIGHT else None


def length(line: str, face: ImageFont.FreeTypeFont, language: str) -> float:
    """A line's advance in pixels."""
    direction, features = direction_for(language), features_for(language)
    return face.getlength(line, direction=direction, language=language or None, features=features)


def fitted(
    text: str,
    face_at: Callable[[int], ImageFont.FreeTypeFont],
    room_at: Callable[[int], tuple[float, float]],
    sizes: tuple[int, int],
    line_height: float,
    language: str,
) -> Setting | None:
    """The text at the largest whole size in `sizes` (pixels) at which it fits the room (width, height) that there is
    at that size; None if it fits at none.

    Phrases are broken only where they fit at no size. At its size the text's lines are made as even as they get without
    becoming more.
    """
    for whole in (True, False):
        found = _largest(text, face_at, room_at, sizes, line_height, language, whole)
        if found:
            return found
    return None


def _largest(
    text: str,
    face_at: Callable[[int], ImageFont.FreeTypeFont],
    room_at: Callable[[int], tuple[float, float]],
    sizes: tuple[int, int],
    line_height: float,
    language: str,
    whole: bool,
) -> Setting | None:
    least, most = sizes
    best = None
    while least <= most:
        size = (least + most) // 2
        face = face_at(size)
        width, height = room_at(size)
        lines = broken(text, language, width, partial(length, face=face, language=language), whole)
        if lines is not None and len(lines) * line_height * size <= height:
            best, least = (lines, face, size), size + 1
        else:
            most = size - 1
    if best is None:
        return None
    lines, face, size = best
    measure = partial(length, face=face, language=language)
    even = _evened(lines, room_at(size)[0], lambda width: broken(text, language, width, measure, whole))
    return Setting(even, face, size, line_height, language)


def broken(text: str, language: str, width: float, measure: Measure, whole: bool = False) -> tuple[str, ...] | None:
    """Lines of at most `width`, broken as late as possible; None where one piece alone is too wide.

    With `whole` no phrase is broken; without, one that is wider than a line is.
    """
    lines: list[str] = []
    for paragraph in text.strip().splitlines():
        line = ""
        for piece in _pieces(paragraph.strip(), language, math.inf if whole else width, measure):
            if line and measure(_shown(line + piece)) > width:
                lines.append(_shown(line, ended=True))
                line = ""
            line += piece
            if measure(_shown(line)) > width:
                return None
        lines.append(_shown(line))
    return tuple(lines) or None


def _evened(
    lines: tuple[str, ...], width: float, broken_at: Callable[[float], tuple[str, ...] | None]
) -> tuple[str, ...]:
    """The same number of lines in as little width as they can be had in."""
    if len(lines) == 1:
        return lines
    least, most = width / 3, width
    for _ in range(6):
        middle = (least + most) / 2
        narrower = broken_at(middle)
        if narrower is not None and len(narrower) == len(lines):
            lines, most = narrower, middle
        else:
            least = middle
    return lines


def _pieces(text: str, language: str, width: float, measure: Measure) -> Sequence[str]:
    """What stays on one line: phrases where the language has them and they fit, else what the standard allows."""
    units = _units(text)
    ends = _phrase_ends(text, primary(language))
    if ends is None:
        return units
    pieces: list[str] = []
    start, end = 0, 0
    for unit in units:
        end += len(unit)
        if end in ends or end == len(text):
            phrase = text[start:end]
            pieces += [phrase] if measure(_shown(phrase)) <= width else _units(phrase)
            start = end
    return pieces


@lru_cache(256)
def _phrase_ends(text: str, language: str) -> frozenset[int] | None:
    """Where phrases end; None in a language that is broken between words."""
    parser = _phrase_parser(language)
    return frozenset(accumulate(map(len, parser.parse(text)))) if parser else None


@lru_cache(256)
def _units(text: str) -> tuple[str, ...]:
    from uniseg.linebreak import line_break_units

    return tuple(line_break_units(text))


@lru_cache(8)
def _phrase_parser(language: str) -> Any:
    if language not in _PHRASES:
        return None
    import budoux

    return getattr(budoux, f"load_default_{_PHRASES[language]}_parser")()


def _shown(line: str, ended: bool = False) -> str:
    """A line as it is drawn: without blanks at its end, a soft hyphen only where the line is broken at it."""
    line = line.rstrip()
    hyphen = "-" if ended and line.endswith(SOFT_HYPHEN) else ""
    return line.replace(SOFT_HYPHEN, "") + hyphen


def pixels_of(hundredths: tuple[float, float], side: int) -> tuple[int, int]:
    """Smallest and largest size in whole pixels: nothing below the one, nothing above the other unless they are one."""
    least = max(1, math.ceil(hundredths[0] / 100 * side))
    return least, max(least, math.floor(hundredths[1] / 100 * side))
