"""What a publication never does: change what somebody else put there, publish what is damaged, keep in public what was
withdrawn."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.s3_server import S3Server
from pressrun.cluster.store.folder_store import FolderStore
from pressrun.cluster.store.lease import Lease
from pressrun.cluster.store.s3_store import S3Store
from pressrun.cluster.store.store import Store
from pressrun.jobs.cli.command import main
from pressrun.jobs.delivery.publish_target import PublishedPlace
from pressrun.jobs.delivery.publishing import _Publication, publish
from pressrun.jobs.delivery.records_place import beside, read_pointer
from pressrun.jobs.delivery.undo import undo
from pressrun.pipeline.errors import JobError
from tests.jobs.delivery.test_publish import base, counts, forget_locks, killed_before, records_of, standing
from tests.jobs.killed import Killed
from tests.jobs.night_jobs import make_night
from tests.opening import open_store, stores

__all__ = ["base", "killed_before"]  # fixtures

ONE = {"mug": b"mug 1", "chair": b"chair 1", "lamp": b"lamp 1"}
TWO = {"mug": b"mug 2", "chair": b"chair 2", "sofa": b"sofa 2"}


CutOff = Callable[[int], tuple[Store, str]]


@pytest.fixture
def cut_off(base: str, monkeypatch: pytest.MonkeyPatch) -> CutOff:
    """A place with the first night, where the publication of the second, which adds the sofa, replaces mug and chair
    and removes the lamp, was killed after so many of its changes; and the second night."""

    def cut(changes: int) -> tuple[Store, str]:
        shop, left = open_store(f"{base}/shop/images"), [changes]
        publish(stores(), make_night(f"{base}/2026-11-20", ONE).uri, shop.uri)
        second = make_night(f"{base}/2026-11-21", TWO)
        real = _Publication._act

        def act(self: _Publication, row: dict[str, Any]) -> str | None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real(self, row)

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr("pressrun.jobs.delivery.publishing._THREADS", 1)
            patch.setattr(_Publication, "_act", act)
            publish(stores(), second.uri, shop.uri, remove=True)
        forget_locks(records_of(shop.uri))
        now = standing(shop.uri)
        assert sum(now.get(f"{name}.png") != ONE.get(name) for name in {*ONE, *TWO}) == changes
        return shop, second.uri

    return cut


def test_a_removal_that_was_planned_spares_what_somebody_put_there_since(
    cut_off: CutOff,
) -> None:
    shop, second = cut_off(1)
    shop.put("lamp.png", b"a new lamp, by hand")
    done = publish(stores(), second, shop.uri, remove=True)
    assert done.left == ("lamp.png",)
    assert standing(shop.uri) == {
        "mug.png": b"mug 2",
        "chair.png": b"chair 2",
        "sofa.png": b"sofa 2",
        "lamp.png": b"a new lamp, by hand",
    }
    undo(stores(), done.undo)
    assert shop.get("lamp.png") == b"a new lamp, by hand"


def test_a_replacement_by_hand_is_neither_overwritten_on_resume_nor_taken_for_ours(
    cut_off: CutOff,
) -> None:
    shop, second = cut_off(1)
    shop.put("mug.png", b"by hand")
    shop.put("chair.png", b"by hand, too")
    done = publish(stores(), second, shop.uri, remove=True)
    assert set(done.left) == {"mug.png", "chair.png"}
    assert (shop.get("mug.png"), shop.get("chair.png")) == (b"by hand", b"by hand, too")
    again = publish(stores(), second, shop.uri, remove=True)
    assert (again.replaced, again.left) == (2, ()), "it is not recorded as ours, so the next one publishes it"
    undo(stores(), again.undo)
    assert (shop.get("mug.png"), shop.get("chair.png")) == (b"by hand", b"by hand, too")


@pytest.mark.parametrize("changes", [1, 2, 3])
def test_undoing_what_was_cut_off_spares_what_somebody_changed(changes: int, cut_off: CutOff) -> None:
    shop, _ = cut_off(changes)
    shop.put("mug.png", b"by hand")
    shop.put("lamp.png", b"by hand, too")
    records = records_of(shop.uri)
    [file] = [path for path in records.paths("undo/") if path.endswith("/undo.parquet") and "11-21" in path]
    undone = undo(stores(), f"{records.uri}/{file}")
    assert set(undone.left) == {"mug.png", "lamp.png"}
    there = {"mug.png": b"by hand", "lamp.png": b"by hand, too", "chair.png": b"chair 1"}
    assert standing(shop.uri) == there


def test_what_changes_between_the_plan_and_the_change_is_left_alone(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_store(f"{base}/shop/images")
    publish(stores(), make_night(f"{base}/2026-11-20", ONE).uri, shop.uri)
    second = make_night(f"{base}/2026-11-21", TWO)
    real = PublishedPlace.begin

    def begin(self: PublishedPlace, **what: object) -> None:
        real(self, **what)
        for name in ("mug.png", "lamp.png", "sofa.png"):
            shop.put(name, b"by hand")

    monkeypatch.setattr(PublishedPlace, "begin", begin)
    done = publish(stores(), second.uri, shop.uri, remove=True)
    assert set(done.left) == {"mug.png", "lamp.png", "sofa.png"} and done.replaced == 1
    assert standing(shop.uri) == {name: b"by hand" for name in done.left} | {"chair.png": b"chair 2"}


def test_what_changes_before_it_is_copied_for_undoing_is_left_alone(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_store(f"{base}/shop/images")
    publish(stores(), make_night(f"{base}/2026-11-20", ONE).uri, shop.uri)
    second = make_night(f"{base}/2026-11-21", TWO)
    real = PublishedPlace.next_undo

    def next_undo(self: PublishedPlace, job: str) -> str:
        shop.put("mug.png", b"by hand")
        return real(self, job)

    monkeypatch.setattr(PublishedPlace, "next_undo", next_undo)
    assert publish(stores(), second.uri, shop.uri).left == ("mug.png",)
    assert shop.get("mug.png") == b"by hand"


def test_records_are_of_one_place_and_refused_for_another(base: str, killed_before: Callable[[int], None]) -> None:
    night = make_night(f"{base}/2026-11-20", ONE)
    publish(stores(), night.uri, f"{base}/one/images", records=f"{base}/records")
    other = open_store(f"{base}/other/images")
    other.put("mug.png", b"mug 1")
    with pytest.raises(JobError, match=r"has the records of .*one/images, not of .*other/images"):
        publish(stores(), make_night(f"{base}/2026-11-21", {}).uri, other.uri, records=f"{base}/records", remove=True)
    assert standing(other.uri) == {"mug.png": b"mug 1"}
    with pytest.raises(JobError, match=r"lie at .*/records; leave `records` out"):
        publish(stores(), night.uri, f"{base}/one/images", records=f"{base}/elsewhere")


def test_an_interrupted_publication_does_not_go_on_in_another_place(
    base: str, killed_before: Callable[[int], None]
) -> None:
    first = make_night(f"{base}/2026-11-20", ONE)
    publish(stores(), first.uri, f"{base}/one/images", records=f"{base}/records")
    publish(stores(), first.uri, f"{base}/other/images")
    killed_before(9)
    with pytest.raises(Killed):
        publish(stores(), make_night(f"{base}/2026-11-21", TWO).uri, f"{base}/one/images", remove=True)
    killed_before(-1)
    before = standing(f"{base}/other/images")
    with pytest.raises(JobError, match="leave `records` out"):
        publish(stores(), f"{base}/2026-11-21", f"{base}/other/images", records=f"{base}/records", remove=True)
    assert standing(f"{base}/other/images") == before


def test_a_place_behind_a_link_is_what_it_is(tmp_path: Path) -> None:
    old = make_night(f"{tmp_path}/nights/2026-11-19", {"mug": b"mug 0"})
    night = make_night(f"{tmp_path}/nights/2026-11-20", ONE)
    (tmp_path / "www").mkdir()
    (tmp_path / "www/images").symlink_to(tmp_path / "nights/2026-11-19/images")
    (tmp_path / "www/job").symlink_to(tmp_path / "nights/2026-11-19")
    for place in ("www/images", "www/images/new", "www/job", "www/job/images"):
        with pytest.raises(JobError, match="2026-11-19 is the folder of a job, whose pictures nothing may replace"):
            publish(stores(), night.uri, f"{tmp_path}/{place}")
    assert old.get("images/mug.png") == b"mug 0"
    (tmp_path / "pictures").mkdir()
    (tmp_path / "www/cdn").symlink_to(tmp_path / "pictures")
    (tmp_path / "today").symlink_to(tmp_path / "nights")
    publish(stores(), f"{tmp_path}/today/2026-11-20", f"{tmp_path}/www/cdn")
    assert counts(publish(stores(), night.uri, f"{tmp_path}/pictures")) == (0, 0, 0, 3), "one place has one record"
    assert len([*(tmp_path / "nights/.published").iterdir()]) == 1


def test_two_names_of_one_place_have_one_lock(tmp_path: Path) -> None:
    night = make_night(f"{tmp_path}/nights/2026-11-20", ONE)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "cdn").symlink_to(tmp_path / "pictures")
    publish(stores(), night.uri, f"{tmp_path}/cdn")
    with Lease(records_of(f"{tmp_path}/pictures"), "lock", "Something is published", beat_sec=0.2):
        with pytest.raises(JobError, match="Something is published just now"):
            publish(stores(), night.uri, f"{tmp_path}/pictures")


def test_nothing_is_changed_behind_a_link_in_a_place(tmp_path: Path) -> None:
    dam = tmp_path / "dam"
    dam.mkdir()
    for name in ("mug.png", "lamp.png"):
        (dam / name).write_bytes(b"an original")
    shop = open_store(f"{tmp_path}/shop")
    first = make_night(f"{tmp_path}/2026-11-20", ONE, name="{season}/{custom_id}", season=["fall"] * 3)
    publish(stores(), first.uri, shop.uri)
    shutil.rmtree(tmp_path / "shop/fall")
    (tmp_path / "shop/fall").symlink_to(dam)
    second = make_night(f"{tmp_path}/2026-11-21", {"mug": b"mug 2"}, name="{season}/{custom_id}", season=["fall"])
    done = publish(stores(), second.uri, shop.uri, remove=True)
    assert done.left == ("fall/mug.png",)
    assert {path.name: path.read_bytes() for path in dam.iterdir()} == dict.fromkeys(
        ("mug.png", "lamp.png"), b"an original"
    )


_STOPPED = """
import os, sys, time
from pressrun.cluster.store.lease import Lease
from pressrun.cluster.store.opening import Stores
from pressrun.jobs.delivery import publishing
from pressrun.jobs.delivery.publish_target import PublishedPlace

real = PublishedPlace.begin
def begin(self, **what):
    real(self, **what)
    print("begun", flush=True)
    time.sleep(1.0)
PublishedPlace.begin = begin
Lease.__init__.__kwdefaults__["beat_sec"] = 0.3
publishing._THREADS = 1
publishing.publish(Stores.of(os.environ), sys.argv[1], sys.argv[2], remove=True)
"""


def test_a_publisher_that_was_stopped_while_another_took_over_changes_nothing_more(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = open_store(f"{base}/shop/images")
    publish(stores(), make_night(f"{base}/2026-11-20", ONE).uri, shop.uri)
    second, third = make_night(f"{base}/2026-11-21", TWO), make_night(f"{base}/2026-11-22", {"mug": b"mug 3"})
    command = [sys.executable, "-c", _STOPPED, second.uri, shop.uri]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr("pressrun.cluster.store.lease.this_host", lambda: "another machine")
        real = Lease.__init__

        def impatient(self: Lease, *arguments: object, **named: object) -> None:
            real(self, *arguments, **{**named, "ttl_sec": 2.0})  # type: ignore[arg-type]

        monkeypatch.setattr(Lease, "__init__", impatient)
        publish(stores(), third.uri, shop.uri, remove=True)
        after, record = standing(shop.uri), records_of(shop.uri).get("published.parquet")
        assert after == {"mug.png": b"mug 3"}
        process.send_signal(signal.SIGCONT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode != 0 and "another one took over" in errors
    assert standing(shop.uri) == after
    assert records_of(shop.uri).get("published.parquet") == record
    assert records_of(shop.uri).head("pending.json") is None
    assert counts(publish(stores(), third.uri, shop.uri)) == (0, 0, 0, 1)


def test_every_change_of_a_publication_is_fenced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_store(f"{tmp_path}/shop/images")
    publish(stores(), make_night(f"{tmp_path}/2026-11-20", ONE).uri, shop.uri)
    second = make_night(f"{tmp_path}/2026-11-21", TWO)
    monkeypatch.setattr("pressrun.jobs.delivery.publishing._THREADS", 1)
    checks = [0]

    def changing(real: Callable[..., object]) -> Callable[..., object]:
        def change(self: FolderStore, path: str, *arguments: object, **named: object) -> object:
            if not path.startswith("lock/"):
                before = checks[0]
                done = real(self, path, *arguments, **named)
                assert checks[0] > before or unfenced_before[0] < checks[0], f"{path} is changed without a look"
                unfenced_before[0] = checks[0]
                return done
            return real(self, path, *arguments, **named)

        return change

    def check(self: Lease) -> None:
        checks[0] += 1

    unfenced_before = [0]
    done = PublishedPlace.begin_alone

    def begin_alone(self: PublishedPlace, fence: Callable[[], None]) -> None:
        done(self, fence)
        for name in ("put", "delete"):
            monkeypatch.setattr(FolderStore, name, changing(getattr(FolderStore, name)))

    monkeypatch.setattr(Lease, "check", check)
    monkeypatch.setattr(PublishedPlace, "begin_alone", begin_alone)
    assert counts(publish(stores(), second.uri, shop.uri, remove=True)) == (1, 2, 1, 0)
    assert checks[0] >= 12


@pytest.mark.parametrize("data", [b"", b"mug 2, cut off", b"gum 2"], ids=["empty", "longer", "as long"])
def test_a_damaged_picture_is_not_published(data: bytes, base: str) -> None:
    shop = open_store(f"{base}/shop/images")
    publish(stores(), make_night(f"{base}/2026-11-20", ONE).uri, shop.uri)
    second = make_night(f"{base}/2026-11-21", TWO)
    second.put("images/mug.png", data)
    if base.startswith("s3://") and len(data) == 5:
        return  # the server copies: what has the same size is for `verify` to find
    done = publish(stores(), second.uri, shop.uri)
    assert (done.damaged, done.replaced, done.added) == (("mug.png",), 1, 1)
    assert shop.get("mug.png") == b"mug 1"
    second.put("images/mug.png", b"mug 2")
    assert (publish(stores(), second.uri, shop.uri).replaced, shop.get("mug.png")) == (1, b"mug 2")


def test_the_command_tells_what_is_damaged_and_left_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night = make_night(f"{tmp_path}/2026-11-20", ONE)
    night.put("images/mug.png", b"")
    (tmp_path / "images").mkdir()
    assert main(["publish", night.uri, "--to", f"{tmp_path}/images"]) == 1
    assert "1 pictures of the job have other bytes than were written and are not published: mug.png" in (
        capsys.readouterr().out
    )


class Folding(FolderStore):
    """A folder whose names do not differ in case, as on macOS and Windows."""

    def _file(self, path: str) -> Path:
        file = self._root
        for part in path.split("/"):
            same = [one for one in file.iterdir() if one.name.casefold() == part.casefold()] if file.is_dir() else []
            file = same[0] if same else file / part
        return file


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name.lower(): path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_where_names_do_not_differ_in_case_a_strangers_picture_is_kept_for_undoing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = make_night(f"{tmp_path}/2026-11-20", {"mug": b"mug 1", "lamp": b"lamp 1"})
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "MUG.PNG").write_bytes(b"a stranger's")
    monkeypatch.setattr("pressrun.cluster.store.folder_store.FolderStore", Folding)
    done = publish(stores(), night.uri, str(shop))
    assert (done.added, done.replaced, done.foreign) == (1, 1, 1)
    assert counts(publish(stores(), night.uri, str(shop))) == (0, 0, 0, 2)
    undo(stores(), done.undo)
    assert {path.name.lower(): path.read_bytes() for path in shop.glob("*.*") if path.is_file()} == {
        "mug.png": b"a stranger's"
    }


def test_where_names_do_not_differ_in_case_a_renamed_picture_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    monkeypatch.setattr("pressrun.cluster.store.folder_store.FolderStore", Folding)
    publish(stores(), make_night(f"{tmp_path}/2026-11-20", {"Mug": b"mug 1", "lamp": b"lamp 1"}).uri, str(shop))
    publish(stores(), make_night(f"{tmp_path}/2026-11-21", {"mug": b"mug 2"}).uri, str(shop), remove=True)
    assert {path.name.lower(): path.read_bytes() for path in shop.glob("*.*") if path.is_file()} == {
        "mug.png": b"mug 2"
    }


def test_what_was_withdrawn_is_kept_where_nobody_serves(base: str) -> None:
    www = f"{base}/www"
    publish(stores(), make_night(f"{base}/nights/2026-11-20", ONE).uri, f"{www}/images")
    done = publish(stores(), make_night(f"{base}/nights/2026-11-21", TWO).uri, f"{www}/images", remove=True)
    assert done.undo.startswith(f"{base}/nights/.published/images-")
    served = standing(www)
    assert {path for path in served if not path.startswith("images/")} == {"images.pressrun/records.json"}
    assert not any(data in (b"lamp 1", b"mug 1", b"chair 1") for data in served.values())
    assert json.loads(served["images.pressrun/records.json"])["records"] == records_of(f"{www}/images").uri


def test_nothing_but_pictures_is_left_in_the_place(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    publish(stores(), make_night(f"{tmp_path}/nights/2026-11-20", {"mug": None}).uri, f"{tmp_path}/empty")
    publish(stores(), make_night(f"{tmp_path}/nights/2026-11-21", {"mug": b"mug 1"}).uri, f"{tmp_path}/images")
    found = {
        path.relative_to(tmp_path).as_posix() for name in ("empty", "images") for path in (tmp_path / name).rglob("*")
    }
    assert found == {"images/mug.png"} and (tmp_path / "empty").is_dir()


def test_jobs_from_elsewhere_find_the_same_records(base: str) -> None:
    publish(stores(), make_night(f"{base}/nights/2026-11-20", ONE).uri, f"{base}/images")
    assert counts(publish(stores(), make_night(f"{base}/trials/one", ONE).uri, f"{base}/images")) == (0, 0, 0, 3)


def beside_as_before(base: str, shop: str) -> Store:
    """Records as a version before 0.2 left them: beside the place, without a pointer."""
    records, old = records_of(shop), open_store(beside(shop))
    for path in [*records.paths()]:
        if path != "place.json":
            old.copy(records, path, path)
        records.delete(path)
    old.delete("records.json")
    return old


def test_records_that_lie_beside_the_place_are_moved_and_can_be_undone(base: str) -> None:
    shop = f"{base}/www/images"
    first, second = make_night(f"{base}/nights/2026-11-20", ONE), make_night(f"{base}/nights/2026-11-21", TWO)
    publish(stores(), first.uri, shop)
    done = publish(stores(), second.uri, shop, remove=True)
    old = beside_as_before(base, shop)
    assert counts(publish(stores(), second.uri, shop, dry_run=True)) == (0, 0, 0, 3), (
        "a dry run reads them where they are"
    )
    assert old.head("published.parquet") is not None
    assert counts(publish(stores(), second.uri, shop)) == (0, 0, 0, 3)
    assert [*old.paths()] == ["records.json"]
    named_then = done.undo.replace(records_of(shop).uri, old.uri)
    undo(stores(), named_then)
    assert standing(shop) == {f"{name}.png": data for name, data in ONE.items()}


def test_a_move_that_is_killed_anywhere_is_completed(
    base: str, killed_before: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(S3Store, "prepare", lambda self: None)
    first = make_night(f"{base}/nights/2026-11-20", ONE)
    second = make_night(f"{base}/nights/2026-11-21", {"mug": b"mug 2"})
    number = 0
    while True:
        shop = f"{base}/www-{number}/images"
        publish(stores(), first.uri, shop)
        done = publish(stores(), second.uri, shop)
        old = beside_as_before(base, shop)
        killed_before(number)
        try:
            publish(stores(), second.uri, shop)
        except Killed:
            killed_before(-1)
            for records in (old, open_store(read_pointer(stores(), old.uri) or old.uri)):
                forget_locks(records)
        else:
            break
        publish(stores(), second.uri, shop)
        assert [*old.paths()] == ["records.json"], number
        assert undo(stores(), done.undo.replace(records_of(shop).uri, old.uri)).restored == 1, number
        number += 1 if base.startswith("/") else 4
    killed_before(-1)
    assert number > 8


def test_public_records_are_warned_of(s3: S3Server, s3_bucket: str, tmp_path: Path) -> None:
    night = make_night(f"{s3_bucket}/nights/2026-11-20", ONE)
    assert publish(stores(), night.uri, f"{s3_bucket}/images").warnings == ()
    bucket = s3_bucket.removeprefix("s3://")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    client = boto3.client("s3", endpoint_url=s3.environment["AWS_ENDPOINT_URL_S3"])
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    deadline = time.monotonic() + 20
    while (
        not (warnings := publish(stores(), night.uri, f"{s3_bucket}/images").warnings) and time.monotonic() < deadline
    ):
        time.sleep(0.2)
    [warning] = warnings
    assert "Anybody can read" in warning and ".published/" in warning


def test_records_in_what_looks_like_a_website_are_warned_of(tmp_path: Path) -> None:
    night = make_night(f"{tmp_path}/www/nights/2026-11-20", ONE)
    (tmp_path / "www/robots.txt").write_text("")
    [warning] = publish(stores(), night.uri, f"{tmp_path}/www/images").warnings
    assert "is in what looks like a website" in warning


def test_where_no_pointer_can_be_written_the_records_must_be_named(tmp_path: Path) -> None:
    night = make_night(f"{tmp_path}/nights/2026-11-20", ONE)
    (tmp_path / "www").mkdir()
    (tmp_path / "www/images.pressrun").write_text("a file")
    with pytest.raises(JobError, match="give `records` URI, the same every time"):
        publish(stores(), night.uri, f"{tmp_path}/www/images")
    assert publish(stores(), night.uri, f"{tmp_path}/www/images", records=f"{tmp_path}/records").added == 3
    assert counts(publish(stores(), night.uri, f"{tmp_path}/www/images", records=f"{tmp_path}/records")) == (0, 0, 0, 3)


def test_a_publication_that_a_version_before_0_2_began_goes_on(tmp_path: Path) -> None:
    shop = f"{tmp_path}/www/images"
    first, second = make_night(f"{tmp_path}/nights/2026-11-20", ONE), make_night(f"{tmp_path}/nights/2026-11-21", TWO)
    publish(stores(), first.uri, shop)
    name = publish(stores(), second.uri, shop, remove=True).undo.split("/")[-2]
    old = beside_as_before(str(tmp_path), shop)
    actions = pq.ParquetFile(pa.BufferReader(old.get(f"undo/{name}/undo.parquet"))).read().drop_columns(["bytes"])
    sink = pa.BufferOutputStream()
    pq.write_table(actions, sink)
    old.put(f"undo/{name}/undo.parquet", sink.getvalue().to_pybytes())
    old.put("published.parquet", old.get(f"undo/{name}/published.parquet"))
    old.put("pending.json", json.dumps({"undo": name, "job": second.uri, "remove": True}).encode())
    open_store(shop).put("mug.png", b"by hand")
    done = publish(stores(), second.uri, shop, remove=True)
    assert (done.left, done.undo.split("/")[-2]) == (("mug.png",), name)
    assert standing(shop) == {"mug.png": b"by hand", "chair.png": b"chair 2", "sofa.png": b"sofa 2"}
