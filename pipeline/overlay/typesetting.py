"""Typesetting: exact words and logos on a picture, legible on the very pixels that are behind them.

Words are set, never generated. Pillow draws them, shaped by HarfBuzz and FriBidi (its Raqm layout). In this order:
1. every text is fitted into its box, in its language; 2. scrims and plates are laid until every text has its contrast;
3. logos and words are drawn. The same picture, words and spec give the same pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from pressrun.pipeline.errors import JobError, RequestError
from pressrun.pipeline.overlay.box_choice import MOST_COVERED, choices, meet
from pressrun.pipeline.overlay.contrast import (
    laid_where,
    least_contrast,
    rgb,
    scrim_under,
    under,
    weakest_scrim,
)
from pressrun.pipeline.overlay.copy_assets import font_name, read_logo
from pressrun.pipeline.overlay.copy_spec import Box, CopySpec, TextStyle, shape_of
from pressrun.pipeline.overlay.fonts import Fonts, check_type_can_be_set
from pressrun.pipeline.overlay.line_breaking import Setting, direction_for, features_for, fitted, length, pixels_of
from pressrun.pipeline.overlay.logo_placing import aligned, rounded, with_logo
from pressrun.pipeline.overlay.subject import covered, subject

_ROUNDS = 4
_PREFERENCE = 0.1
"""How much stronger the scrim for an earlier colour may be than the one for a later colour: the order is a wish."""
_SOFT = 0.03
"""A scrim's softness is at least this share of the picture's shorter side, so that small print has no halo."""


@dataclass(frozen=True)
class Placed:
    """A text in its place: `left` and `top` of its block in pixels, `coverage` (H, W) of its ink, and the pixels
    `behind` (H, W) it, some around its letters included; its colour and least contrast once they are known."""

    style: TextStyle
    text: str
    setting: Setting
    left: float
    top: float
    coverage: np.ndarray
    behind: np.ndarray
    colour: str = ""
    ratio: float = 0.0

    @property
    def block(self) -> Box:
        """Left, top, right, bottom of its lines, in pixels."""
        return self.left, self.top, self.left + self.setting.width, self.top + self.setting.height


class Typesetter:
    """Sets what a spec says that has its assets. Safe for threads."""

    def __init__(self, copy: CopySpec) -> None:
        self._copy = copy
        self.columns = copy.columns
        self.only_renditions = copy.only_renditions
        logos = {file for logo in copy.logos for file in logo.files}
        self._logos = {file: read_logo(copy.assets[file], file) for file in logos}
        self._fonts = Fonts({name: data for name, data in copy.assets.items() if name not in logos})

    def problem(self) -> str:
        """Why this process cannot set type, "" if it can."""
        try:
            check_type_can_be_set()
        except JobError as error:
            return str(error)
        return ""

    def enlarged(self, pixels: np.ndarray) -> np.ndarray:
        """The picture (H, W, 3) as large as the spec wants it under its type; resampled with Lanczos' kernel."""
        if self._copy.enlarge == 1:
            return pixels
        height, width = (round(side * self._copy.enlarge) for side in pixels.shape[:2])
        return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))

    def set(self, pixels: np.ndarray, words: Mapping[str, str]) -> np.ndarray:
        """The picture (H, W, 3), uint8, with its words, by column, and logos.

        Raises:
            RequestError: `copy_does_not_fit`, `missing_glyph` or `low_contrast`, with a sentence.
        """
        ground, placed = self.legible(pixels, self.placed(pixels, words))
        height, width = pixels.shape[:2]
        for logo in self._copy.logos:
            box = _pixels(logo.boxes[shape_of(width, height)], width, height)
            ground = with_logo(ground, logo, box, self._logos)
        for text in placed:
            ground = laid_where(ground, rgb(text.colour), text.coverage / 255)
        return ground

    def placed(self, pixels: np.ndarray, words: Mapping[str, str]) -> list[Placed]:
        """Every text that the row has words for, at its size and in its place."""
        language = words.get(self._copy.language, "").strip()
        styles = [style for style in self._copy.texts if words.get(style.column, "").strip()]
        shown = subject(pixels) if any(style.avoid for style in styles) else None
        found: list[Placed] = []
        for style in styles:
            text = words[style.column].strip()
            if shown is None or not style.avoid:
                found.append(self._place(style, text, language, pixels))
            else:
                others = [
                    *self._boxes(pixels, [one for one in styles if one is not style]),
                    *(one.block for one in found),
                ]
                found.append(self._beside(style, text, language, pixels, shown, others))
        return found

    def _boxes(self, pixels: np.ndarray, styles: Sequence[TextStyle]) -> list[Box]:
        """Where other texts and the logos belong, in pixels."""
        height, width = pixels.shape[:2]
        shape = shape_of(width, height)
        everybodys = [*(style.boxes for style in styles), *(logo.boxes for logo in self._copy.logos)]
        return [_pixels(boxes[shape], width, height) for boxes in everybodys]

    def _beside(
        self, style: TextStyle, text: str, language: str, pixels: np.ndarray, shown: np.ndarray, others: list[Box]
    ) -> Placed:
        """A text in the first of its boxes in which it covers next to nothing of what is `shown`, else in that in
        which it covers least; in no box but its own does it meet `others`."""
        height, width = pixels.shape[:2]
        best: tuple[float, Placed] | None = None
        refused: RequestError | None = None
        for number, choice in enumerate(choices(style, shape_of(width, height))):
            try:
                placed = self._place(choice, text, language, pixels)
            except RequestError as error:
                refused = refused or error
                continue
            if number and any(meet(placed.block, other) for other in others):
                continue
            share = covered(shown, placed.block, (width, height))
            if share <= MOST_COVERED:
                return placed
            if best is None or share < best[0]:
                best = share, placed
        if best is None:
            assert refused is not None
            raise refused
        return best[1]

    def legible(self, ground: np.ndarray, placed: list[Placed]) -> tuple[np.ndarray, list[Placed]]:
        """The ground with the scrims that it needs and the plates over them, and each text in a colour that is legible
        there."""
        for _ in range(_ROUNDS):  # a scrim may lie under a neighbour that was fine without it
            for place, text in enumerate(placed):
                if not text.style.panel:
                    ground, placed[place] = _coloured(ground, text)
            ground = self._with_plates(ground, placed)
            placed = [_coloured(ground, text)[1] if text.style.panel else text for text in placed]
            ratios = [least_contrast(rgb(text.colour), ground[text.behind]) for text in placed]
            if all(ratio >= text.style.ratio for ratio, text in zip(ratios, placed, strict=True)):
                return ground, [replace(text, ratio=ratio) for text, ratio in zip(placed, ratios, strict=True)]
        raise RequestError("low_contrast", "Texts stand so close that their scrims take each other's contrast.")

    def _place(self, style: TextStyle, text: str, language: str, pixels: np.ndarray) -> Placed:
        height, width = pixels.shape[:2]
        shape, font = shape_of(width, height), self._copy.font_for(style, language)
        name = font_name(font, style.weight)
        missing = self._fonts.missing(name, font, text)
        if missing:
            raise RequestError(
                "missing_glyph",
                f"The font {font} has no “{missing[:20]}”, which the {style.column} “{text[:60]}” needs; "
                f"name one that has for the language “{language}”.",
            )
        box = _pixels(style.boxes[shape], width, height)
        sizes = pixels_of(style.sizes[shape], min(width, height))

        def room(size: int) -> tuple[float, float]:
            across, down = _padding(style, size)
            return box[2] - box[0] - 2 * across, box[3] - box[1] - 2 * down

        setting = fitted(
            text,
            lambda size: self._fonts.face(name, font, size, style.weight),
            room,
            sizes,
            style.line_height,
            language,
        )
        if setting is None:
            raise RequestError(
                "copy_does_not_fit",
                f"The {style.column} “{text[:60]}” does not fit its box of {round(box[2] - box[0])} × "
                f"{round(box[3] - box[1])} pixels even at {sizes[0]} pixels, its smallest size; shorten it.",
            )
        return _at(style, text, setting, box, (width, height))

    def _with_plates(self, pixels: np.ndarray, placed: list[Placed]) -> np.ndarray:
        for text in placed:
            if text.style.panel:
                across, down = _padding(text.style, text.setting.size)
                left, top, right, bottom = text.block
                plate = rounded(
                    (pixels.shape[1], pixels.shape[0]),
                    (left - across, top - down, right + across, bottom + down),
                    text.style.radius / 100 * text.setting.size,
                )
                pixels = laid_where(pixels, rgb(text.style.panel), plate)
        return pixels


def _coloured(ground: np.ndarray, text: Placed) -> tuple[np.ndarray, Placed]:
    """The text in the first colour that is legible on the ground as it is, or else on the weakest scrim."""
    behind = text.behind
    for colour in text.style.colours:
        if least_contrast(rgb(colour), ground[behind]) >= text.style.ratio:
            return ground, replace(text, colour=colour)
    if text.style.remedy == "scrim" and not text.style.panel:
        softness = max(0.55 * text.setting.size, _SOFT * min(ground.shape[:2]))
        cover = scrim_under((ground.shape[1], ground.shape[0]), text.block, softness)
        found = [
            (scrim[0], place, scrim[1])
            for place, colour in enumerate(text.style.colours)
            if (scrim := weakest_scrim(ground, rgb(colour), behind, cover, text.style.ratio))
        ]
        if found:
            enough = min(strength for strength, _, _ in found) + _PREFERENCE
            _, place, ground = next(one for one in found if one[0] <= enough)
            return ground, replace(text, colour=text.style.colours[place])
    raise RequestError(
        "low_contrast",
        f"The {text.style.column} has in none of its colours ({', '.join(text.style.colours)}) a contrast of "
        f'{text.style.ratio:g} to what is behind it; give another colour, box or panel, or remedy = "scrim".',
    )


def _at(style: TextStyle, text: str, setting: Setting, box: Box, size: tuple[int, int]) -> Placed:
    """A setting in its box; its ink is drawn line by line on the baselines."""
    across, down = _padding(style, setting.size)
    left, top, right, bottom = box[0] + across, box[1] + down, box[2] - across, box[3] - down
    block_left = aligned(style.align, left, right, setting.width)
    block_top = aligned(style.valign, top, bottom, setting.height)
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    ascent, descent = setting.face.getmetrics()
    step = setting.line_height * setting.size
    for number, line in enumerate(setting.lines):
        width = length(line, setting.face, setting.language)
        x = aligned(style.align, block_left, block_left + setting.width, width)
        baseline = block_top + step * number + (step - ascent - descent) / 2 + ascent
        draw.text(
            (x, baseline),
            line,
            fill=255,
            font=setting.face,
            anchor="ls",
            direction=direction_for(setting.language),
            language=setting.language or None,
            features=features_for(setting.language),
        )
    coverage = np.asarray(mask)
    return Placed(style, text, setting, block_left, block_top, coverage, under(coverage, max(2, setting.size // 16)))


def _padding(style: TextStyle, size: int) -> tuple[float, float]:
    """How far a plate stands out beside its words and above them, in pixels."""
    return (0.55 * size, 0.16 * size) if style.panel else (0.0, 0.0)


def _pixels(box: Box, width: int, height: int) -> Box:
    """Left, top, right, bottom in pixels."""
    left, top, across, down = box
    return left * width / 100, top * height / 100, (left + across) * width / 100, (top + down) * height / 100
