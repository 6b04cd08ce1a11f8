"""Words out of the manifest on the pictures of a job: what they change, what they leave alone, what they cannot do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pressrun.jobs.planning.pending_rows import PendingRows
from pressrun.jobs.references.references import References
from pressrun.jobs.resolve.resolved_job import ResolvedJob
from pressrun.jobs.spec.job_spec import JobSpec
from pressrun.pipeline.errors import JobError
from tests.conftest import Ended, Pressrun
from tests.opening import resolved, write_uri

STYLE = """
[copy]
language = "language"
enlarge = 4
fonts = { "*" = "Inter", ja = "Noto Sans CJK JP" }

[[copy.texts]]
column = "headline"
box = [5, 5, 60, 25]
size = [6, 12]
weight = 700

[[copy.texts]]
column = "price"
box = [5, 80, 40, 15]
size = [6, 9]
panel = "#ffd84d"
colours = ["#111111"]

[[copy.logos]]
files = ["logo.png"]
box = [70, 5, 25, 8]

[[renditions]]
name = "master"
width = 512
height = 512
bare = true

[[renditions]]
name = "card"
width = 640
height = 360
format = "webp"
"""
REGIONS = {
    "UK": ("en", "Out into the green", "£79"),
    "DE": ("de", "Raus ins Grüne", "89,00 €"),
    "JP": ("ja", "緑の中へ、出かけよう。", "12,800円"),
}


def rows(**changes: str) -> list[dict[str, Any]]:
    made = [
        {"custom_id": region, "prompt": "a blue backpack in a meadow", "steps": 2, "seed": 7, "region": region,
         "language": language, "headline": headline, "price": price}
        for region, (language, headline, price) in REGIONS.items()
    ]  # fmt: skip
    return [row | changes for row in made]


def files(folder: Path, table: list[dict[str, Any]], style: str = STYLE) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(table), folder / "m.parquet")
    Image.new("RGBA", (80, 40), "#ffffff").save(folder / "logo.png")
    (folder / "style.toml").write_text(style)
    return {"manifest": folder / "m.parquet", "finish": folder / "style.toml"}


def order(folder: Path, table: list[dict[str, Any]], style: str = STYLE) -> ResolvedJob:
    where = {name: str(path) for name, path in files(folder, table, style).items()}
    return resolved(JobSpec(out=str(folder / "out"), **where))


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """A finished job: one picture in three regions, and two rows whose words cannot be set."""
    folder = tmp_path_factory.mktemp("copy")
    [first, *_] = rows()
    odd = [
        first | {"custom_id": "long", "headline": "word " * 90},
        first | {"custom_id": "glyph", "headline": "緑"},
    ]
    where = files(folder, rows() + odd)
    asked = (
        "render",
        where["manifest"],
        "--out",
        folder / "out",
        "--finish",
        where["finish"],
        "--keep-pixels",
        "--json",
    )
    return folder / "out", Pressrun(folder)(*asked)


def picture(job: Path, name: str) -> np.ndarray:
    with Image.open(job / "images" / name) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_one_products_pictures_differ_across_regions_only_where_their_words_are(job: tuple[Path, Ended]) -> None:
    out = job[0]
    masters = [picture(out, f"{region}@master.png") for region in REGIONS]
    assert all((master == masters[0]).all() for master in masters), "under the words the pixels are one picture's"
    finished = [picture(out, f"{region}.png") for region in REGIONS]
    assert finished[0].shape == (512, 512, 3)
    differs = np.any([(each != finished[0]).any(axis=2) for each in finished], axis=0)
    assert differs.sum() > 1000
    near = np.zeros((512, 512), bool)
    near[: int(0.42 * 512), : int(0.78 * 512)] = True  # the headline's box, and as far as its scrim reaches
    near[int(0.79 * 512) :, : int(0.47 * 512)] = True  # the price's
    assert not differs[~near].any()


def test_words_are_set_on_every_rendition_that_is_not_bare(job: tuple[Path, Ended]) -> None:
    out = job[0]
    assert picture(out, "UK@card.webp").shape == (360, 640, 3)
    yellow = np.array([255, 216, 77])
    for name, wanted in (("UK.png", True), ("UK@card.webp", True), ("UK@master.png", False)):
        assert ((abs(picture(out, name) - yellow) < 12).all(axis=2).sum() > 500) == wanted, name


def test_a_row_whose_words_cannot_be_set_fails_alone_and_leaves_nothing_behind(job: tuple[Path, Ended]) -> None:
    out, ended = job
    assert ended.code == 1
    [part] = (out / "results").iterdir()
    results = {row["custom_id"]: row for row in pq.read_table(part).to_pylist()}
    assert [row["status"] for row in results.values()] == ["succeeded"] * 3 + ["failed"] * 2
    assert results["long"]["error_code"] == "copy_does_not_fit"
    assert "does not fit its box" in results["long"]["error_message"]
    assert results["glyph"]["error_code"] == "missing_glyph"
    assert not [path for path in (out / "images").iterdir() if path.name.startswith(("long", "glyph"))]


def test_changed_words_are_set_on_kept_pixels_without_rendering(job: tuple[Path, Ended], tmp_path: Path) -> None:
    where, pixels = files(tmp_path, rows(headline="Neu")), job[0] / "pixels"
    asked = ("render", where["manifest"], "--out", tmp_path / "out", "--finish", where["finish"], "--json")
    ended = Pressrun(tmp_path)(*asked, "--keep-pixels", pixels)
    assert (ended.json["succeeded"], ended.json["rendered"]) == (3, 0), ended.err
    assert (picture(tmp_path / "out", "UK@master.png") == picture(job[0], "UK@master.png")).all()
    assert (picture(tmp_path / "out", "UK.png") != picture(job[0], "UK.png")).any()


def test_the_job_verifies(job: tuple[Path, Ended], tmp_path: Path) -> None:
    out = job[0]
    assert Pressrun(tmp_path)("verify", out).code == 0
    described = json.loads((out / "job.json").read_text())["finishing"]["copy"]
    assert described["digests"][0][0] == "Inter@400"


def keys(order: ResolvedJob) -> tuple[str, str]:
    item = PendingRows(order, np.arange(1), References(order.model, order.web, order.context.stores)).item(0)
    assert order.finish_keys(np.arange(1)).to_pylist() == [item.finish_key], "by columns and by rows the same"
    return item.render_key, item.finish_key


def test_a_changed_headline_changes_the_finish_and_not_the_render(tmp_path: Path) -> None:
    before = keys(order(tmp_path / "a", rows()))
    headline = keys(order(tmp_path / "b", rows(headline="Into the woods")))
    style = keys(order(tmp_path / "c", rows(), STYLE.replace("[6, 12]", "[6, 11]")))
    other = keys(order(tmp_path / "d", rows(region="FR")))
    assert headline[0] == style[0] == before[0]
    assert len({before[1], headline[1], style[1]}) == 3
    assert other == before, "a column that nobody sets decides nothing"


def test_another_logo_under_the_same_name_is_another_finish(tmp_path: Path) -> None:
    before = keys(order(tmp_path, rows()))
    Image.new("RGBA", (80, 40), "#000000").save(tmp_path / "logo.png")
    where = {"manifest": str(tmp_path / "m.parquet"), "finish": str(tmp_path / "style.toml")}
    assert keys(resolved(JobSpec(out=str(tmp_path / "out"), **where)))[1] != before[1]


def test_style_logo_and_manifest_may_lie_in_a_bucket(tmp_path: Path, s3_bucket: str) -> None:
    files(tmp_path, rows())
    for path in tmp_path.iterdir():
        write_uri(f"{s3_bucket}/style/{path.name}", [path.read_bytes()])
    where = {"manifest": f"{s3_bucket}/style/m.parquet", "finish": f"{s3_bucket}/style/style.toml"}
    local = {"manifest": str(tmp_path / "m.parquet"), "finish": str(tmp_path / "style.toml")}
    here, there = (resolved(JobSpec(out=str(tmp_path / "out"), **each)) for each in (local, where))
    assert keys(here) == keys(there)


def test_what_a_style_lacks_refuses_the_job(tmp_path: Path) -> None:
    style = STYLE.replace('"headline"', '"hedline"').replace("logo.png", "none.png").replace('"Inter"', '"Intre"')
    with pytest.raises(JobError) as error:
        order(tmp_path, rows(), style)
    said = "\n".join(error.value.problems)
    assert "There is no font “Intre”" in said and "none.png" in said
    with pytest.raises(JobError, match=r"\[copy\] “{hedline}” asks for “hedline”, but the manifest has custom_id"):
        order(tmp_path, rows(), STYLE.replace('"headline"', '"hedline"'))
