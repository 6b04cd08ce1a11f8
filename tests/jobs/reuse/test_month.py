"""A month of nights: whatever changes from one to the next, each is whole, and what is published is as if made afresh.

The pictures are real, by the real model and the real finisher; only Ray is left out of most of it, because starting it
thirty times takes minutes: `on Ray` is the same month as users run it.
"""

import functools
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from pressrun import JobSpec, render
from pressrun.cluster.protocol.unit import Item
from pressrun.jobs.audit.verify import verify
from pressrun.jobs.delivery.publishing import publish
from pressrun.jobs.delivery.retention import prune
from pressrun.jobs.run import driver
from pressrun.jobs.run.open_job import OpenJob
from pressrun.pipeline.families.flux2.renderer import Renderer
from pressrun.pipeline.models.catalogue import find_model, look_up
from tests.conftest import write_manifest
from tests.jobs.delivery.test_publish import standing
from tests.jobs.executor_here import HereExecutor
from tests.opening import open_store, read_uri, stores

NIGHTS = 30


@functools.cache
def renderer(model: str) -> Renderer:
    return Renderer.load(find_model(model), precision=find_model(model).precision, threads=1)


def drawn(job: OpenJob, item: Item) -> np.ndarray:
    """The real pixels of an item."""
    references = [read_uri(reference.uri) for reference in item.references]
    [picture] = renderer(job.spec.model).render([item.request], [references])
    return np.asarray(picture)


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(driver, "RayExecutor", lambda: HereExecutor(drawn))
    yield
    renderer.cache_clear()


class Shop:
    """A catalog that changes: rows come, go and are reworded, and reference pictures are replaced under their names."""

    def __init__(self, folder: Path, rows: int) -> None:
        self._folder, self._random = folder, random.Random(7)
        self.rows = [self._row(number) for number in range(rows)]
        self._next = rows
        self.pictures = 0
        self.replace_reference()

    def _row(self, number: int) -> dict[str, Any]:
        size = {"width": 16 * (1 + number % 2), "height": 16, "steps": 1}
        references = ["photo.png"] if number % 4 == 0 else []
        return {"custom_id": f"sku-{number}", "prompt": f"a red mug, no. {number}", "references": references, **size}

    def replace_reference(self) -> None:
        self.pictures += 1
        self._folder.mkdir(exist_ok=True)
        Image.new("RGB", (64, 64), (40 * self.pictures % 256, 90, 10)).save(self._folder / "photo.png")

    def next_night(self) -> int:
        """Change something; how many rows have to be rendered for it."""
        change = self._random.choice(["nothing", "add", "change", "remove", "reference", "all of it"])
        changed: set[str] = set()
        if change in ("add", "all of it"):
            self.rows.append(self._row(self._next))
            changed.add(self.rows[-1]["custom_id"])
            self._next += 1
        if change in ("change", "all of it"):
            row = self._random.choice(self.rows)
            row["prompt"] += " again"
            changed.add(row["custom_id"])
        if change in ("remove", "all of it") and len(self.rows) > 3:
            changed.discard(self.rows.pop(self._random.randrange(len(self.rows)))["custom_id"])
        if change in ("reference", "all of it"):
            self.replace_reference()
            changed |= {row["custom_id"] for row in self.rows if row["references"]}
        return len(changed)

    def manifest(self, name: str) -> str:
        photo = (self._folder / "photo.png").read_bytes()
        path = write_manifest(self._folder, self.rows, name)
        (self._folder / "photo.png").write_bytes(photo)
        return str(path)


def another_model(folder: Path) -> str:
    """The model after a little more training, as it were."""
    shutil.copytree(look_up("mini").path, folder)
    [weights] = (folder / "transformer").glob("*.safetensors")
    tensors = load_file(weights)
    name = sorted(tensors)[0]
    save_file({**tensors, name: tensors[name] * 1.25}, weights, metadata={"format": "pt"})
    (folder / "digests.json").unlink()
    return str(folder)


def month(place: str, tmp_path: Path, nights: int) -> None:
    shop = Shop(tmp_path / "in", 8)
    model, after = "mini", another_model(tmp_path / "mini-2")
    expected = len(shop.rows)
    for night in range(1, nights + 1):
        if night == nights // 2:
            model, expected = after, len(shop.rows)
        spec = JobSpec(shop.manifest(f"{night}.parquet"), f"{place}/nights/2026-11-{night:02}", model, since="latest")
        summary = render(spec)
        assert (summary.exit_code, summary.rendered) == (0, expected), (night, summary.changes)
        assert summary.cached == len(shop.rows) - expected
        publish(stores(), spec.out, f"{place}/images", remove=True)
        if night % 3 == 0:
            prune(stores(), f"{place}/nights", 2)
        for name in open_store(f"{place}/nights").level()[0]:
            store = open_store(f"{place}/nights/{name}")
            if store.head("job.json") is not None and name >= f"2026-11-{max(1, night - 1):02}":
                assert verify(store).discrepancies == (), (night, name)
        expected = shop.next_night() if night < nights else 0
    afresh = JobSpec(spec.manifest, str(tmp_path / "afresh"), model)
    assert render(afresh).rendered == len(shop.rows)
    assert standing(f"{place}/images") == {
        path[7:]: data for path, data in standing(afresh.out).items() if path[:7] == "images/"
    }
    for name in open_store(f"{place}/nights").level()[0]:
        store = open_store(f"{place}/nights/{name}")
        if store.head("job.json") is not None:
            assert verify(store).discrepancies == (), f"{name}, in the end"


@pytest.mark.parametrize("nights", [6, pytest.param(NIGHTS, marks=pytest.mark.slow)])
def test_nights_in_a_folder(nights: int, without_ray: None, tmp_path: Path) -> None:
    month(str(tmp_path), tmp_path, nights)


@pytest.mark.parametrize("nights", [3, pytest.param(NIGHTS, marks=pytest.mark.slow)])
def test_nights_in_a_bucket(nights: int, without_ray: None, s3_bucket: str, tmp_path: Path) -> None:
    month(s3_bucket, tmp_path, nights)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_month_of_nights_on_ray(tmp_path: Path) -> None:
    month(str(tmp_path), tmp_path, NIGHTS)
