"""Publishing: only what changed, nothing ever missing, and a way back; in a folder and in a bucket."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pressrun.cluster.store.s3_store import S3Store
from pressrun.cluster.store.store import Store
from pressrun.jobs.cli.command import main
from pressrun.jobs.delivery.publishing import Published, publish
from pressrun.jobs.delivery.records_place import beside, read_pointer
from pressrun.jobs.delivery.undo import undo
from pressrun.pipeline.errors import JobError
from tests.conftest import Pressrun
from tests.jobs.killed import Killed, killing
from tests.jobs.night_jobs import make_night
from tests.opening import open_store, stores


@pytest.fixture(params=["folder", "s3"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "folder" else request.getfixturevalue("s3_bucket")


def standing(uri: str) -> dict[str, bytes]:
    store = open_store(uri)
    return {path: store.get(path) for path in store.paths()}


def records_of(shop: str) -> Store:
    """The records of a place, by its pointer."""
    return open_store(read_pointer(stores(), beside(shop)))


def counts(done: Published) -> tuple[int, int, int, int]:
    return done.added, done.replaced, done.removed, done.unchanged


def test_only_what_changed_is_published_and_undone(base: str) -> None:
    shop = f"{base}/shop/images"
    open_store(shop).put("logo.svg", b"not ours")
    open_store(shop).put("mug.png", b"from before Pressrun")
    first = make_night(f"{base}/2026-11-20", {"mug": b"mug 1", "chair": b"chair 1", "lamp": b"lamp 1", "sofa": None})
    plan = publish(stores(), first.uri, shop, dry_run=True)
    assert (counts(plan), plan.foreign, plan.not_ready) == ((2, 1, 0, 0), 1, 1)
    assert standing(shop) == {"logo.svg": b"not ours", "mug.png": b"from before Pressrun"}
    done = publish(stores(), first.uri, shop)
    one = {"logo.svg": b"not ours", "mug.png": b"mug 1", "chair.png": b"chair 1", "lamp.png": b"lamp 1"}
    assert counts(done) == (2, 1, 0, 0) and standing(shop) == one
    again = publish(stores(), first.uri, shop)
    assert (counts(again), again.undo) == ((0, 0, 0, 3), done.undo)

    kept = f"{first.uri}/images/chair.png"
    second = make_night(f"{base}/2026-11-21", {"mug": b"mug 2", "chair": kept, "sofa": b"sofa 2"})
    stays = publish(stores(), second.uri, shop)
    assert (counts(stays), stays.superfluous) == ((1, 1, 0, 1), 1)
    removing = publish(stores(), second.uri, shop, remove=True)
    assert counts(removing) == (0, 0, 1, 3)
    two = {"logo.svg": b"not ours", "mug.png": b"mug 2", "chair.png": b"chair 1", "sofa.png": b"sofa 2"}
    assert standing(shop) == two

    with pytest.raises(JobError, match=f"Later publications are undone first: {removing.undo}"):
        undo(stores(), done.undo)
    undo(stores(), removing.undo)
    assert standing(shop) == two | {"lamp.png": b"lamp 1"}
    assert (undo(stores(), stays.undo).restored, standing(shop)) == (1, one)
    assert counts(publish(stores(), first.uri, shop)) == (0, 0, 0, 3), "what was put back is known to be there"
    undo(stores(), done.undo)
    assert standing(shop) == {"logo.svg": b"not ours", "mug.png": b"from before Pressrun"}


def test_what_somebody_else_changed_is_published_again_and_left_alone_when_undone(base: str) -> None:
    shop = open_store(f"{base}/shop/images")
    night = make_night(f"{base}/2026-11-20", {"mug": b"mug 1", "chair": b"chair 1", "lamp": b"lamp 1"})
    publish(stores(), night.uri, shop.uri)
    shop.put("mug.png", b"vandalised")
    shop.delete("chair.png")
    done = publish(stores(), night.uri, shop.uri)
    assert counts(done) == (1, 1, 0, 1)
    shop.put("mug.png", b"vandalised again")
    assert undo(stores(), done.undo).left == ("mug.png",)
    assert standing(shop.uri) == {"mug.png": b"vandalised again", "lamp.png": b"lamp 1"}
    later = make_night(f"{base}/2026-11-21", {"chair": b"chair 1"})
    assert publish(stores(), later.uri, shop.uri, remove=True).removed == 1
    assert standing(shop.uri) == {"mug.png": b"vandalised again", "chair.png": b"chair 1"}


def test_rows_that_are_not_ready_keep_what_was_published_of_them(base: str) -> None:
    shop = f"{base}/shop/images"
    publish(stores(), make_night(f"{base}/2026-11-20", {"mug": b"mug 1", "lamp": b"lamp 1"}).uri, shop)
    done = publish(stores(), make_night(f"{base}/2026-11-21", {"mug": None, "lamp": b"lamp 2"}).uri, shop, remove=True)
    assert (counts(done), done.not_ready) == ((0, 1, 0, 0), 1)
    assert standing(shop) == {"mug.png": b"mug 1", "lamp.png": b"lamp 2"}


def test_a_renamed_picture_stands_under_both_names_until_the_old_one_is_removed(base: str) -> None:
    shop = f"{base}/shop/images"
    publish(
        stores(),
        make_night(f"{base}/2026-11-20", {"mug": b"mug 1"}, name="{custom_id}-{season}", season=["fall"]).uri,
        shop,
    )
    renamed = make_night(f"{base}/2026-11-21", {"mug": b"mug 1"}, name="{custom_id}-{season}", season=["winter"])
    assert publish(stores(), renamed.uri, shop).added == 1 and len(standing(shop)) == 2
    assert publish(stores(), renamed.uri, shop, remove=True).removed == 1
    assert standing(shop) == {"mug-winter.png": b"mug 1"}


def test_pictures_that_the_job_has_lost_are_told_and_the_old_ones_stay(base: str) -> None:
    shop = f"{base}/shop/images"
    publish(stores(), make_night(f"{base}/2026-11-20", {"mug": b"mug 1", "lamp": b"lamp 1"}).uri, shop)
    second = make_night(f"{base}/2026-11-21", {"mug": b"mug 2", "lamp": b"lamp 2"})
    second.delete("images/mug.png")
    done = publish(stores(), second.uri, shop)
    assert (done.missing, counts(done)) == (("mug.png",), (0, 1, 0, 0))
    assert standing(shop) == {"mug.png": b"mug 1", "lamp.png": b"lamp 2"}


def test_former_pictures_that_the_records_have_lost_are_told_and_hold_up_nothing(base: str) -> None:
    shop = f"{base}/shop/images"
    publish(stores(), make_night(f"{base}/2026-11-20", {"mug": b"mug 1", "lamp": b"lamp 1"}).uri, shop)
    done = publish(stores(), make_night(f"{base}/2026-11-21", {"mug": b"mug 2", "lamp": b"lamp 2"}).uri, shop)
    open_store(done.undo.rpartition("/")[0]).delete("images/mug.png")
    undone = undo(stores(), done.undo)
    assert (undone.restored, undone.lost) == (1, ("mug.png",))
    assert standing(shop) == {"mug.png": b"mug 2", "lamp.png": b"lamp 1"}
    assert counts(publish(stores(), f"{base}/2026-11-21", shop)) == (0, 2, 0, 0)


@pytest.mark.parametrize("place", ["", "/images", "/images/p0", "/images/a/b/c"])
def test_a_jobs_own_folder_is_no_place_to_publish_to(place: str, tmp_path: Path) -> None:
    first = make_night(f"{tmp_path}/2026-11-20", {"mug": b"mug 1"})
    second = make_night(f"{tmp_path}/2026-11-21", {"mug": b"mug 2"})
    with pytest.raises(JobError, match="2026-11-20 is the folder of a job, whose pictures nothing may replace"):
        publish(stores(), second.uri, first.uri + place)
    assert first.get("images/mug.png") == b"mug 1"


@pytest.mark.parametrize("records", ["", "/", "/records"])
def test_records_never_stand_in_the_served_place(records: str, base: str) -> None:
    night = make_night(f"{base}/2026-11-20", {"mug": b"mug 1"})
    with pytest.raises(JobError, match=r"`records` .* is in the place that is served"):
        publish(stores(), night.uri, f"{base}/images", records=f"{base}/images{records}")
    assert standing(f"{base}/images") == {}


def test_only_a_few_publications_can_be_undone(tmp_path: Path) -> None:
    for number in range(10):
        publish(
            stores(), make_night(f"{tmp_path}/night-{number}", {"mug": b"mug %d" % number}).uri, f"{tmp_path}/images"
        )
    kept = records_of(f"{tmp_path}/images")
    assert len({path.split("/")[1] for path in kept.paths("undo/")}) == 7


def test_between_kinds_of_places(s3_bucket: str, tmp_path: Path) -> None:
    night = make_night(f"{tmp_path}/2026-11-20", {"mug": b"mug 1"})
    publish(stores(), night.uri, f"{s3_bucket}/images", records=f"{tmp_path}/records")
    assert standing(f"{s3_bucket}/images") == {"mug.png": b"mug 1"}
    back = make_night(f"{s3_bucket}/2026-11-21", {"mug": b"mug 2"})
    done = publish(stores(), back.uri, f"{tmp_path}/images")
    assert standing(f"{tmp_path}/images") == {"mug.png": b"mug 2"}
    assert undo(stores(), done.undo).taken_away == 1


def test_a_whole_bucket_is_a_place_and_its_records_are_no_pictures(s3_bucket: str, tmp_path: Path) -> None:
    night = make_night(f"{tmp_path}/2026-11-20", {"mug": b"mug 1"})
    assert counts(publish(stores(), night.uri, s3_bucket)) == (1, 0, 0, 0)
    assert counts(publish(stores(), night.uri, s3_bucket)) == (0, 0, 0, 1)
    assert {path.split("/")[0] for path in standing(s3_bucket)} == {"mug.png", ".pressrun"}


def test_the_command_says_what_it_did_and_how_to_undo_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    night = make_night(f"{tmp_path}/2026-11-20", {"mug": b"mug 1", "lamp": None})
    assert main(["publish", night.uri, "--to", f"{tmp_path}/images"]) == 0
    said = capsys.readouterr().out
    assert "1 added, 0 replaced, 0 removed, 0 unchanged" in said and "1 rows have no picture" in said
    file = said.split("--undo ")[1].strip()
    assert main(["publish", "--undo", file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["taken_away"] == 1
    for wrong in (
        ["publish"],
        ["publish", night.uri],
        ["publish", night.uri, "--undo", file],
        ["publish", "--undo", file],
    ):
        assert main(wrong) == 2
        assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("after", [pytest.param(1, marks=pytest.mark.slow), 25])
def test_kill_9_leaves_the_place_whole_and_the_same_command_completes(
    after: int, base: str, pressrun: Pressrun
) -> None:
    shop = open_store(f"{base}/shop/images")
    old = {f"sku-{number}": b"old %d" % number for number in range(50)}
    new = {name: b"new of " + name.encode() for name in [*old, "sku-50", "sku-51"]}
    publish(stores(), make_night(f"{base}/2026-11-20", old).uri, shop.uri)
    second = make_night(f"{base}/2026-11-21", new)
    command = ("publish", second.uri, "--to", shop.uri, "--json")
    killed = pressrun.start(*command)
    deadline = time.monotonic() + 120
    while sum(data.startswith(b"new") for data in standing(shop.uri).values()) < after:
        assert killed.poll() is None and time.monotonic() < deadline, "it was too fast to be killed"
    killed.kill()
    killed.communicate()
    now = standing(shop.uri)
    assert {f"{name}.png" for name in old} <= now.keys()
    assert all(data in (old.get(name[:-4]), new.get(name[:-4])) for name, data in now.items())
    ended = pressrun(*command)
    assert ended.code == 0, ended.err
    assert standing(shop.uri) == {f"{name}.png": data for name, data in new.items()}
    undo(stores(), ended.json["undo"])
    assert standing(shop.uri) == {f"{name}.png": data for name, data in old.items()}


@pytest.fixture
def killed_before(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Ends the process, as it were, just before the write with the given number."""
    monkeypatch.setattr("pressrun.jobs.delivery.publishing._THREADS", 1)
    monkeypatch.setattr("pressrun.jobs.delivery.undo._THREADS", 1)
    return killing(monkeypatch)


def forget_locks(records: Store) -> None:
    """As if as much time had passed as a dead holder's lease lasts."""
    for path in list(records.paths("lock/")):
        records.delete(path)


@pytest.mark.parametrize("what", ["publish", "undo"])
def test_killed_before_any_write_the_place_is_whole_and_the_same_command_completes(
    what: str, base: str, killed_before: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(S3Store, "prepare", lambda self: None)  # a second each, and not what is shown here
    one = {"mug": b"mug 1", "chair": b"chair 1", "lamp": b"lamp 1"}
    two = {"mug": b"mug 2", "chair": b"chair 1", "sofa": b"sofa 2"}
    first, second = make_night(f"{base}/2026-11-20", one), make_night(f"{base}/2026-11-21", two)
    before = {f"{name}.png": data for name, data in one.items()} | {"logo.svg": b"not ours"}
    after = {f"{name}.png": data for name, data in two.items()} | {"logo.svg": b"not ours"}
    number = 0
    while True:
        shop = f"{base}/{what}-{number}/images"
        open_store(shop).put("logo.svg", b"not ours")
        publish(stores(), first.uri, shop)
        done = publish(stores(), second.uri, shop, remove=True) if what == "undo" else None

        def act(shop: str = shop, done: Published | None = done) -> Published | object:
            return undo(stores(), done.undo) if done else publish(stores(), second.uri, shop, remove=True)

        killed_before(number)
        try:
            act()
        except Killed:
            killed_before(-1)
        else:
            break
        now = standing(shop)
        assert {"mug.png", "chair.png", "logo.svg"} <= now.keys(), "something is missing"
        assert all(data in (before.get(name), after.get(name)) for name, data in now.items())
        forget_locks(records_of(shop))
        if what == "publish":
            again = act()
            assert standing(shop) == after, number
            assert isinstance(again, Published) and again.undo
            undo(stores(), again.undo)
        elif now != before or records_of(shop).head("pending.json") is not None:
            act()
        assert standing(shop) == before, number
        forget_locks(records_of(shop))
        assert counts(publish(stores(), first.uri, shop)) == (0, 0, 0, 3), number
        number += 1 if base.startswith("/") else 3
    killed_before(-1)
    assert number > 8
