"""Rules name an axis by its own name as well as by its columns."""

from typing import Any

import pytest

from pressrun.jobs.campaign.campaign import parse_campaign
from pressrun.jobs.campaign.variants import Variants
from pressrun.pipeline.errors import JobError
from tests.opening import stores

TABLE = "sku,colour\nmug-01,red\ncup-02,teal\n"


@pytest.fixture
def rows(tmp_path: Any) -> Any:
    """custom_ids and columns of a campaign whose axis `product` has the key `sku`."""

    def made(table: str = TABLE, **changes: Any) -> list[dict[str, Any]]:
        (tmp_path / "products.csv").write_text(table)
        found = {
            "prompt": "a {colour} mug",
            "axes": {"product": {"table": "products.csv", "key": "sku"}, "season": ["spring", "winter"]},
            "columns": {"claim": "New"},
            **changes,
        }
        [table] = Variants(parse_campaign(stores(), found, str(tmp_path))).tables()
        return table.to_pylist()

    return made


def test_include_and_exclude_name_an_axis_by_its_own_name(rows: Any) -> None:
    assert {row["sku"] for row in rows(include=[{"product": "mug-01"}])} == {"mug-01"}
    left = rows(exclude=[{"product": ["mug-01"], "season": "winter"}])
    assert [row["custom_id"] for row in left] == ["mug-01_spring", "cup-02_spring", "cup-02_winter"]


def test_an_override_is_about_an_axis_by_its_own_name(rows: Any) -> None:
    made = rows(override=[{"when": {"product": "cup-02"}, "set": {"claim": "Sold out soon"}}])
    assert [row["claim"] for row in made] == ["New", "New", "Sold out soon", "Sold out soon"]


def test_a_column_of_that_name_is_meant_before_the_key(rows: Any) -> None:
    table = "sku,colour,product\nmug-01,red,mug\ncup-02,teal,cup\nmug,blue,bowl\n"
    assert {row["sku"] for row in rows(table, include=[{"product": "mug"}])} == {"mug-01"}
    assert {row["sku"] for row in rows(table, include=[{"product": ["cup-02", "mug-01"]}])} == {"mug-01", "cup-02"}
    with pytest.raises(JobError) as error:
        rows(table, include=[{"product": ["mug", "cup-02"]}, {"product": "hat-3"}])
    assert list(error.value.problems) == [
        "include 1: there is no product “cup-02”; there are bowl, cup, mug.",
        "include 2: there is no product “hat-3”; there are bowl, cup, mug.",
    ]


def test_values_and_names_that_are_none_are_told_with_what_is_near(rows: Any) -> None:
    with pytest.raises(JobError) as error:
        rows(
            include=[{"product": "mug-1"}, {"produkt": "mug-01"}, {"product": "mug-01", "sku": "mug-01"}],
            prompt="a {product}",
        )
    assert list(error.value.problems) == [
        "include 1: there is no product “mug-1”; did you mean “mug-01”?",
        "include 2: “produkt” is no axis's column; did you mean “product”?",
        "include 3 names sku, which is sku, twice; keep one of them.",
        "prompt: “{product}” is an axis without a column of that name; write {sku}, its key.",
    ]


def test_settings_that_slipped_below_a_heading_are_told_where_they_belong(rows: Any) -> None:
    with pytest.raises(JobError) as error:
        rows(axes={"season": ["spring"], "prompt": "a mug", "seed_from": ["season"]})
    assert list(error.value.problems)[:2] == [
        f"axes.{name} is no axis: write {name} = … at the top of the file, before [axes]."
        for name in ("prompt", "seed_from")
    ]
