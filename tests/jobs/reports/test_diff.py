"""Two jobs beside each other, and the page that shows it."""

import html
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from pressrun.jobs.cli.command import main
from pressrun.jobs.reports.diff import diff
from pressrun.jobs.reports.diff_sheet import address, write_diff_sheet
from pressrun.pipeline.errors import JobError
from tests.jobs.night_jobs import make_night
from tests.opening import stores


@pytest.fixture
def nights(tmp_path: Path) -> tuple[str, str]:
    before = {"mug": b"mug 1", "lamp": b"lamp", "sofa": b"sofa", "gone": b"gone", "<b>": b"1", "odd": b"1"}
    after = {"sofa": b"sofa", "mug": b"mug 2", "lamp": None, "new ü#%": b"new", "<b>": b"2", "odd": b"2"}
    prompts = {"mug": "a green mug, sale", "<b>": "a <script>alert(1)</script>"}
    make_night(f"{tmp_path}/2026-11-20", before)
    make_night(f"{tmp_path}/2026-11-21", after, prompts)
    return f"{tmp_path}/2026-11-20", f"{tmp_path}/2026-11-21"


def test_pictures_are_added_changed_and_removed_for_reasons(nights: tuple[str, str]) -> None:
    found = diff(stores(), *nights)
    assert (found.added, found.changed, found.removed, found.unchanged) == (1, 3, 2, 1)
    rows = {row["custom_id"]: row for row in found.rows.to_pylist()}
    assert {name: row["change"] for name, row in rows.items() if row["change"] != "changed"} == {
        **{"new ü#%": "added", "gone": "removed", "lamp": "removed"}
    }
    assert rows["mug"]["reasons"] == ["prompt"]
    assert (rows["mug"]["before_prompt"], rows["mug"]["after_prompt"]) == ("a mug", "a green mug, sale")
    assert rows["odd"]["reasons"] == ["elsewhere"]
    assert rows["lamp"]["before_image"] == f"{nights[0]}/images/lamp.png"
    nothing = diff(stores(), nights[0], nights[0])
    assert (nothing.unchanged, nothing.rows.num_rows, nothing.reasons) == (6, 0, {})


def test_the_page_has_both_sides_at_addresses_that_lead_to_them(nights: tuple[str, str], tmp_path: Path) -> None:
    sheet = tmp_path / "pages/diff.html"
    page = write_diff_sheet(diff(stores(), *nights), str(sheet)).decode()
    addresses = [html.unescape(found) for found in re.findall(r'(?:src|href)="([^"]+)"', page) if "data:" not in found]
    assert len(addresses) == 2 * 9
    for found in addresses:
        assert (sheet.parent / unquote(found)).resolve().is_file(), found
    assert "<script>" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "a <ins>green </ins>mug<ins>, sale</ins>" in page
    assert "{{" not in page
    few = write_diff_sheet(diff(stores(), *nights), str(sheet), limit=2).decode()
    assert few.count("<li ") == 2 and "The first 2 of 6 pictures" in few


@pytest.mark.parametrize(
    ("image", "sheet", "found"),
    [
        ("s3://shop/nights/20/images/a b.png", "s3://shop/nights/diff.html", "20/images/a%20b.png"),
        ("s3://shop/20/images/a.png", "s3://shop/pages/x/diff.html", "../../20/images/a.png"),
        ("/nights/20/images/a.png", "s3://shop/diff.html", "file:///nights/20/images/a.png"),
        ("s3://shop/20/images/a.png", "s3://other/diff.html", None),
        ("s3://shop/20/images/a.png", "/pages/diff.html", None),
    ],
)
def test_addresses_are_relative_where_a_browser_can_follow_them(image: str, sheet: str, found: str | None) -> None:
    assert address(image, sheet) == found


def test_the_command_lists_and_writes(
    nights: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", *nights, "--sheet", f"{tmp_path}/diff.html"]) == 0
    said = capsys.readouterr().out
    assert "1 added, 3 changed, 2 removed, 1 unchanged." in said and "  removed  gone" in said
    assert (tmp_path / "diff.html").read_text().startswith("<!doctype html>")
    assert main(["diff", *nights, "--sheet", f"{tmp_path}/nowhere/diff.html"]) == 2
    assert main(["diff", nights[0], f"{tmp_path}/nowhere"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    with pytest.raises(JobError):
        diff(stores(), f"{tmp_path}/nowhere", nights[0])
