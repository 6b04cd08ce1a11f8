"""Finishing: a picture is stored once, under its name, with its record, in every format."""

import hashlib
import secrets
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from pressrun.cluster.actors.finisher import Finisher
from pressrun.cluster.actors.job_actor import JobActor
from pressrun.cluster.protocol.job_context import JobContext
from pressrun.cluster.protocol.picture_paths import replacement_path
from pressrun.cluster.protocol.signing import Signing
from pressrun.cluster.protocol.spec import Finishing
from pressrun.cluster.protocol.unit import Item, Outcome, Unit
from pressrun.cluster.store.folder_store import FolderStore
from pressrun.cluster.store.opening import Place, Stores
from pressrun.pipeline.checks.spec import CheckSpec
from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.finishing.codec import FORMATS
from pressrun.pipeline.finishing.credentials import Claim
from pressrun.pipeline.finishing.metadata import read_record
from pressrun.pipeline.finishing.renditions import Rendition
from pressrun.pipeline.finishing.spec import FinishingSpec
from pressrun.pipeline.request import RenderRequest
from tests.opening import open_store

PIXELS = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)


def item(custom_id: str = "mug 1 – größe", path: str = "images/a/mug.png") -> Item:
    request = RenderRequest(custom_id, "a red mug", 64, 48, 4, 1.0, 7)
    return Item(0, request, path, f"key of {custom_id}", "finish key")


def finishing(folder: Path, format: str = "png") -> Finishing:
    place = Place(str(folder))
    place.open().prepare()
    return Finishing(place, FinishingSpec(format), "mini", "f00d", "fp32", "Pressrun 0")


def test_a_next_seed_whose_pixels_are_kept_is_not_rendered_again(tmp_path: Path) -> None:
    sharp = CheckSpec("sharpness", "reseed", 0.5, 2)
    about = replace(
        finishing(tmp_path), spec=FinishingSpec("png", checks=(sharp,)), pixels=Place(str(tmp_path / "pixels"))
    )
    grey = np.full_like(PIXELS, 128)
    second = Finisher(about).finish(item(), grey, "cpu")
    assert isinstance(second, Item) and second.reseeds == 1
    third = Finisher(about).finish(second, grey, "cpu")
    assert isinstance(third, Item) and third.reseeds == 2
    good = Finisher(about).finish(third, PIXELS, "cpu")
    assert isinstance(good, Outcome) and good.status == "succeeded"
    (tmp_path / "images/a/mug.png").unlink()
    again = Finisher(about).finish(item(), grey, "cpu")
    assert isinstance(again, Outcome) and (again.seed, again.sha256) == (good.seed, good.sha256)


@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_carries_its_record_and_the_legal_mark(format: str, tmp_path: Path) -> None:
    path = f"images/a/mug.{format}"
    outcome = Finisher(finishing(tmp_path, format)).finish(item(path=path), PIXELS, "cpu")
    data = (tmp_path / path).read_bytes()
    record = read_record(data)
    assert record and (record.custom_id, record.seed, record.render_key) == ("mug 1 – größe", 7, item().render_key)
    assert b"digitalsourcetype/trainedAlgorithmicMedia" in data
    assert (outcome.status, outcome.bytes, outcome.width, outcome.height) == ("succeeded", len(data), 64, 48)


def test_nothing_but_pictures_stands_in_images(tmp_path: Path) -> None:
    Finisher(finishing(tmp_path)).finish(item(), PIXELS, "cpu")
    assert [entry.path for entry in open_store(str(tmp_path)).list()] == ["images/a/mug.png", "thumbs/a/mug.png.webp"]


def test_the_same_picture_again_is_a_success_and_leaves_the_first_in_place(tmp_path: Path) -> None:
    finisher = Finisher(finishing(tmp_path))
    first = finisher.finish(item(), PIXELS, "cpu")
    again = finisher.finish(item(), 255 - PIXELS, "cpu")  # as if made on another kind of device
    assert (again.status, again.sha256) == ("succeeded", first.sha256)


def test_a_picture_that_cannot_be_finished_through_a_bug_takes_none_with_it(tmp_path: Path) -> None:
    items = [item("a", "images/a.png"), item("b", "images/b.png"), item("c", "images/c.png")]
    unit = Unit(0, Shape(64, 48, 4, 1.0, 0, 8, False), tuple(items))
    report = JobActor(2).finish(
        JobContext("key", finishing(tmp_path)), unit, "cpu", [PIXELS, PIXELS.astype(float), PIXELS]
    )
    assert [outcome.error_code or outcome.status for outcome in report.outcomes] == [
        "succeeded",
        "internal_error",
        "succeeded",
    ]
    assert not (tmp_path / "images/b.png").exists()


def test_somebody_elses_picture_under_the_name_is_never_replaced(tmp_path: Path) -> None:
    finisher = Finisher(finishing(tmp_path))
    finisher.finish(item("other"), PIXELS, "cpu")
    before = (tmp_path / "images/a/mug.png").read_bytes()
    outcome = finisher.finish(item(), PIXELS, "cpu")
    assert (outcome.status, outcome.error_code) == ("failed", "name_taken")
    assert (tmp_path / "images/a/mug.png").read_bytes() == before


def test_equal_rows_make_equal_bytes(tmp_path: Path) -> None:
    places = (tmp_path / "one", tmp_path / "two")
    outcomes = [with_renditions(place).finish(item(), PIXELS, "cpu") for place in places]
    assert [Path(path).name for path in files(places[0])] == [
        "mug.png",
        "mug@hero.webp",
        "mug@thumb.jpg",
        "mug.png.webp",
    ]
    assert files(places[0]) == files(places[1])
    assert outcomes[0].sha256 == outcomes[1].sha256 and outcomes[0].renditions == outcomes[1].renditions


def files(folder: Path) -> dict[str, bytes]:
    """All that stands in a store, byte for byte."""
    store = open_store(str(folder))
    return {entry.path: store.get(entry.path) for entry in store.list()}


RENDITIONS = (Rendition("hero", 96, 32, format="webp"), Rendition("thumb", 16, 16, "pad", "jpeg", 70))


def with_renditions(folder: Path) -> Finisher:
    return Finisher(replace(finishing(folder), spec=FinishingSpec("png", None, RENDITIONS)))


def test_renditions_stand_beside_the_picture_each_with_a_record_of_its_own(tmp_path: Path) -> None:
    outcome = with_renditions(tmp_path).finish(item(), PIXELS, "cpu")
    assert [written.image for written in outcome.renditions] == ["images/a/mug@hero.webp", "images/a/mug@thumb.jpg"]
    for written in outcome.renditions:
        data = (tmp_path / written.image).read_bytes()
        record = read_record(data)
        assert record and record.is_of(outcome.custom_id, outcome.render_key, outcome.finish_key, written.name)
        assert (written.bytes, written.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert [(each.width, each.height) for each in outcome.renditions] == [(96, 32), (16, 16)]


def test_the_picture_is_the_commit_it_comes_after_its_renditions(tmp_path: Path) -> None:
    (tmp_path / "images/a").mkdir(parents=True)
    (tmp_path / "images/a/mug@thumb.jpg").write_bytes(b"somebody else's")
    outcome = with_renditions(tmp_path).finish(item(), PIXELS, "cpu")
    assert (outcome.status, outcome.error_code) == ("failed", "name_taken")
    assert not (tmp_path / "images/a/mug.png").exists()


def test_a_picture_finished_in_another_way_is_another_picture(tmp_path: Path) -> None:
    finisher = Finisher(finishing(tmp_path))
    assert finisher.finish(item(), PIXELS, "cpu").status == "succeeded"
    assert finisher.finish(replace(item(), finish_key="another"), PIXELS, "cpu").error_code == "name_taken"


class NeverTheSame:
    """Signs as C2PA does, in so far as no two signatures of a picture are the same."""

    def sign(self, data: bytes, claim: Claim) -> bytes:
        return data + secrets.token_bytes(8)


def test_two_that_replace_a_repetition_at_once_leave_the_picture_that_both_tell_of(tmp_path: Path) -> None:
    signing = cast(Signing, NeverTheSame())
    one, other = (Finisher(replace(finishing(tmp_path), signing=signing)) for _ in range(2))
    one.finish(item(), PIXELS, "cpu")
    again = replace(item(), render_key="key of the next seed", replaces=item().render_key)
    seen = one._store.get("images/a/mug.png")
    told: list[Outcome | Item] = []

    class Late(FolderStore):
        """Reads the repetition; before it can be replaced, somebody else has done so."""

        def get(self, path: str) -> bytes:
            if not told and path == "images/a/mug.png":
                told.append(other.finish(again, PIXELS, "cpu"))
                return seen
            return super().get(path)

    one._store = Late(tmp_path, Stores())
    told.append(one.finish(again, PIXELS, "cpu"))
    stands = hashlib.sha256((tmp_path / "images/a/mug.png").read_bytes()).hexdigest()
    assert [each.sha256 for each in told if isinstance(each, Outcome)] == [stands, stands] and stands != ""
    assert read_record((tmp_path / "images/a/mug.png").read_bytes()).render_key == again.render_key


def test_a_job_that_another_driver_closes_in_that_moment_keeps_the_replacement_that_it_has(tmp_path: Path) -> None:
    signing = cast(Signing, NeverTheSame())
    one, other = (Finisher(replace(finishing(tmp_path), signing=signing)) for _ in range(2))
    one.finish(item(), PIXELS, "cpu")
    seen = [one._store.get("images/a/mug.png")]
    again = replace(item(), render_key="key of the next seed", replaces=item().render_key)
    agreed = replacement_path(again, "images/a/mug.png")
    first = other.finish(again, PIXELS, "cpu")

    class Late(FolderStore):
        """Reads the repetition; before it reads what was agreed on, the job is closed."""

        def get(self, path: str) -> bytes:
            if path == "images/a/mug.png" and seen:
                return seen.pop()
            if path == agreed:
                self.delete(path)
            return super().get(path)

    one._store = Late(tmp_path, Stores())
    second = one.finish(again, PIXELS, "cpu")
    assert isinstance(first, Outcome) and isinstance(second, Outcome)
    assert first.sha256 == second.sha256 == hashlib.sha256((tmp_path / "images/a/mug.png").read_bytes()).hexdigest()
