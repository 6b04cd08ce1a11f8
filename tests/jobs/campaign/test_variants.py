"""A campaign becomes a manifest: what its rows are, and that what is wrong with it is said before any is made."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pressrun.jobs.campaign.campaign import parse_campaign, read_campaign
from pressrun.jobs.campaign.variants import Variants
from pressrun.jobs.cli.command import main
from pressrun.jobs.manifest.manifest import normalise, read_manifest
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import find_model
from pressrun.pipeline.request import derived_seed
from tests.opening import read_uri, stores, write_uri

PRODUCTS = "product;colour;product_de;sku\nmug;red;Tasse;001\nred bottle;teal;Flasche;002\n"
CAMPAIGN: dict[str, Any] = {
    "seed_from": ["product"],
    "prompt": {"en": "a {colour} {product}, {season}", "de": "{product_de} im {season}"},
    "axes": {
        "product": {"table": "products.csv"},
        "season": ["spring", "summer"],
        "region": [{"region": "UK", "language": "en"}, {"region": "DE", "language": "de"}],
        "size": [{"size": "story", "width": 96, "height": 160}, {"size": "shop", "width": 128, "height": 128}],
    },
    "columns": {"headline": {"en": "Hello {season}", "de": "Hallo {season}"}, "steps": 4},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "products.csv").write_text(PRODUCTS)
    return tmp_path


def rows(folder: Path, **changes: Any) -> list[dict[str, Any]]:
    variants = Variants(parse_campaign(stores(), {**CAMPAIGN, **changes}, str(folder)))
    variants.count()
    return [row for table in variants.tables() for row in table.to_pylist()]


def problems(folder: Path, **changes: Any) -> list[str]:
    with pytest.raises(JobError) as error:
        rows(folder, **changes)
    return list(error.value.problems)


def axes(**changes: Any) -> dict[str, Any]:
    return {**CAMPAIGN["axes"], **changes}


def test_every_combination_is_a_row_with_its_axes_as_columns(folder: Path) -> None:
    made = rows(folder)
    assert len(made) == 2 * 2 * 2 * 2
    assert made[3] == {
        "custom_id": "mug_spring_DE_shop", "prompt": "Tasse im spring", "width": 128, "height": 128, "steps": 4,
        "seed": derived_seed("mug"), "product": "mug", "colour": "red", "product_de": "Tasse", "sku": "001",
        "season": "spring", "region": "DE", "language": "de", "size": "shop", "headline": "Hallo spring",
    }  # fmt: skip
    assert len({row["custom_id"] for row in made}) == 16
    assert made[8]["custom_id"] == "red-bottle_spring_UK_story"


def test_products_may_be_parquet_or_json_lines_with_a_key_of_their_own(folder: Path) -> None:
    products = [
        {"sku": "M 1", "product": "mug", "colour": "red"},
        {"sku": "B-2", "product": "bottle", "colour": "teal"},
    ]
    pq.write_table(pa.Table.from_pylist(products), folder / "products.parquet")
    (folder / "products.jsonl").write_text("".join(json.dumps(product) + "\n" for product in products))
    made = [
        rows(
            folder,
            prompt="a {colour} {product}",
            columns={},
            axes={"product": {"table": name, "key": "sku"}, "take": [1, 2]},
        )
        for name in ("products.parquet", "products.jsonl")
    ]
    assert made[0] == made[1]
    assert [row["custom_id"] for row in made[0]] == ["M-1_1", "M-1_2", "B-2_1", "B-2_2"]


def test_the_seed_depends_on_the_axes_that_it_is_made_from_and_on_no_other(folder: Path) -> None:
    assert len({(row["product"], row["seed"]) for row in rows(folder)}) == 2
    by_two = rows(folder, seed_from=["product", "season"])
    assert len({(row["product"], row["season"], row["seed"]) for row in by_two}) == 4
    assert "seed" not in rows(folder, seed_from=[])[0]


def test_rules_keep_and_drop_combinations(folder: Path) -> None:
    left = rows(
        folder,
        include=[{"product": "mug"}, {"size": "shop", "colour": ["teal"]}],
        exclude=[{"season": "spring", "region": ["DE", "UK"], "product": "mug"}],
    )
    assert [row["custom_id"] for row in left] == [
        *(f"mug_summer_{region}_{size}" for region in ("UK", "DE") for size in ("story", "shop")),
        *(f"red-bottle_{season}_{region}_shop" for season in ("spring", "summer") for region in ("UK", "DE")),
    ]


def test_overrides_change_some_combinations_the_last_one_most(folder: Path) -> None:
    made = rows(
        folder,
        override=[
            {"when": {"season": "summer"}, "set": {"headline": "Sun, {colour}", "steps": 12, "width": 64}},
            {"when": {"season": "summer", "region": "DE"}, "set": {"headline": {"de": "Sonne"}}},
        ],
    )
    seen = {(row["season"], row["region"], row["headline"], row["steps"]) for row in made if row["product"] == "mug"}
    assert seen == {
        ("spring", "UK", "Hello spring", 4),
        ("spring", "DE", "Hallo spring", 4),
        ("summer", "UK", "Sun, red", 12),
        ("summer", "DE", "Sonne", 12),
    }
    assert {row["width"] for row in made if row["season"] == "summer"} == {64}


def test_what_is_wrong_is_said_all_at_once(folder: Path) -> None:
    said = problems(
        folder,
        seed_from=["produkt"],
        prompt={"en": "a {colr} {product}", "de": "{"},
        axes=axes(market=[{"market": "x", "width": 1}]),
        include=[{"regoin": "UK"}],
        exclude=[{"region": "FR"}],
        override=[{"when": {"season": "spring"}, "set": {"steps": "many", "region": "UK", "claim": "New"}}],
        overide=[],
    )
    assert said == [
        "The campaign's “overide” is no setting; did you mean “override”?",
        "axes.market and axes.size both have a column “width”; rename one.",
        "prompt: the template “{” has a brace without its partner; write {column}.",
        "include 1: “regoin” is no axis's column; did you mean “region”?",
        "exclude 1: there is no region “FR”; there are DE, UK.",
        "override 1: steps is a number elsewhere; write a number.",
        "override 1: region tells the axis's rows apart and cannot be overridden.",
        "override 1: claim is no column to override; there are colour, headline, height, language, market, product, "
        "product_de, region, season, size, sku, steps, width.",
        "seed_from: “produkt” is no axis; did you mean “product”?",
    ]


def test_every_axis_that_cannot_be_read_is_named(folder: Path) -> None:
    said = problems(folder, axes=axes(season=[], channel={"tabel": "x.csv"}, market=["a", 1], size={"table": "no.csv"}))
    assert said == [
        "axes.season is empty, so there would be no picture at all.",
        f"axes.size: There is no manifest at “{folder}/no.csv”.",
        'axes.channel must be a list, or a table of its own: { table = "file.csv", key = "sku" }.',
        "axes.market: “market” mixes kinds of values; write them all alike.",
    ]


def test_a_text_that_cannot_be_made_is_found_before_anything_is_written(folder: Path) -> None:
    (folder / "products.csv").write_text(PRODUCTS.replace("Flasche", ""))
    regions = [*CAMPAIGN["axes"]["region"], {"region": "FR", "language": "fr"}]
    said = problems(folder, axes=axes(region=regions))
    assert said == [
        "prompt needs {product_de}, which is empty for red bottle (4 rows).",
        "prompt has no text for the language fr (8 rows), only for en, de.",
        "headline has no text for the language fr (8 rows), only for en, de.",
    ]
    left = {"axes": axes(region=regions), "exclude": [{"region": "FR"}, {"region": "DE", "product": "red bottle"}]}
    assert len(rows(folder, **left)) == 12, "what no row needs may be empty"


def test_values_that_a_custom_id_cannot_tell_apart_are_refused(folder: Path) -> None:
    [said] = problems(folder, axes=axes(season=["late spring", "Late-Spring", "summer"]), columns={})
    assert "cannot tell apart: “late spring” and “Late-Spring”" in said


@pytest.mark.parametrize("text", ["product;colour\n", ""])
def test_products_without_a_row_are_refused(folder: Path, text: str) -> None:
    (folder / "products.csv").write_text(text)
    assert any("axes.product" in problem for problem in problems(folder, prompt="a cup", columns={}))


def test_too_many_rows_are_counted_not_made(folder: Path) -> None:
    variants = Variants(parse_campaign(stores(), {**CAMPAIGN, "axes": axes(take=list(range(100_000)))}, str(folder)))
    with pytest.raises(JobError, match=r"2 product × .* × 100,000 take = 1,600,000 comb.*give `max_rows` 1600000\."):
        variants.count()
    with pytest.raises(JobError, match="leave none"):
        rows(folder, exclude=[{"product": ["mug", "red bottle"]}])


def test_seeds_are_not_made_before_the_rows_are_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pressrun.jobs.campaign.variants.derived_seed", lambda of: pytest.fail("a seed was made"))
    found = {**CAMPAIGN, "seed_from": ["product", "take"], "axes": axes(take=list(range(100_000)))}
    with pytest.raises(JobError, match="more than 1,000,000"):
        Variants(parse_campaign(stores(), found, str(folder))).count()


def test_rules_know_numbers_however_they_are_written(folder: Path) -> None:
    made = rows(folder, axes=axes(scale=[1.0, 2.5]), exclude=[{"scale": [1.0]}])
    assert {row["scale"] for row in made} == {2.5}


def test_numbers_that_are_none_of_ours_are_sentences(folder: Path) -> None:
    large = 10**20
    assert problems(folder, prompt=3, columns={"steps": large}, override=[]) == [
        "prompt is a number; write a text.",
        "columns.steps is a number that is too large.",
    ]
    assert problems(folder, axes=axes(take=[large], product={"table": "products.csv", "key": 5})) == [
        'axes.product must be a list, or a table of its own: { table = "file.csv", key = "sku" }.',
        "axes.take: “take” holds a number that is too large; write it as text.",
    ]


def test_render_takes_the_manifest_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "shots").mkdir()
    (folder / "shots/a.png").write_bytes(b"")
    (folder / "products.csv").write_text("product;references;width\nmug;shots/a.png;64\ncup;;128\n")
    (folder / "c.toml").write_text(
        'prompt = "a {product} {{in}} {season}"\n[axes]\nproduct = { table = "products.csv" }\nseason = ["spring"]\n'
    )
    assert main(["variants", str(folder / "c.toml"), "--out", str(folder / "m.parquet")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2 product × 1 season = 2 combinations.",
        f"2 rows: {folder}/m.parquet",
    ]
    manifest = normalise(
        read_manifest(stores(), str(folder / "m.parquet")), find_model("mini"), str(folder / "m.parquet")
    )
    assert manifest.bad.num_rows == 0
    assert manifest.table.select(["prompt", "width", "references"]).to_pylist() == [
        {"prompt": "a mug {in} spring", "width": 64, "references": [str(folder / "shots/a.png")]},
        {"prompt": "a cup {in} spring", "width": 128, "references": []},
    ]
    assert not (folder / ".tmp").exists()


def test_campaign_tables_and_manifest_may_lie_in_a_bucket(folder: Path, s3_bucket: str) -> None:
    write_uri(f"{s3_bucket}/campaign/products.csv", [PRODUCTS.encode()])
    write_uri(
        f"{s3_bucket}/campaign/c.toml",
        [b'prompt = "a {product}"\n[axes]\nproduct = { table = "products.csv" }\ntake = [1, 2]\n'],
    )
    assert read_campaign(stores(), f"{s3_bucket}/campaign/c.toml").combinations == 4
    assert main(["variants", f"{s3_bucket}/campaign/c.toml", "--out", f"{s3_bucket}/m.jsonl"]) == 0
    assert read_uri(f"{s3_bucket}/m.jsonl").count(b"\n") == 4


def test_the_same_campaign_gives_the_same_bytes_in_row_groups(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pressrun.jobs.campaign.combinations.CHUNK_ROWS", 5)
    (folder / "c.toml").write_text(
        'prompt = "a {product}"\n[axes]\nproduct = { table = "products.csv" }\ntake = [1, 2, 3, 4, 5, 6]\n'
    )
    for name in ("one.parquet", "two.parquet"):
        assert main(["variants", str(folder / "c.toml"), "--out", str(folder / name)]) == 0
    assert (folder / "one.parquet").read_bytes() == (folder / "two.parquet").read_bytes()
    assert pq.ParquetFile(folder / "one.parquet").num_row_groups == 3


def test_what_cannot_be_read_or_written_is_a_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.toml").write_text("prompt = \n")
    assert main(["variants", str(folder / "c.toml"), "--dry-run"]) == 2
    assert main(["variants", str(folder / "none.toml"), "--dry-run"]) == 2
    assert main(["variants", str(folder / "c.toml"), "--out", "m.csv"]) == 2
    assert main(["variants", str(folder / "c.toml")]) == 2
    (folder / "c.toml").write_text('prompt = "a"\n[axes]\nseason = ["spring"]\n')
    assert main(["variants", str(folder / "c.toml"), "--out", str(folder / "no/m.parquet")]) == 2
    said = capsys.readouterr().err
    for words in ("is no TOML", "There is no", "would be CSV", "Give --out FILE", "no folder"):
        assert words in said
