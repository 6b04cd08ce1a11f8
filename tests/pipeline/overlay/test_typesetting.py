"""Exact words on a picture: shaped, wrapped, legible on the very pixels behind them, or refused with a sentence."""

import io
import tomllib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pressrun.pipeline.errors import JobError, RequestError
from pressrun.pipeline.overlay.contrast import contrast, luminance, rgb
from pressrun.pipeline.overlay.copy_assets import with_assets
from pressrun.pipeline.overlay.copy_spec import CopySpec, read_copy, shape_of
from pressrun.pipeline.overlay.typesetting import Typesetter
from pressrun.pipeline.strict_table import StrictTable

TEXT: dict[str, Any] = {"column": "headline", "box": [10, 10, 80, 40], "size": [5, 12], "weight": 700}
GROUNDS = {
    "light": np.full((240, 240, 3), 235, np.uint8),
    "dark": np.full((240, 240, 3), 20, np.uint8),
    "middle": np.full((240, 240, 3), (119, 119, 119), np.uint8),
    "busy": np.random.default_rng(7).integers(0, 256, (240, 240, 3)).astype(np.uint8),
    "half": np.tile(np.where(np.arange(240) < 120, 250, 5).astype(np.uint8)[None, :, None], (240, 1, 3)),
}


def spec(problems: list[str] | None = None, **copy: Any) -> CopySpec:
    found: list[str] = []
    table = StrictTable({"copy": copy}, "style", found)
    read = read_copy(table)
    if problems is None:
        assert not found
    else:
        problems += found
    assert read is not None
    return read


def typesetter(*texts: dict[str, Any], files: dict[str, bytes] | None = None, **copy: Any) -> Typesetter:
    fonts = {"*": "Inter", "ja": "Noto Sans CJK JP", "zh": "Noto Sans CJK SC"}
    wanted = spec(texts=list(texts), fonts=fonts, language="language", **copy)
    return Typesetter(with_assets(wanted, lambda name: (files or {})[name]))


def lines(text: str, language: str, **style: Any) -> tuple[str, ...]:
    [placed] = typesetter(TEXT | style).placed(GROUNDS["light"], {"headline": text, "language": language})
    return placed.setting.lines


@pytest.mark.parametrize("ground", GROUNDS)
def test_every_letter_has_the_contrast_that_wcag_asks_for(ground: str) -> None:
    pixels, colours = GROUNDS[ground], ("#ffffff", "#111111")
    out = typesetter(TEXT | {"colours": list(colours)}).set(pixels, {"headline": "Out into the green"})
    [colour] = [colour for colour in colours if (out == rgb(colour)).all(axis=2).sum() > 50]
    ink = (out == rgb(colour)).all(axis=2)
    [placed] = typesetter(TEXT).placed(pixels, {"headline": "Out into the green"})
    clear = placed.behind & (placed.coverage == 0)  # beside the letters, where nothing of them is mixed in
    assert ink.sum() > 500
    assert contrast(rgb(colour), out[clear]).min() >= 4.5


def test_the_first_colour_that_is_legible_is_taken() -> None:
    words = {"headline": "Sun"}
    white, black = rgb("#ffffff"), rgb("#000000")
    for ground, wanted in (("dark", white), ("light", black)):
        out = typesetter(TEXT | {"colours": ["#ffffff", "#000000"]}).set(GROUNDS[ground], words)
        assert (out == wanted).all(axis=2).any()
        untouched = (out == GROUNDS[ground]).all(axis=2).mean()
        assert untouched > 0.8, "no scrim where none is needed"


def test_without_a_remedy_a_row_that_is_not_legible_fails() -> None:
    with pytest.raises(RequestError, match=r"in none of its colours \(#ffffff\) a contrast of 4\.5") as error:
        typesetter(TEXT | {"colours": ["#ffffff"], "remedy": "fail"}).set(GROUNDS["light"], {"headline": "Sun"})
    assert error.value.code == "low_contrast"


def test_a_text_is_set_as_large_as_its_box_allows_and_never_outside_it() -> None:
    for text, biggest in (("Sun", 28), ("A much longer headline that needs several lines of its box", 20)):
        [placed] = typesetter(TEXT).placed(GROUNDS["light"], {"headline": text})
        assert placed.setting.size <= biggest
        rows, columns = np.nonzero(placed.coverage)
        assert rows.min() >= 24 and rows.max() < 24 + 96
        assert columns.min() >= 22 and columns.max() < 24 + 192
    [short] = typesetter(TEXT).placed(GROUNDS["light"], {"headline": "Sun"})
    assert short.setting.size == 28, "12 hundredths of 240 pixels, rounded down"


def test_a_text_that_does_not_fit_at_its_smallest_size_fails_with_a_sentence() -> None:
    for text in ("word " * 80, "Donaudampfschifffahrtsgesellschaftskapitän" * 2):
        with pytest.raises(RequestError, match=r"does not fit its box of 192 × 96 pixels even at 12 pixels") as error:
            typesetter(TEXT).set(GROUNDS["light"], {"headline": text})
        assert error.value.code == "copy_does_not_fit"


def test_a_letter_that_the_font_lacks_fails_its_row() -> None:
    with pytest.raises(RequestError, match=r"The font Inter has no “日本”") as error:
        typesetter(TEXT).set(GROUNDS["light"], {"headline": "Made in 日本", "language": "en"})
    assert error.value.code == "missing_glyph"
    typesetter(TEXT).set(GROUNDS["light"], {"headline": "Made in 日本", "language": "ja-JP"})


def test_lines_are_broken_as_each_language_is() -> None:
    assert lines("Angebot gültig bis 31. August", "de", size=[11, 11]) == ("Angebot gültig", "bis 31. August")
    assert lines("一日中、外で過ごそう。", "ja", size=[12, 12]) == ("一日中、外で", "過ごそう。")
    chinese = lines("春季新品马克杯，现已上市。", "zh", size=[10, 10])
    assert len(chinese) == 2 and not chinese[1].startswith(("，", "。"))


def test_a_soft_hyphen_shows_only_where_a_line_ends() -> None:
    assert lines("Donau\u00addampf\u00adschiff", "de", size=[12, 12], box=[10, 10, 40, 60]) == (
        "Donau-",
        "dampf-",
        "schiff",
    )
    assert lines("Donau\u00addampf", "de", size=[8, 8]) == ("Donaudampf",)


def test_the_language_decides_the_letters_forms() -> None:
    def ink(language: str) -> np.ndarray:
        return typesetter(TEXT).set(GROUNDS["light"], {"headline": "直角", "language": language})

    assert (ink("ja") != ink("zh")).any()


def test_a_line_that_begins_with_a_latin_name_runs_as_its_language_does() -> None:
    """Neutral dashes tell: from right to left the name's side of them is the right one."""
    ink = {}
    for language in ("en", "he"):
        words = {"headline": "III ------", "language": language}
        [placed] = typesetter(TEXT).placed(GROUNDS["dark"], words)
        columns = np.flatnonzero(placed.coverage.any(0))
        heights = placed.coverage[:, columns].astype(bool).sum(0)
        ink[language] = np.average(columns, weights=heights) - (columns[0] + columns[-1]) / 2
    assert ink["en"] < 0 < ink["he"]


def test_a_plate_is_as_large_as_its_words() -> None:
    plate = {"column": "price", "box": [10, 60, 80, 20], "size": [8, 8], "panel": "#ffd84d", "colours": ["#111111"]}
    yellow = [
        (typesetter(plate).set(GROUNDS["busy"], {"price": price}) == rgb("#ffd84d")).all(axis=2).sum()
        for price in ("£9", "£1,299.00")
    ]
    assert 200 < yellow[0] < yellow[1]


def test_the_logo_that_is_seen_is_taken() -> None:
    def logo(colour: str) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGBA", (60, 30), colour).save(buffer, "PNG")
        return buffer.getvalue()

    files = {"light.png": logo("#ffffff"), "dark.png": logo("#000000")}
    style = {"files": ["light.png", "dark.png"], "box": [50, 10, 40, 10], "align": "right"}
    for ground, wanted in (("dark", 255), ("light", 0)):
        out = typesetter(logos=[style], files=files).set(GROUNDS[ground], {})
        assert (out[24:48, 168:216] == wanted).all()
        assert (out[:, :167] == GROUNDS[ground][:, :167]).all()


def _logo(colour: str) -> bytes:
    buffer = io.BytesIO()
    picture = Image.new("RGBA", (60, 30))
    ImageDraw.Draw(picture).ellipse((5, 3, 54, 26), fill=colour)
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_logo_that_is_hardly_seen_gives_way_to_the_better_file() -> None:
    ground = np.full((240, 240, 3), 200, np.uint8)  # 1.7 to white, 12 to black
    style = {"files": ["light.png", "dark.png"], "box": [50, 10, 40, 20]}
    out = typesetter(logos=[style], files={"light.png": _logo("#ffffff"), "dark.png": _logo("#000000")}).set(ground, {})
    assert (out == 0).any() and not (out == 255).any()


@pytest.mark.parametrize(("panel", "plate"), [("", "#ffffff"), ("#ffd84d", "#ffd84d")])
def test_a_logo_of_which_no_file_is_seen_stands_on_a_plate(panel: str, plate: str) -> None:
    ground = np.full((240, 240, 3), 40, np.uint8)
    style = {"files": ["dark.png"], "box": [50, 10, 40, 20], **({"panel": panel} if panel else {})}
    out = typesetter(logos=[style], files={"dark.png": _logo("#202020")}).set(ground, {})
    assert (out == rgb(plate)).all(axis=2).sum() > 500
    assert (out[:, :100] == 40).all(), "it is no larger than it needs to be"


def test_a_logo_without_its_contrast_fails_its_row_where_no_plate_is_wanted() -> None:
    style = {"files": ["dark.png"], "box": [50, 10, 40, 20], "remedy": "fail"}
    with pytest.raises(RequestError, match=r"has a contrast of 1.\d .* and 3 is wanted"):
        setter = typesetter(logos=[style], files={"dark.png": _logo("#202020")})
        setter.set(np.full((240, 240, 3), 40, np.uint8), {})


def test_colours_inside_a_logo_need_no_contrast_to_the_picture() -> None:
    badge = Image.new("RGBA", (60, 30), "#101010")
    ImageDraw.Draw(badge).rectangle((8, 8, 51, 21), fill="#f4f4f4")
    buffer = io.BytesIO()
    badge.save(buffer, "PNG")
    style = {"files": ["badge.png"], "box": [50, 10, 40, 20]}
    out = typesetter(logos=[style], files={"badge.png": buffer.getvalue()}).set(
        np.full((240, 240, 3), 230, np.uint8), {}
    )
    assert (out[:, :119] == 230).all() and (out[40] == 230).sum() > 300, "no plate"


def test_the_same_words_give_the_same_pixels_and_empty_ones_none() -> None:
    setter = typesetter(TEXT, enlarge=2)
    first, again = (setter.set(GROUNDS["busy"], {"headline": "Sun"}) for _ in range(2))
    assert (first == again).all()
    assert (setter.set(GROUNDS["busy"], {"headline": " "}) == GROUNDS["busy"]).all()
    assert setter.enlarged(GROUNDS["busy"]).shape == (480, 480, 3)


def test_luminance_and_contrast_are_wcags() -> None:
    assert luminance(rgb("#ffffff")) == pytest.approx(1) and luminance(rgb("#000000")) == 0
    assert contrast(rgb("#777777"), rgb("#ffffff")) == pytest.approx(4.478, abs=0.001)
    assert contrast(rgb("#767676"), rgb("#ffffff")) == pytest.approx(4.542, abs=0.001)


def test_a_shape_has_its_own_boxes() -> None:
    assert [shape_of(*size) for size in ((160, 96), (96, 160), (128, 128), (130, 128))] == [
        *("wide", "tall", "square", "square")
    ]
    boxes = {"wide": [0, 0, 50, 50], "tall": [0, 50, 100, 50], "square": [50, 50, 50, 50]}
    [placed] = typesetter(TEXT | {"box": boxes}).placed(np.zeros((200, 100, 3), np.uint8), {"headline": "Sun"})
    assert placed.top == 100


def test_everything_that_is_wrong_with_a_style_is_said() -> None:
    problems: list[str] = []
    spec(
        problems,
        enlarge=0,
        texts=[{"column": "a", "box": [0, 0, 120, 5], "size": [9, 3], "colours": ["red"]}, {"bx": 1}],
    )
    for words in (
        "“enlarge” is 0",
        "“box” is [0, 0, 120, 5]",
        "from 9 down to 3",
        "“red” is no colour",
        "no field “bx”",
    ):
        assert any(words in problem for problem in problems), words


def test_a_font_or_logo_that_cannot_be_had_is_named() -> None:
    style = spec(
        texts=[TEXT], logos=[{"files": ["logo.png"], "box": [0, 0, 9, 9]}], fonts={"*": "Intre", "ja": "no.otf"}
    )
    with pytest.raises(JobError) as error:
        with_assets(style, lambda name: b"nothing of the kind")
    assert [problem.partition(";")[0] for problem in error.value.problems] == [
        "There is no font “Intre” here",
        "no.otf is no font that can be read (TrueType or OpenType).",
        "The logo logo.png is no picture that can be read (PNG, WebP or JPEG).",
    ]


def test_the_documented_example_is_read() -> None:
    from pressrun.pipeline.overlay import copy_spec

    assert copy_spec.__doc__
    example = copy_spec.__doc__.partition("\n\n")[2].rpartition("\n\n")[0]
    problems: list[str] = []
    read_copy(StrictTable(tomllib.loads(example), "example", problems))
    assert not problems
