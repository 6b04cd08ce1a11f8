"""Typeset words are read back by OCR, exactly, and are legible: 200 pictures in four languages at the example's sizes.

Compared are NFKC forms without white space: OCR gives `：` for `:` and loses the blanks between a line's words. Nothing
else is forgiven. Each line is read by itself, cut out of the finished picture and enlarged twice.
"""

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pressrun.jobs import examples
from pressrun.jobs.campaign.campaign import read_campaign
from pressrun.jobs.campaign.variants import Variants
from pressrun.pipeline.finishing.spec import read_finishing_spec
from pressrun.pipeline.mini.training.scenes import Scene, draw
from pressrun.pipeline.overlay.contrast import contrast, rgb
from pressrun.pipeline.overlay.copy_assets import with_assets
from pressrun.pipeline.overlay.copy_spec import CopySpec
from pressrun.pipeline.overlay.typesetting import Placed, Typesetter
from tests.opening import stores

EXAMPLE = Path(examples.__file__).parent / "four_seasons"
PLACES = {"spring": "meadow", "summer": "beach", "autumn": "sunset", "winter": "snow"}
CHINESE = {
    "backpack": ("去更远的地方走走", "699元", "徒步背包22升。优惠截止至8月31日。含税，售完为止。"),
    "mug": ("早晨的第一口热茶", "128元", "露营马克杯。优惠截止至5月31日。含税，售完为止。"),
    "sofa": ("把客厅搬到户外", "5,980元", "海文沙发。优惠截止至11月30日。含税，售完为止。"),
}
MORE = (
    ("en", "Everything you carry, nothing you don't", "£1,249.50", "Delivery in 3 to 5 days. Terms at halden.example."),
    ("de", "Für jeden Weg und jedes Wetter gemacht", "1.249,50 €", "Lieferung in 3 bis 5 Tagen. Maße im Shop."),
    ("ja", "毎日を、もっと軽やかに。", "124,950円", "お届けは3日から5日。詳しくは店頭でご確認ください。"),
    ("zh", "轻装上阵，走得更远", "12,499元", "三到五天送达。详情请到门店咨询。"),
)  # fmt: skip


def rows() -> list[dict[str, Any]]:
    """The example's 108 rows; its 36 of one region in Chinese; 56 more with longer words, in all four languages."""
    made = [
        row
        for table in Variants(read_campaign(stores(), str(EXAMPLE / "campaign.toml"))).tables()
        for row in table.to_pylist()
    ]
    base = [row for row in made if row["region"] == "UK"]
    names = ("language", "headline", "price", "legal")
    chinese = [row | dict(zip(names, ("zh", *CHINESE[row["product"]]), strict=True)) for row in base]
    more = [base[place % 36] | dict(zip(names, MORE[place % 4], strict=True)) for place in range(56)]
    return made + chinese + more


def style() -> CopySpec:
    copy = read_finishing_spec((EXAMPLE / "style.toml").read_text(), "png", "style.toml").copy
    assert copy
    return with_assets(copy, lambda name: (EXAMPLE / name).read_bytes())


def normalised(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())


def cut_out(picture: np.ndarray, text: Placed, number: int) -> np.ndarray:
    """One line of a text with a fifth of its size around its ink, enlarged twice; OCR wants BGR."""
    step, spare = text.setting.line_height * text.setting.size, round(text.setting.size / 5)
    top = max(0, round(text.top + (number - 0.1) * step))
    ink = text.coverage[top : round(text.top + (number + 1.1) * step)]
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    first, left = max(0, top + rows[0] - spare), max(0, columns[0] - 2 * spare)
    line = Image.fromarray(picture[first : top + rows[-1] + spare + 1, left : columns[-1] + 2 * spare + 1])
    return np.asarray(line.resize((line.width * 2, line.height * 2), Image.Resampling.LANCZOS))[..., ::-1]


@pytest.mark.slow
def test_200_rows_in_four_languages_are_read_back_exactly_and_are_legible() -> None:
    from rapidocr import RapidOCR

    read = RapidOCR(params={"Global.log_level": "error"})
    setter = Typesetter(style())
    wrong, least = [], 21.0
    for number, row in enumerate(rows()):
        scene = Scene(row["product"], row["colour"], PLACES[row["season"]])
        ground = setter.enlarged(np.asarray(draw(scene, row["width"], row["height"]).convert("RGB")))
        words = {name: str(row[name]) for name in setter.columns}
        out = setter.set(ground, words)
        for text in setter.placed(ground, words):
            lines = [cut_out(out, text, line) for line in range(len(text.setting.lines))]
            seen = "".join(read(line, use_det=False, use_cls=False).txts[0] for line in lines)
            if normalised(seen) != normalised(text.text):
                wrong.append(f"{number} {row['custom_id']} {row['language']}: {text.text!r} was read as {seen!r}")
            least = min(least, _contrast(out, text))
    assert number == 199
    assert not wrong, "\n".join(wrong)
    assert least >= 4.5


def _contrast(out: np.ndarray, text: Placed) -> float:
    """Measured on the finished pixels alone: the ink's colour against everything beside it."""
    ink, beside = out[text.coverage == 255], out[text.behind & (text.coverage == 0)]
    colour = np.median(ink, axis=0)
    assert any((colour == rgb(each)).all() for each in text.style.colours)
    return float(contrast(colour, beside).min())
