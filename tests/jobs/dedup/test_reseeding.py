"""Pictures that repeat others are tried with their next seeds: the same ones stay, however the job was run."""

import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pressrun import JobSpec, render
from pressrun.cluster.protocol.unit import Outcome
from pressrun.cluster.store.store import Store
from pressrun.jobs.audit.verify import verify
from pressrun.jobs.resolve.resolved_job import resolve
from pressrun.jobs.run.forecast import forecast
from pressrun.jobs.run.open_job import OpenJob
from pressrun.jobs.run.settling import next_round, settle
from pressrun.jobs.spec.context import Context
from pressrun.pipeline.request import next_seed
from tests.conftest import Pressrun, write_manifest
from tests.opening import open_store

SPEC = """
[checks.duplicate]
action = "reseed"
attempts = 2
least = 1.0

[[renditions]]
name = "thumb"
width = 64
height = 64
format = "webp"
"""
TELLING = ("custom_id", "status", "image", "seed", "sha256", "render_key", "finish_key", "error_code", "reseeds")


def command(folder: Path, *more: object, out: str = "out") -> Any:
    inputs = folder / "in"
    arguments = (inputs / "manifest.parquet", "--out", folder / out, "--finish", inputs / "finish.toml")
    return Pressrun(folder)("render", *arguments, "--json", *more)


def results(job: Path) -> pa.Table:
    [part] = (job / "results").iterdir()
    return pq.read_table(part)


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished job whose last two rows ask for the first one's picture. Never to be changed: copy it."""
    folder = tmp_path_factory.mktemp("repeated")
    rows = [
        {"custom_id": name, "prompt": "red mug in the snow", "steps": 2, "seed": seed, "width": 128, "height": 128}
        for name, seed in (("first", 1), ("other", 40), ("again", 1), ("third", 1))
    ]
    write_manifest(folder / "in", rows)
    (folder / "in/finish.toml").write_text(SPEC)
    ended = command(folder, "--keep-pixels")
    assert ended.code in (0, 1), ended.err
    return folder


def spec_of(repeated: Path, out: Path, **more: Any) -> JobSpec:
    inputs = repeated / "in"
    return JobSpec(str(inputs / "manifest.parquet"), str(out), **{"finish": str(inputs / "finish.toml"), **more})


def test_the_first_row_stays_and_the_others_get_their_next_seeds(repeated: Path) -> None:
    rows = {row["custom_id"]: row for row in results(repeated / "out").to_pylist()}
    assert rows["first"]["seed"] == 1 and not rows["first"]["reseeds"]
    assert (rows["again"]["seed"], rows["again"]["reseeds"]) == (next_seed(1), 1)
    assert (rows["third"]["seed"], rows["third"]["reseeds"]) == (next_seed(next_seed(1)), 2)
    assert "Seed 1: It nearly repeats the picture of first." in rows["third"]["findings"]
    assert f"Seed {next_seed(1)}: It nearly repeats the picture of again." in rows["third"]["findings"]
    assert [rows[name]["attempts"] for name in ("first", "again", "third")] == [1, 2, 3]


def test_the_audit_finds_every_picture_and_rendition_in_its_place(repeated: Path) -> None:
    assert verify(open_store(str(repeated / "out"))).discrepancies == ()


def test_a_picture_counts_before_its_result_is_written(repeated: Path, tmp_path: Path) -> None:
    spec = spec_of(repeated, tmp_path)
    open_store(spec.out).prepare()
    job = OpenJob(spec, resolve(spec, Context.of_this_process()))
    todo = settle(job)
    work = todo.rows
    job.results.add(
        Outcome(item.row, item.request.custom_id, "succeeded", item.path, render_key=item.render_key, likeness=item.row)
        for item in work.items(work.rows.tolist())
    )
    job.results.add([Outcome(2, "again", "succeeded", "images/again.png", render_key="k" * 64, likeness=0)])
    assert not (tmp_path / "results").exists()
    assert next_round(job, todo).plan.rows.tolist() == [2]


def test_another_night_is_told_which_rows_begin_with_their_own_seed_and_how_many_pictures_that_may_come_to(
    repeated: Path, tmp_path: Path
) -> None:
    plan = forecast(spec_of(repeated, tmp_path / "night", since=str(repeated / "out")))
    assert (plan.cached, plan.pending, plan.changes.reasons) == (2, 2, {"reseeded": 2})
    assert plan.further == 4 * 2  # rows, seeds beside their own
    assert forecast(spec_of(repeated, tmp_path / "night", max_images=5)).further == 1
    assert forecast(spec_of(repeated, repeated / "out")).further == 0


def test_another_finish_uses_the_pixels_that_were_kept_of_each_seed(repeated: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(SPEC.replace("width = 64", "width = 32"))
    pixels = str(repeated / "out/pixels")
    summary = render(spec_of(repeated, tmp_path / "out", finish=str(other), keep_pixels=pixels))
    assert (summary.succeeded, summary.rendered, summary.stopped) == (4, 0, None)
    told = ["custom_id", "status", "seed", "reseeds", "render_key", "findings"]
    assert results(tmp_path / "out").select(told).equals(results(repeated / "out").select(told))
    assert verify(open_store(str(tmp_path / "out"))).discrepancies == ()


@pytest.mark.slow
def test_a_run_that_stops_between_rounds_comes_to_the_same(repeated: Path, tmp_path: Path) -> None:
    shutil.copytree(repeated / "in", tmp_path / "in")
    stopped = command(tmp_path, "--max-images", 5)
    assert stopped.json["stopped"] == "--max-images 5 is reached.", stopped.err
    ended = command(tmp_path)
    assert ended.code == 0, ended.err
    assert results(tmp_path / "out").select(TELLING).equals(results(repeated / "out").select(TELLING))
    assert verify(open_store(str(tmp_path / "out"))).discrepancies == ()


@pytest.mark.slow  # what is said of a resume above, of lost results and of another night
def test_lost_results_and_another_night_come_to_the_same(repeated: Path, tmp_path: Path) -> None:
    shutil.copytree(repeated, tmp_path, dirs_exist_ok=True)
    for path in [*(tmp_path / "out/results").iterdir(), tmp_path / "out/summary.json"]:
        path.unlink()
    assert command(tmp_path).code == 0
    assert results(tmp_path / "out").select(TELLING).equals(results(repeated / "out").select(TELLING))
    assert command(tmp_path, "--since", tmp_path / "out", out="night").code == 0
    night = results(tmp_path / "night")
    told = [name for name in TELLING if name != "status"]
    assert night.select(told).equals(results(repeated / "out").select(told))
    assert verify(open_store(str(tmp_path / "night"))).discrepancies == ()


COPY = (
    SPEC
    + """
[[renditions]]
name = "bare"
width = 512
height = 512
bare = true

[copy]
language = "language"
enlarge = 4
fonts = { "*" = "Inter" }

[[copy.texts]]
column = "headline"
box = [10, 5, 80, 25]
size = [10, 20]
"""
)


def pixels(store: Store, path: str) -> np.ndarray:
    with Image.open(BytesIO(store.get(path))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.slow  # two nights
@pytest.mark.parametrize("where", ["bucket", "folder"])
def test_a_kept_picture_that_repeats_a_new_row_is_tried_again_and_gets_its_words_and_the_night_before_stays(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue("s3_bucket") if where == "bucket" else str(tmp_path)
    made = [
        {"custom_id": name, "prompt": "red mug in the snow", "steps": 2, "seed": seed, "width": 128, "height": 128,
         "headline": f"{name} words", "language": "en"}
        for name, seed in (("new", 40), ("old", 40), ("other", 1))
    ]  # fmt: skip
    (tmp_path / "copy.toml").write_text(COPY)
    nights = [f"{place}/nights/2026-11-{day}" for day in (20, 21)]
    for night, rows, since in zip(nights, (made[1:], made), ((), ("--since", nights[0])), strict=True):
        manifest = write_manifest(tmp_path / "in", rows)
        ended = Pressrun(tmp_path)("render", manifest, "--out", night, "--finish", tmp_path / "copy.toml", *since)
        assert ended.code == 0, ended.err
        assert verify(open_store(night)).discrepancies == ()
    before, after = map(open_store, nights)
    [part] = after.paths("results/")
    rows = {row["custom_id"]: row for row in pq.read_table(pa.BufferReader(after.get(part))).to_pylist()}
    assert [(row["status"], row["seed"]) for row in rows.values()] == [
        ("succeeded", 40),
        ("succeeded", next_seed(40)),
        ("cached", 1),
    ]
    assert rows["old"]["findings"] == "Seed 40: It nearly repeats the picture of new."
    assert verify(before).discrepancies == ()
    differs = np.abs(pixels(after, "images/old.png") - pixels(after, "images/old@bare.png")).mean((1, 2))
    assert differs[26:154].mean() > 5 * max(1.0, differs[160:].mean()), "words stand at the top, and only there"
