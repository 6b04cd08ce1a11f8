"""Photos in a campaign: what rows name, what is not there, and what is said of prompts that number them."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pressrun.jobs.campaign.campaign import parse_campaign
from pressrun.jobs.campaign.variants import Variants
from pressrun.jobs.cli.command import main
from pressrun.jobs.manifest.manifest import normalise, read_manifest
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import find_model
from tests.opening import stores, write_uri

CAMPAIGN: dict[str, Any] = {
    "prompt": "the {product} of image 1 {scene}",
    "axes": {
        "product": [{"product": "mug", "sku": "M-1"}, {"product": "cup", "sku": "C-2"}],
        "season": [{"season": "spring", "scene": "in a meadow"}, {"season": "winter", "scene": "in the snow"}],
        "region": [{"region": "UK", "language": "en"}, {"region": "DE", "language": "de"}],
    },
    "columns": {"references": "photos/{sku}.png"},
}


def counted(folder: Path | str, **changes: Any) -> Variants:
    variants = Variants(parse_campaign(stores(), {**CAMPAIGN, **changes}, str(folder)))
    variants.count()
    return variants


def references(folder: Path | str, **changes: Any) -> list[list[str]]:
    """Those of the UK's and Germany's mug in spring and winter."""
    [table] = counted(folder, **changes).tables()
    return table["references"].to_pylist()[:4]


def problems(**changes: Any) -> list[str]:
    with pytest.raises(JobError) as error:
        counted("/campaign", **changes)
    return list(error.value.problems)


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        pytest.param("photos/{sku}.png", ["/campaign/photos/M-1.png"], id="a path"),
        pytest.param(["{sku}.png", "../scenes/x.png"], ["/campaign/M-1.png", "/scenes/x.png"], id="a list"),
        pytest.param("a/{sku}.png|b/{sku}.png", ["/campaign/a/M-1.png", "/campaign/b/M-1.png"], id="bars"),
        pytest.param("https://dam.example/{sku}?w=9", ["https://dam.example/M-1?w=9"], id="an address"),
        pytest.param([], [], id="none"),
    ],
)
def test_paths_of_pictures_are_meant_from_the_campaigns_folder(asked: Any, names: list[str]) -> None:
    assert references("/campaign", columns={"references": asked}, prompt="a mug") == [names] * 4


def test_a_campaign_in_a_bucket_names_pictures_beside_it() -> None:
    assert references("s3://shop/spring") == [["s3://shop/spring/photos/M-1.png"]] * 4


def test_pictures_may_differ_by_language_and_by_override() -> None:
    found = references(
        "/",
        columns={"references": {"en": "en/{sku}.png", "de": ["de/{sku}.png", "de.png"]}},
        override=[{"when": {"season": "winter", "region": "UK"}, "set": {"references": []}}],
    )
    assert found == [["/en/M-1.png"], ["/de/M-1.png", "/de.png"], [], ["/de/M-1.png", "/de.png"]]


def test_pictures_of_an_axis_may_be_overridden_too() -> None:
    seasons = [{"season": "spring", "references": ["a.png"]}, {"season": "winter", "references": []}]
    found = references(
        "/",
        prompt="a mug",
        columns={},
        axes={**CAMPAIGN["axes"], "season": seasons},
        override=[{"when": {"region": "DE"}, "set": {"references": "de.png"}}],
    )
    assert found == [["/a.png"], ["/de.png"], [], ["/de.png"]]


def test_an_empty_cell_of_a_picture_says_how_a_row_goes_without() -> None:
    products = [{"product": "mug", "sku": "M-1"}, {"product": "cup", "sku": None}]
    assert problems(axes={**CAMPAIGN["axes"], "product": products}) == [
        "references needs {sku}, which is empty for cup (4 rows); where there is to be no picture, give these rows "
        "[[override]] with references = []."
    ]


def test_addresses_that_are_none_are_refused_all_at_once() -> None:
    said = problems(columns={"references": ["C:\\{sku}.png", "ftp://{sku}"]})
    assert [said[0][:61], said[1][:27], len(said)] == [
        "references: The reference “C:\\M-1.png” is a path on a Windows",
        "references: “ftp://M-1” must"[:27],
        4,
    ]


def test_what_columns_refuse_says_what_to_write_instead() -> None:
    asked = {"image": "{sku}.png", "status": "x", "custom_id": "{sku}", "prompt": "a mug", "references": 5}
    assert problems(columns=asked) == [
        "columns.image is a column of the results, in which yours come back; for a reference picture write "
        'references = "{sku}.png", for anything else choose another name.',
        "columns.status is a column of the results, in which yours come back; choose another name, such as "
        "campaign_status.",
        "columns.custom_id is made of the values of all axes, so that no two rows are called alike: leave it out, and "
        "name pictures with `name`.",
        "columns.prompt stands by itself: write prompt = … at the top of the file, before [axes].",
        'columns.references must be a picture\'s path with columns in it, such as "photos/{sku}.png", or a list of '
        "them.",
    ]


def test_pictures_of_two_origins_are_joined_by_a_template() -> None:
    axes = {**CAMPAIGN["axes"], "scene": [{"scene": "x", "references": ["a.png"]}]}
    axes["season"] = [{"season": "spring", "references": ["b.png"]}]
    said = problems(axes=axes, columns={"references": "{sku}.png"}, prompt="a mug")
    how = 'say to photo and scene, and write references = ["{photo}", "{scene}"].'
    assert said == [
        f"axes.scene and axes.season both have a column “references”; rename both, {how}",
        f"columns.references: axes.season has a column of that name; rename that one, {how}",
    ]


def test_an_override_of_pictures_needs_what_all_other_rows_have() -> None:
    said = problems(columns={}, override=[{"when": {"season": "winter"}, "set": {"references": "snow.png"}}])
    assert said == [
        "override 1: references is no column to override; write references = [] in [columns], what all other rows have."
    ]


def written(folder: Path, text: str) -> Path:
    (folder / "c.toml").write_text(text)
    return folder / "c.toml"


PLAIN = (
    'prompt = "the {product} of image 1"\n[axes]\nproduct = ["mug", "cup", "hat"]\n'
    '[columns]\nreferences = "photos/{product}.png"\n'
)


def test_variants_tells_which_files_are_missing_and_a_dry_run_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("mug.png", "Hat.png"):
        (tmp_path / "photos" / name).write_bytes(b"")
    campaign = written(tmp_path, PLAIN)
    assert main(["variants", str(campaign), "--out", str(tmp_path / "m.parquet")]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"2 reference pictures are not there, and render would fail their rows: {tmp_path}/photos/cup.png (1 row), "
        f"{tmp_path}/photos/hat.png (1 row; but “Hat.png” does: write it so, capitals matter).",
        f"3 rows: {tmp_path}/m.parquet",
    ]
    assert main(["variants", str(campaign), "--dry-run", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["missing"] == [
        f"{tmp_path}/photos/{name}.png" for name in ("cup", "hat")
    ]


def test_objects_in_a_bucket_are_looked_for(s3_bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_uri(f"{s3_bucket}/campaign/c.toml", [PLAIN.encode()])
    for name in ("mug", "cup"):
        write_uri(f"{s3_bucket}/campaign/photos/{name}.png", [b"x"])
    assert main(["variants", f"{s3_bucket}/campaign/c.toml", "--out", str(tmp_path / "m.parquet")]) == 0
    assert (
        f"1 reference picture is not there, and render would fail their rows: {s3_bucket}/campaign/photos/hat.png"
        in (capsys.readouterr().out)
    )


def test_a_manifest_holds_wherever_it_is_written(tmp_path: Path) -> None:
    for folder in ("photos", "elsewhere"):
        (tmp_path / folder).mkdir()
    for name in ("mug", "cup", "hat"):
        (tmp_path / "photos" / f"{name}.png").write_bytes(b"")
    manifests = [tmp_path / "m.parquet", tmp_path / "elsewhere/m.parquet"]
    found = []
    for out in manifests:
        assert main(["variants", str(written(tmp_path, PLAIN)), "--out", str(out)]) == 0
        manifest = normalise(read_manifest(stores(), str(out)), find_model("mini"), str(out))
        found.append(manifest.table["references"].to_pylist())
    assert found == [[[f"{tmp_path}/photos/{name}.png"] for name in ("mug", "cup", "hat")]] * 2


def test_a_manifest_in_a_bucket_names_no_files_of_this_machine(
    tmp_path: Path, s3_bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = f"{s3_bucket}/m.parquet"
    assert main(["variants", str(written(tmp_path, PLAIN)), "--out", out]) == 2
    assert f"--out {out} lies in a bucket, whose manifests name no files of this machine" in capsys.readouterr().err


def test_variants_and_render_tell_of_numbered_pictures_that_are_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign = written(tmp_path, PLAIN.replace("image 1", "image 2").partition("[columns]")[0])
    assert main(["variants", str(campaign), "--out", str(tmp_path / "m.parquet")]) == 0
    note = (
        "3 prompts name a numbered picture that the row does not have, such as mug (“the mug of image 2”), which has "
        "no reference."
    )
    assert note in capsys.readouterr().out
    assert "references" not in pq.read_schema(tmp_path / "m.parquet").names
    assert main(["render", str(tmp_path / "m.parquet"), "--out", str(tmp_path / "out"), "--dry-run"]) == 0
    assert note in capsys.readouterr().out
