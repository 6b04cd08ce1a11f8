"""The page that shows a campaign before any of it is rendered."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pressrun.jobs.cli.command import main

CAMPAIGN = """
prompt = "a {product} </script><script>alert(1)</script>"
[axes]
product = ["mug", "cup", "hat"]
region = [{ region = "UK", language = "en" }, { region = "DE", language = "de" }]
size = [{ size = "shop", width = 128, height = 128 }, { size = "story", width = 96, height = 160 }]
[columns]
headline = { en = "New {product}", de = "Neu" }
references = "photos/{product}.png"
[[override]]
when = { product = "hat", region = "UK" }
set = { headline = "緑" }
[[override]]
when = { product = "cup", size = "story" }
set = { headline = "Donaudampfschifffahrtsgesellschaftskapitänsmützen für alle und alles" }
"""
STYLE = """
[copy]
language = "language"
enlarge = 2
[[copy.texts]]
column = "headline"
box = [5, 5, 60, 20]
size = [10, 14]
colours = ["#ffffff", "#16202c"]
"""
RENDITIONS = """
[[renditions]]
name = "banner"
width = 300
height = 100
[[renditions]]
name = "plain"
width = 50
height = 50
bare = true
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "c.toml").write_text(CAMPAIGN)
    (tmp_path / "style.toml").write_text(STYLE)
    (tmp_path / "photos").mkdir()
    for name in ("mug", "cup"):
        (tmp_path / f"photos/{name}.png").write_bytes(b"")
    return tmp_path


def previewed(folder: Path, *more: str, code: int = 1) -> dict[str, Any]:
    """What the page holds; of the campaign above pictures are missing and words do not fit, so that the code is 1."""
    assert main(["variants", str(folder / "c.toml"), "--preview", str(folder / "p.html"), *more]) == code
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', (folder / "p.html").read_text())
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_it_holds_every_combinations_prompt_texts_size_and_references(folder: Path) -> None:
    data = previewed(folder)
    assert len(data["ids"]) == data["total"] == 12
    assert data["prompts"][0].startswith("a mug </script>")
    assert data["texts"] == [{"name": "headline", "cells": data["texts"][0]["cells"]}]
    assert data["texts"][0]["cells"][:3] == ["New mug", "New mug", "Neu"]
    assert data["outputs"][1] == [{"rendition": "", "width": 96, "height": 160}]
    assert data["references"][0] == ["photos/mug.png"]
    assert data["missing"] == ["photos/hat.png"]
    assert [axis["name"] for axis in data["axes"]] == ["product", "region", "size"]


def test_words_are_set_at_their_real_size_on_a_neutral_ground(folder: Path) -> None:
    data = previewed(folder, "--finish", str(folder / "style.toml"))
    [story] = data["outputs"][1]
    assert (story["width"], story["height"]) == (192, 320)
    picture = Image.open(io.BytesIO(base64.b64decode(story["small"].partition(",")[2]))).convert("L")
    assert picture.size == (192, 320)
    assert picture.getextrema()[0] < 60, "there is dark ink"
    assert picture.crop((0, 200, 192, 320)).getextrema()[0] > 190, "and nothing where no words belong"


def test_words_that_cannot_be_set_are_told_with_their_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = previewed(folder, "--finish", str(folder / "style.toml"))
    said = capsys.readouterr().out
    assert "2 rows, e.g. hat_UK_shop, hat_UK_story: The font Inter has no “緑”" in said
    assert "2 rows, e.g. cup_UK_story, cup_DE_story: The headline “Donaudampfschifffahrtsgesellsch" in said
    [text] = data["outputs"][data["ids"].index("hat_UK_shop")][0]["texts"]
    assert text["column"] == "headline" and text["box"] == [5, 5, 60, 20] and "no “緑”" in text["problem"]


def test_renditions_are_tried_too_but_for_bare_ones(folder: Path) -> None:
    (folder / "style.toml").write_text(STYLE + RENDITIONS)
    data = previewed(folder, "--finish", str(folder / "style.toml"))
    outputs = data["outputs"][data["ids"].index("cup_UK_shop")]
    assert [(output["rendition"], len(output["texts"]), "small" in output) for output in outputs] == [
        ("", 1, True),
        ("banner", 1, True),
        ("plain", 0, False),
    ]


def test_a_page_shows_what_where_asks_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = previewed(folder, "--where", "product=mug", "--where", "size=shop", "--where", "size=story")
    assert data["ids"] == ["mug_UK_shop", "mug_UK_story", "mug_DE_shop", "mug_DE_story"]
    arguments = ["variants", str(folder / "c.toml"), "--preview", str(folder / "q.html")]
    assert main([*arguments, "--where", "product=mag"]) == 2
    assert main([*arguments[:2], "--dry-run", "--where", "product"]) == 2
    said = capsys.readouterr().err
    assert "--where: there is no product “mag”; there are cup, hat, mug." in said
    assert "--finish and --where are about the page of --preview" in said
    assert "--where product wants AXIS=VALUE." in said


def test_a_page_ends_with_its_rows_and_pictures_and_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pressrun.jobs.campaign.preview.MAX_ROWS", 5)
    monkeypatch.setattr("pressrun.jobs.campaign.preview.MAX_PICTURES", 2)
    data = previewed(folder, "--finish", str(folder / "style.toml"))
    assert (len(data["ids"]), data["total"], data["pictures"]) == (5, 12, 2)
    assert "the first 5 of 12 combinations, with the words set on 2 pictures; nothing is rendered" in (
        capsys.readouterr().out
    )


def test_a_style_that_wants_a_column_that_there_is_not_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "style.toml").write_text(STYLE.replace('"headline"', '"claim"'))
    arguments = ["variants", str(folder / "c.toml"), "--preview", str(folder / "p.html")]
    assert main([*arguments, "--finish", str(folder / "style.toml")]) == 2
    assert "“claim”" in capsys.readouterr().err
    assert not (folder / "p.html").exists()


def test_a_manifest_may_be_written_at_the_same_time(folder: Path) -> None:
    previewed(folder, "--out", str(folder / "m.parquet"), code=0)
    assert (folder / "m.parquet").is_file()


@pytest.mark.browser
def test_the_page_opens_from_a_disk_and_filters_by_axis(folder: Path, browser: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    previewed(folder, "--finish", str(folder / "style.toml"))
    browser.get((folder / "p.html").as_uri())
    cards = browser.find_elements(By.CSS_SELECTOR, "article")
    assert len(cards) == 12
    assert "a mug </script><script>alert(1)</script>" in cards[0].text
    assert "Words of 4 combinations cannot be set" in browser.find_element(By.ID, "failing").text
    Select(browser.find_elements(By.CSS_SELECTOR, ".tools select")[0]).select_by_visible_text("hat")
    assert [card.find_element(By.CSS_SELECTOR, "h2").text for card in cards if card.is_displayed()] == [
        "hat_UK_shop",
        "hat_UK_story",
        "hat_DE_shop",
        "hat_DE_story",
    ]
    browser.find_element(By.CSS_SELECTOR, "#failing button").click()
    assert browser.find_element(By.CSS_SELECTOR, ".shown").text.startswith("2 of 12 combinations.")
    assert not browser.get_log("browser")
