"""Trial setting: a row's words as a finishing spec will set them, on a neutral ground in place of the picture.

Whether words fit their boxes, and whether their font has every letter, depends on no pixel and is known before anything
is rendered; which colour is legible, and where something is in the way, is decided on the very picture.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.finishing.codec import thumbnail
from pressrun.pipeline.finishing.spec import FinishingSpec
from pressrun.pipeline.overlay.copy_spec import Box, CopySpec, shape_of
from pressrun.pipeline.overlay.typesetting import Typesetter

_GROUNDS = ((214, 211, 206), (54, 52, 50))
"""Colours of the ground: the second one where no text of a row is legible on the first."""

_SIDE = 640
"""Pixels of a small picture's longer side."""


@dataclass(frozen=True)
class Output:
    """One picture of a row: the one as it was rendered (`rendition` is "") or a rendition; `bare`: without words."""

    rendition: str
    width: int
    height: int
    bare: bool


@dataclass(frozen=True)
class TriedText:
    """A text of an output: its column, the box that it belongs into (left, top, width, height in hundredths of the
    sides), and why it cannot be set there, "" if it can."""

    column: str
    box: Box
    problem: str


class TrialSetting:
    """Sets words as a finishing spec does; one without a section `[copy]` sets none. Safe for threads."""

    def __init__(self, finishing: FinishingSpec) -> None:
        self._finishing, self._copy = finishing, finishing.copy or CopySpec()
        self._whole = Typesetter(self._copy)
        self._alone = [Typesetter(replace(self._copy, texts=(style,), logos=())) for style in self._copy.texts]
        self._known: dict[tuple[int, str, str, int, int], str] = {}

    def outputs(self, width: int, height: int) -> Iterator[Output]:
        """What becomes of a picture that is rendered at this size."""
        factor = 1 if self._copy.only_renditions else self._copy.enlarge
        yield Output("", round(width * factor), round(height * factor), self._copy.only_renditions)
        for rendition in self._finishing.renditions:
            yield Output(rendition.name, *rendition.size_of(width, height), rendition.bare)

    def texts(self, output: Output, words: Mapping[str, str]) -> list[TriedText]:
        """Every text that a row has words for, in its place on an output."""
        if output.bare:
            return []
        shape = shape_of(output.width, output.height)
        return [
            TriedText(style.column, style.boxes[shape], self._problem(number, output, words))
            for number, style in enumerate(self._copy.texts)
            if words.get(style.column, "").strip()
        ]

    def picture(self, output: Output, words: Mapping[str, str]) -> bytes | None:
        """A small WebP of those words that can be set and the logos; None where there are none, or where they are
        legible on no ground."""
        if output.bare or not self._finishing.copy:
            return None
        wrong = {text.column for text in self.texts(output, words) if text.problem}
        kept = {name: text for name, text in words.items() if name not in wrong}
        for colour in _GROUNDS:
            ground = _ground(output, colour)
            try:
                return thumbnail(self._whole.set(ground, kept), _SIDE)
            except RequestError:
                continue
        return None

    def _problem(self, number: int, output: Output, words: Mapping[str, str]) -> str:
        """Why one text cannot be set, whatever is behind it."""
        text, language = words[self._copy.texts[number].column], words.get(self._copy.language, "")
        what = (number, text, language, output.width, output.height)
        if what not in self._known:
            try:
                self._alone[number].placed(_ground(output, _GROUNDS[0]), words)
                self._known[what] = ""
            except RequestError as error:
                self._known[what] = error.message
        return self._known[what]


def _ground(output: Output, colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((output.height, output.width, 3), colour, np.uint8)
