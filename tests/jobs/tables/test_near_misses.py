"""Columns that nearly are ours are read as ours, or told of, before anything is rendered."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from pressrun.jobs.cli.command import main
from pressrun.jobs.manifest.manifest import RESERVED, Manifest, normalise
from pressrun.jobs.tables.near_misses import OURS
from pressrun.jobs.tables.other_names import OTHERS, SAME
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import Model

MODEL = Model(
    "mini", "flux2-klein", steps=10, guidance=1.0, width=128, height=96, max_pixels=512 * 512, max_references=2
)


def checked(columns: dict[str, object]) -> Manifest:
    return normalise(pa.table({"custom_id": ["a"], "prompt": ["a red mug"], **columns}), MODEL, "/shop/m.csv")


def refusal(columns: dict[str, object]) -> str:
    with pytest.raises(JobError) as refused:
        checked(columns)
    return str(refused.value)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        *(
            (name, "width")
            for name in ("Width", "WIDTH", " width", "width ", "width\u00a0", "\ufeffwidth", "wid\u200bth")
        ),
        *((name, "steps") for name in (" steps", "Steps", "num_inference_steps", "Num Inference Steps")),
        *((name, "guidance") for name in ("guidance_scale", "guidance-scale", "guidanceScale", "Guidance")),
        *((name, "seed") for name in ("seed ", "noise_seed", "seed_value", "Seed:", "seed #", "\u200fseed")),
        *((name, "width") for name in ("Width (px)", "width_px", "width in px", "Width [pixels]", "width*")),
        *((name, "steps") for name in ("number_of_steps", "Step count", "Number of inference steps")),
        *((name, "guidance") for name in ("guidance (scale)", "Guidance-Scale:")),
    ],
)
def test_a_column_that_means_the_same_is_read_and_said(name: str, ours: str) -> None:
    manifest = checked({name: [64]})
    assert manifest.table[ours].to_pylist() == [64] and manifest.customer_columns == []
    [note] = manifest.notes
    assert note.endswith(f"is read as {ours}.") and note.isprintable()


def test_required_columns_and_references_are_read_too() -> None:
    table = pa.table({"Custom ID": ["a"], "Prompt": ["a red mug"], "References": [["q.png"]]})
    manifest = normalise(table, MODEL, "/shop/m.csv")
    assert manifest.table.select(["custom_id", "references"]).to_pylist() == [
        {"custom_id": "a", "references": ["/shop/q.png"]}
    ]
    assert len(manifest.notes) == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *((name, "width and height") for name in ("size", "Size", "resolution", "image-size", "aspect ratio")),
        *((name, "is references") for name in ("reference", "images", "image_url", "Image URL", "init_image")),
        *((name, "say in the prompt") for name in ("negative_prompt", "Negative Prompt", "neg_prompt")),
        *((name, "one picture a row") for name in ("n", "num_images_per_prompt", "batch_size")),
        *((name, "guidance") for name in ("cfg", "cfg_scale", "CFG Scale", "guidence")),
        ("sampler_name", "a model brings its own"),
        *((name, "width and height") for name in ("Breite", "Höhe", "size_w", "Image width (px)", "Bildbreite")),
        *((name, "is references") for name in ("image 1", "picture url", "Photo-Link", "Referenzbild", "reference_2")),
        *((name, "meant for width, rename it") for name in ('"width"', "Width (cm)", "product width", "widthInCm")),
        *((name, "meant for seed, rename it") for name in ("seed (optional)", "Seed 2", "«seed»")),
        ("prompt_2", "one prompt a row"),
        ("widht", "if it is meant for width, rename it"),
        ("step", "if it is meant for steps, rename it"),
    ],
)
def test_a_column_that_may_mean_something_else_is_carried_along_and_said(name: str, words: str) -> None:
    manifest = checked({name: ["x"]})
    assert manifest.customer_columns == [name]
    [note] = manifest.notes
    assert f"“{name}” is only carried along" in note and words in note


def test_columns_that_name_pictures_are_said_whatever_they_are_called() -> None:
    pictures = {"front": ["a.png"], "Ansicht": [["https://shop.example/b.jpg?v=1"]], "page": ["https://shop.example/a"]}
    assert checked(pictures).notes == (
        "Columns “front”, “Ansicht” name pictures and are only carried along; Pressrun's column for reference pictures "
        "is references.",
    )
    assert checked({**pictures, "references": [[]]}).notes == ()


@pytest.mark.parametrize(
    "columns",
    [
        {"sku": ["1"], "season": ["fall"], "weight": [3], "description": ["x"], "title": ["x"], "text": ["x"]},
        {"size": ["hero"], "width": [64], "height": [64]},
        {"image_url": ["https://shop.example/a.png"], "references": [[]]},
        {"cfg": [3.0], "guidance": [3.0]},
    ],
    ids=["a shop's", "size beside sides", "pictures beside references", "cfg beside guidance"],
)
def test_nothing_is_said_of_what_is_clear(columns: dict[str, object]) -> None:
    assert checked(columns).notes == ()


def test_a_second_column_for_the_same_is_told() -> None:
    manifest = checked({"seed": [1], "seed ": [2], "noise_seed": [3]})
    assert manifest.table["seed"].to_pylist() == [1] and manifest.customer_columns == ["seed ", "noise_seed"]
    assert manifest.notes == (
        "Column “seed ” is only carried along; seed is read from “seed”.",
        "Column “noise_seed” is only carried along; seed is read from “seed”.",
    )


def test_two_columns_that_nearly_are_one_of_ours_are_refused() -> None:
    message = refusal({" steps": [3], "num_inference_steps": [4], "Height": [64]})
    assert "Columns “ steps” and “num_inference_steps” mean the same; keep one of them, and call it steps." in message
    assert "“Height” is read as height." in message


@pytest.mark.parametrize(
    "cells",
    [["mug.png"], ["https://shop.example/mug"], [["s3://shop/mug.jpeg"]], ['["//cdn.example/a"]'], ["m.webp?v=2"]],
)
@pytest.mark.parametrize("name", ["reference", "Reference", "reference_images", "ref"])
def test_pictures_in_a_column_called_reference_are_not_left_out(name: str, cells: list[object]) -> None:
    assert "names pictures" in refusal({name: cells})


def test_an_articles_reference_is_none() -> None:
    assert checked({"reference": ["REF-1234"]}).table["references"].to_pylist() == [[]]
    assert checked({"reference": [1234]}).customer_columns == ["reference"]


@pytest.mark.parametrize("name", ["Status", "IMAGE", "Format", "Model", "Bytes", "Error_Code"])
def test_a_results_column_in_another_case_is_refused(name: str) -> None:
    assert f"called {name.lower()}, from which many programs cannot tell “{name}”; rename" in refusal({name: ["x"]})


@pytest.mark.parametrize("names", [("SKU", "sku"), ("width", "Width"), ("Größe", "größe"), ("a", "A")])
def test_columns_that_differ_in_case_only_are_refused(names: tuple[str, str]) -> None:
    message = refusal({name: [1] for name in names})
    assert f"“{names[0]}”, “{names[1]}” differ in case only" in message


def test_names_that_engines_tell_apart_are_not_refused() -> None:
    assert checked({"Maße": [1], "Masse": [2]}).customer_columns == ["Maße", "Masse"]


def test_no_name_of_another_tool_is_one_of_ours_or_of_the_results() -> None:
    others = [name for _, names in OTHERS.values() for name in names]
    same = [name for names in SAME.values() for name in names]
    assert len({*others, *same, *OURS}) == len(others) + len(same) + len(OURS)
    assert {*others, *same} & set(RESERVED) == {"image"}


@pytest.fixture
def order(tmp_path: Path) -> list[str]:
    (tmp_path / "m.csv").write_text(
        "custom_id,prompt,Width,height,steps,size\na,a mug,0,64,2,M\n;\n".replace(";", ",,,,,")
    )
    return ["render", str(tmp_path / "m.csv"), "--out", str(tmp_path / "out")]


NOTES = [
    "“m.csv” has 1 row of nothing but separators (2); they are skipped and not counted.",
    "Column “Width” is read as width.",
]


def test_a_dry_run_tells_of_them(order: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*order, "--dry-run"]) == 2
    said = capsys.readouterr().out
    assert all(note in said for note in NOTES)
    assert main([*order, "--dry-run", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["notes"] == NOTES


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["words", "JSON"])
def test_a_render_tells_of_them_first(order: list[str], options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*order, *options]) == 1
    assert capsys.readouterr().err.splitlines()[:2] == NOTES
