"""A job with checks: rows that are flagged, rejected and tried with other seeds, and a resume that is exact."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pressrun.jobs import examples
from pressrun.jobs.audit.verify import verify
from pressrun.pipeline.request import next_seed
from tests.conftest import Pressrun, write_manifest
from tests.opening import open_store

SPEC = """
[checks.sharpness]
action = "flag"
least = 0.99

[checks.duplicate]
action = "reject"

[checks.policy]
action = "reject"
words = "barred.txt"

[checks.classifier]
action = "reseed"
use = "picky:Picky"
attempts = 2
"""
TELLING = (
    "custom_id",
    "status",
    "image",
    "seed",
    "sha256",
    "render_key",
    "finish_key",
    "error_code",
    "reseeds",
    "flags",
)


def results(job: Path) -> pa.Table:
    [part] = (job / "results").iterdir()
    return pq.read_table(part)


def command(folder: Path, *more: object) -> Any:
    arguments = (
        "render",
        folder / "in/manifest.parquet",
        "--out",
        folder / "out",
        "--finish",
        folder / "in/finish.toml",
    )
    return Pressrun(folder)(*arguments, "--json", *more, PYTHONPATH=str(Path(__file__).parents[1]))


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished job of sixteen rows. Never to be changed: copy it."""
    folder = tmp_path_factory.mktemp("checked")
    scenes = (
        "red mug in the snow",
        "blue sofa on a beach",
        "green lamp at sunset",
        "pink watch, studio",
        "black teapot",
    )
    rows: list[dict[str, Any]] = [
        {"custom_id": f"row-{number}", "prompt": scenes[number % 5], "steps": 2, "seed": number} for number in range(10)
    ]
    rows += [{**rows[number], "custom_id": f"again-{number}"} for number in range(5)]
    rows += [{**rows[0], "custom_id": "barred", "prompt": "a Hard  Liquor bottle"}]
    write_manifest(folder / "in", rows)
    (folder / "in/finish.toml").write_text(SPEC)
    (folder / "in/barred.txt").write_text("hard liquor\n")
    ended = command(folder)
    assert ended.code == 1, ended.err
    return folder


def by_id(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["custom_id"]: row for row in results(folder / "out").to_pylist()}


def test_every_row_is_accounted_for_and_the_audit_agrees(checked: Path) -> None:
    assert results(checked / "out").num_rows == 16
    assert verify(open_store(str(checked / "out"))).discrepancies == ()


def test_rows_are_tried_with_other_seeds_as_often_as_was_asked_for(checked: Path) -> None:
    rows = by_id(checked)
    tried = [rows[f"row-{number}"] for number in range(10)]
    assert {row["reseeds"] for row in tried} >= {1, 2}
    for number, row in enumerate(tried):
        seeds = [number]
        for _ in range(row["reseeds"]):
            seeds.append(next_seed(seeds[-1]))
        assert (row["seed"], row["attempts"]) == (seeds[-1], 1 + row["reseeds"])
        assert all(f"Seed {seed}: It is not to my liking." in (row["findings"] or "") for seed in seeds[:-1])
        if row["status"] == "rejected" and row["error_code"] == "classifier":
            assert (row["reseeds"], row["image"], row["check_classifier"]) == (2, None, "rejected")


def test_a_flagged_row_keeps_its_picture(checked: Path) -> None:
    for row in by_id(checked).values():
        if row["status"] == "succeeded":
            assert (row["flags"], row["check_sharpness"]) == ("sharpness", "flagged")
            assert 0 < row["check_sharpness_score"] < 0.99 and "not sharp" in row["findings"]
            assert (checked / "out" / row["image"]).exists()


def test_a_barred_prompt_is_never_rendered(checked: Path) -> None:
    row = by_id(checked)["barred"]
    assert (row["status"], row["error_code"], row["check_policy"]) == ("rejected", "policy", "rejected")
    assert row["device"] is None and "hard liquor" in row["error_message"]


def test_a_repetition_of_an_earlier_picture_is_rejected_and_its_picture_is_gone(checked: Path) -> None:
    rows = by_id(checked)
    first = next(rows[f"row-{number}"] for number in range(5) if rows[f"row-{number}"]["image"])
    again = rows[first["custom_id"].replace("row", "again")]
    assert (again["status"], again["error_code"]) == ("rejected", "duplicate")
    assert (again["seed"], again["likeness"], again["check_duplicate_score"]) == (first["seed"], first["likeness"], 0)
    assert not (checked / f"out/images/{again['custom_id']}.png").exists()
    assert (checked / f"out/thumbs/{again['custom_id']}.png.webp").exists()


def test_a_resume_after_all_results_were_lost_comes_to_the_same(checked: Path, tmp_path: Path) -> None:
    shutil.copytree(checked / "in", tmp_path / "in")
    shutil.copytree(checked / "out", tmp_path / "out")
    for path in [*(tmp_path / "out/results").iterdir(), tmp_path / "out/summary.json"]:
        path.unlink()
    assert command(tmp_path).code == 1
    assert results(tmp_path / "out").select(TELLING).equals(results(checked / "out").select(TELLING))
    assert verify(open_store(str(tmp_path / "out"))).discrepancies == ()


@pytest.mark.slow  # renders the example
def test_the_example_shows_rows_that_were_flagged_rejected_and_tried_again_and_why(tmp_path: Path) -> None:
    place = Path(examples.__file__).parent
    ended = Pressrun(tmp_path)(
        "render", place / "checked.jsonl", "--finish", place / "finish.toml", "--out", tmp_path / "out"
    )
    assert ended.code == 1, ended.err
    rows = {row["custom_id"]: row for row in results(tmp_path / "out").to_pylist()}
    rejected = {name: row["error_code"] for name, row in rows.items() if row["status"] == "rejected"}
    assert rejected == {"mug-01-wooden-table-shop": "sharpness", "mug-03-snow-banner": "policy"}
    assert rows["mug-01-wooden-table-shop"]["findings"].count("not sharp") == 3
    assert [name for name, row in rows.items() if row["flags"]] == ["hph-01-studio-shop"]
    again = {name: row["findings"] for name, row in rows.items() if row["reseeds"] and row["image"]}
    assert again == {
        f"{name}-us": f"Seed 3: It nearly repeats the picture of {name}-eu."
        for name in ("bag-01-marble", "lmp-01-wooden-table")
    }
