"""The shipped campaign: what it promises, without rendering it."""

from pathlib import Path

import numpy as np
import pytest

from pressrun.jobs import examples
from pressrun.jobs.campaign.campaign import read_campaign
from pressrun.jobs.campaign.variants import Variants
from pressrun.pipeline.finishing.spec import read_finishing_spec
from pressrun.pipeline.overlay.copy_assets import with_assets
from pressrun.pipeline.overlay.copy_spec import CopySpec
from pressrun.pipeline.overlay.typesetting import Typesetter
from tests.conftest import ROOT
from tests.opening import stores

EXAMPLE = Path(examples.__file__).parent / "four_seasons"
"""Where it lies."""


@pytest.fixture(scope="module")
def variants() -> Variants:
    return Variants(read_campaign(stores(), str(EXAMPLE / "campaign.toml")))


@pytest.fixture(scope="module")
def style() -> CopySpec:
    copy = read_finishing_spec((EXAMPLE / "style.toml").read_text(), "png", "style.toml").copy
    assert copy
    return with_assets(copy, lambda name: (EXAMPLE / name).read_bytes())


def test_it_has_three_products_four_seasons_three_regions_and_three_sizes(variants: Variants) -> None:
    count = variants.count()
    assert count.axes == {"product": 3, "season": 4, "region": 3, "channel": 3}
    [table] = variants.tables()
    assert count.rows == table.num_rows == 108
    assert set(table["language"].to_pylist()) == {"en", "de", "ja"}
    assert len({(row["product"], row["seed"]) for row in table.select(["product", "seed"]).to_pylist()}) == 3
    assert all(None not in table[name].to_pylist() for name in ("headline", "price", "legal"))


def test_all_its_words_fit_whatever_is_behind_them(variants: Variants, style: CopySpec) -> None:
    setter = Typesetter(style)
    [table] = variants.tables()
    for row in table.to_pylist():
        blank = setter.enlarged(np.full((row["height"], row["width"], 3), 200, np.uint8))
        assert len(setter.placed(blank, {name: row[name] for name in setter.columns})) == 3


def test_the_readme_tells_of_it_in_ten_lines() -> None:
    section = (ROOT / "README.md").read_text().partition("## A campaign\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.strip()]
    assert len(lines) <= 10
    for word in ("pressrun variants", "pressrun render", "pressrun sheet", "pressrun bundle", "docs/matrix.jpg"):
        assert word in section
