"""Pruning: old nights go, what later ones refer to stays, whatever ends it."""

import os
import shutil
import time
from pathlib import Path

import boto3
import pytest

from infra.s3_server import S3Server
from pressrun import JobSpec, render
from pressrun.cluster.store.folder_store import FolderStore
from pressrun.cluster.store.lease import Lease
from pressrun.cluster.store.s3_store import S3Store
from pressrun.jobs.cli.command import main
from pressrun.jobs.delivery.retention import _Pruning, prune
from pressrun.jobs.folder.job_file import find_job
from pressrun.jobs.folder.result_schema import read_results
from pressrun.jobs.folder.series import earlier_jobs, unpruned
from pressrun.jobs.run.forecast import forecast
from pressrun.pipeline.errors import JobError, StorageError
from tests.jobs.killed import Killed, killing
from tests.jobs.night_jobs import make_night
from tests.opening import open_store, stores


@pytest.fixture(params=["folder", "s3"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "folder" else request.getfixturevalue("s3_bucket") + "/nights"


@pytest.fixture
def nights(s3_bucket: str) -> str:
    """Three nights in a bucket: the mug is the first one's in all of them, the lamp the second one's in the third."""
    prefix = f"{s3_bucket}/nights"
    make_night(f"{prefix}/2026-11-18", {"mug": b"mug", "lamp": b"lamp 1"})
    mug = f"{prefix}/2026-11-18/images/mug.png"
    make_night(f"{prefix}/2026-11-19", {"mug": mug, "lamp": b"lamp 2"})
    make_night(f"{prefix}/2026-11-20", {"mug": mug, "lamp": f"{prefix}/2026-11-19/images/lamp.png"})
    return prefix


def stands(prefix: str) -> list[str]:
    return sorted(path for path in open_store(prefix).paths() if not path.startswith(".lock/") and "11-20" not in path)


LEFT = [
    *("2026-11-18/images/mug.png", "2026-11-18/pruned.json", "2026-11-18/thumbs/mug.png.webp"),
    *("2026-11-19/images/lamp.png", "2026-11-19/pruned.json", "2026-11-19/thumbs/lamp.png.webp"),
]


def test_pictures_that_later_nights_refer_to_stay_until_nobody_does(nights: str) -> None:
    plan = prune(stores(), nights, 1, dry_run=True)
    assert (plan.kept, plan.pruned) == (("2026-11-20",), ("2026-11-18", "2026-11-19"))
    assert len(stands(nights)) == 14
    done = prune(stores(), nights, 1)
    assert (done.pruned, done.removed, done.referred_to) == (plan.pruned, plan.removed, 2)
    assert stands(nights) == LEFT
    last = open_store(f"{nights}/2026-11-20")
    for uri in read_results(last, ("image",))["image"].to_pylist():
        assert open_store(nights).head(uri.removeprefix(f"{nights}/")) is not None
    make_night(f"{nights}/2026-11-21", {"mug": b"mug 4"})
    prune(stores(), nights, 1)
    assert not [path for path in open_store(nights).paths() if "2026-11-21" not in path and ".lock" not in path]


def test_pictures_that_a_job_without_a_date_refers_to_stay(nights: str) -> None:
    make_night(f"{nights}/trial", {"lamp": f"{nights}/2026-11-18/images/lamp.png"})
    assert prune(stores(), nights, 1).referred_to == 3
    assert open_store(nights).get("2026-11-18/images/lamp.png") == b"lamp 1"


def test_where_there_are_no_nights_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="There is no night under"):
        prune(stores(), str(tmp_path / "nihgts"), 1)
    assert not any(tmp_path.iterdir())


def test_what_is_left_of_a_pruned_night_is_no_job(nights: str, finished_job: Path, job_manifest: Path) -> None:
    prune(stores(), nights, 1)
    for command in ("status", "verify"):
        assert main([command, f"{nights}/2026-11-19"]) == 2
    with pytest.raises(JobError, match="was pruned"):
        forecast(JobSpec(str(job_manifest), f"{nights}/2026-11-19"))
    with pytest.raises(JobError, match="was pruned"):
        forecast(JobSpec(str(job_manifest), f"{nights}/2026-11-22", since=f"{nights}/2026-11-19"))
    plan = forecast(JobSpec(str(job_manifest), f"{nights}/2026-11-19-b", since="latest"))
    assert plan.changes.since == ""


def test_in_a_folder_old_nights_go_whole(finished_job: Path, job_manifest: Path, tmp_path: Path) -> None:
    for day in ("18", "19", "20"):
        since = str(finished_job) if day == "18" else "latest"
        assert render(JobSpec(str(job_manifest), f"{tmp_path}/2026-11-{day}", since=since)).rendered == 0
    (tmp_path / "2026-11-20/summary.json").unlink()
    assert prune(stores(), str(tmp_path), 2).pruned == ()
    assert prune(stores(), str(tmp_path), 1).pruned == ("2026-11-18",)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] != ".") == ["2026-11-19", "2026-11-20"]
    assert main(["verify", f"{tmp_path}/2026-11-19"]) == 0


def test_a_night_that_an_unfinished_one_keeps_from_stays(
    finished_job: Path, job_manifest: Path, tmp_path: Path
) -> None:
    first = f"{tmp_path}/2026-11-18"
    render(JobSpec(str(job_manifest), first, since=str(finished_job)))
    render(JobSpec(str(job_manifest), f"{tmp_path}/2026-11-19", since=first))
    render(JobSpec(str(job_manifest), f"{tmp_path}/2026-11-20", since=first, limit=2))
    assert prune(stores(), str(tmp_path), 1).kept == ("2026-11-18", "2026-11-19", "2026-11-20")


def test_nothing_is_pruned_while_a_night_is_rendered(tmp_path: Path) -> None:
    make_night(f"{tmp_path}/2026-11-18", {"mug": b"mug"})
    store = open_store(str(tmp_path))
    store.prepare()
    with Lease(store, ".lock", "A night is rendered", beat_sec=0.2):
        with pytest.raises(JobError, match="A night is rendered just now"):
            prune(stores(), str(tmp_path), 1)


def names(prefix: str) -> list[str]:
    return sorted({path.split("/")[0] for path in open_store(prefix).paths() if path[0] != "."})


def test_nights_go_by_their_date_whatever_its_form(base: str) -> None:
    for night in ("20260921", "2026-10-21", "20261119", "2026-11-20", "20261121"):
        make_night(f"{base}/{night}", {"mug": night.encode()})
    assert prune(stores(), base, 2, dry_run=True).pruned == ("20260921", "2026-10-21", "20261119")
    assert prune(stores(), base, 2).kept == ("2026-11-20", "20261121")
    assert names(base) == ["2026-11-20", "20261121"]


def test_nights_of_one_day_whose_names_do_not_tell_stay_together(base: str) -> None:
    for night in ("2026-11-19", "2026-11-20-eu", "2026-11-20-us"):
        make_night(f"{base}/{night}", {"mug": night.encode()})
    assert prune(stores(), base, 1).pruned == ("2026-11-19",)
    assert names(base) == ["2026-11-20-eu", "2026-11-20-us"]


@pytest.mark.parametrize("odd", ["21.11.2026", "2026-1-5", "2026-13-40"])
def test_a_job_whose_date_is_in_doubt_stops_pruning_and_latest(odd: str, base: str, tmp_path: Path) -> None:
    for night in (odd, "2026-11-19", "2026-11-20"):
        make_night(f"{base}/{night}", {"mug": night.encode()})
    with pytest.raises(JobError, match=f"Which day is meant by {odd}"):
        prune(stores(), base, 1)
    with pytest.raises(JobError, match=f"Which day is meant by {odd}"):
        earlier_jobs(stores(), f"{base}/2026-11-21", "latest")
    assert len(names(base)) == 3


def test_latest_is_by_date_and_refused_where_it_would_be_a_guess(base: str) -> None:
    for night in ("20260921", "2026-10-21", "20261120"):
        make_night(f"{base}/{night}", {"mug": night.encode()})
    assert earlier_jobs(stores(), f"{base}/2026-11-21", "latest") == (f"{base}/20261120",)
    assert earlier_jobs(stores(), f"{base}/2026-11-01", "latest") == (f"{base}/2026-10-21",)
    make_night(f"{base}/2026-11-20-b", {"mug": b"again"})
    assert earlier_jobs(stores(), f"{base}/2026-11-21", "latest") == (f"{base}/2026-11-20-b",)
    make_night(f"{base}/2026-11-20T0200", {"mug": b"again"})
    with pytest.raises(JobError, match=r"do not tell which of .* is the later night; name the one to keep from"):
        earlier_jobs(stores(), f"{base}/2026-11-21", "latest")


def test_what_others_put_into_a_night_stays_and_is_told(base: str) -> None:
    old = make_night(f"{base}/2026-11-19", {"mug": b"mug 1", "lamp": b"lamp 1"})
    make_night(f"{base}/2026-11-20", {"mug": b"mug 2"})
    strangers = {
        "notes.txt": b"approved by Ana",
        "images/mug retouched.png": b"by hand",
        "images/lamp.png": b"retouched in place",
        "results/report.xlsx": b"figures",
        "thumbs/board.webp": b"a board",
        "bundles/agency.zip": b"PK no bundle of ours",
        "images.old/mug.png": b"older",
        ".DS_Store": b"a file browser's",
    }
    for path, data in strangers.items():
        old.put(path, data)
    plan, done = prune(stores(), base, 1, dry_run=True), prune(stores(), base, 1)
    assert set(done.left) == {f"2026-11-19/{path}" for path in strangers} == set(plan.left)
    assert {path: old.get(path) for path in old.paths()} == strangers


def test_a_picture_that_was_replaced_by_one_of_the_same_size_is_told_from_ours(tmp_path: Path) -> None:
    old = make_night(f"{tmp_path}/2026-11-19", {"mug": b"mug 1", "lamp": b"lamp"})
    make_night(f"{tmp_path}/2026-11-20", {"mug": b"mug 2"})
    (tmp_path / "2026-11-19/images/mug.png").write_bytes(b"gum 1")
    later = time.time() + 60
    os.utime(tmp_path / "2026-11-19/images/mug.png", (later, later))
    assert prune(stores(), str(tmp_path), 1).left == ("2026-11-19/images/mug.png",)
    assert [*old.paths()] == ["images/mug.png"]


def test_links_are_never_followed_to_remove(tmp_path: Path) -> None:
    dam = tmp_path / "dam"
    (dam / "originals").mkdir(parents=True)
    for name in ("mug.png", "originals/lamp.png"):
        (dam / name).write_bytes(b"an original")
    nights = tmp_path / "nights"
    for night in ("2026-11-18", "2026-11-19", "2026-11-20", "2026-11-21"):
        make_night(f"{nights}/{night}", {"mug": night.encode()})
    shutil.rmtree(nights / "2026-11-18/images")
    (nights / "2026-11-18/images").symlink_to(dam)
    (nights / "2026-11-18/dam").symlink_to(dam)
    (nights / "2026-11-19/photo.png").symlink_to(dam / "mug.png")
    (nights / "2026-11-17").symlink_to(nights / "2026-11-20")
    (nights / "2026-11-16").symlink_to(dam)
    done = prune(stores(), str(nights), 1)
    assert (done.linked, done.kept) == (("2026-11-16", "2026-11-17"), ("2026-11-21",))
    assert set(done.pruned) == {"2026-11-18", "2026-11-19", "2026-11-20"}
    assert sorted(str(path.relative_to(dam)) for path in dam.rglob("*.png")) == ["mug.png", "originals/lamp.png"]
    assert (nights / "2026-11-17").is_symlink() and (nights / "2026-11-18/images").is_symlink()
    assert [path.name for path in (nights / "2026-11-19").iterdir()] == ["photo.png"]


def test_a_linked_night_is_not_counted_among_those_that_stay(tmp_path: Path) -> None:
    for night in ("2026-11-19", "2026-11-20"):
        make_night(f"{tmp_path}/{night}", {"mug": night.encode()})
    (tmp_path / "2026-11-21").symlink_to(tmp_path / "2026-11-20")
    assert prune(stores(), str(tmp_path), 2).pruned == ()
    assert (tmp_path / "2026-11-21/images/mug.png").read_bytes() == b"2026-11-20"


def test_keys_that_are_no_paths_neither_stop_a_pruning_nor_go(s3: S3Server, s3_bucket: str) -> None:
    make_night(f"{s3_bucket}/nights/2026-11-19", {"mug": b"mug 1"})
    make_night(f"{s3_bucket}/nights/2026-11-20", {"mug": b"mug 2"})
    client = boto3.client("s3", endpoint_url=s3.environment["AWS_ENDPOINT_URL_S3"])
    bucket = s3_bucket.removeprefix("s3://")
    for key in ("nights/2026-11-19//x.png", "nights/2026-11-19/images//y.png"):
        client.put_object(Bucket=bucket, Key=key, Body=b"a stranger's")
    done = prune(stores(), f"{s3_bucket}/nights", 1)
    keys = [one["Key"] for one in client.list_objects_v2(Bucket=bucket, Prefix="nights/2026-11-19")["Contents"]]
    assert len(done.left) == len(keys) and keys, (done.left, keys)


def test_a_night_that_is_rendered_without_since_is_not_pruned(base: str) -> None:
    old = make_night(f"{base}/2026-11-19", {"mug": b"mug 1"})
    make_night(f"{base}/2026-11-20", {"mug": b"mug 2"})
    with unpruned(old, None):
        assert (prune(stores(), base, 1).busy, old.get("images/mug.png")) == (("2026-11-19",), b"mug 1")
    assert prune(stores(), base, 1).pruned == ("2026-11-19",)


def test_nobody_renders_into_a_night_that_is_or_was_being_pruned(tmp_path: Path, job_manifest: Path) -> None:
    old = make_night(f"{tmp_path}/2026-11-19", {"mug": b"mug 1"})
    with Lease(old, ".lock", "The night is pruned", beat_sec=0.2):
        with pytest.raises(JobError, match="The night is pruned just now"), unpruned(old, None):
            pass
    old.put("pruned.json", b"{}")
    with pytest.raises(JobError, match="was pruned"), unpruned(old, None):
        pass


def test_an_interrupted_pruning_leaves_a_job_until_its_end_and_is_no_finished_night(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pressrun.jobs.delivery.retention._THREADS", 1)
    killed_before = killing(monkeypatch, {FolderStore: ("delete",), S3Store: ("delete",)})
    for night in ("2026-11-18", "2026-11-19", "2026-11-20"):
        make_night(f"{base}/{night}", {"mug": night.encode(), "lamp": b"lamp"})
    killed_before(3)
    with pytest.raises(Killed):
        prune(stores(), base, 2)
    killed_before(-1)
    assert find_job(open_store(f"{base}/2026-11-18"))["rows"] == 2
    plan = prune(stores(), base, 3, dry_run=True)
    assert (plan.pruned, plan.kept) == (("2026-11-18",), ("2026-11-19", "2026-11-20"))


def test_a_pruning_that_was_stopped_while_another_took_over_removes_nothing_more(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lease, "_keep", lambda self: None)  # stopped: it says no more that it is there
    for night in ("2026-11-18", "2026-11-19", "2026-11-20"):
        make_night(f"{base}/{night}", {"mug": night.encode()})
    store = open_store(base)
    stopped = Lease(store, ".lock", "Nights are pruned", beat_sec=0.01)
    stopped.acquire()
    with Lease(store, ".lock", "A night is rendered", ttl_sec=0.1, beat_sec=0.01):
        with pytest.raises(StorageError, match="another one took over"):
            _Pruning(store, stopped).run(1)
    assert names(base) == ["2026-11-18", "2026-11-19", "2026-11-20"]
    assert [*open_store(f"{base}/2026-11-18").paths("images/")] == ["images/mug.png"]


@pytest.mark.parametrize(("keep", "sentence"), [(0, "would leave nothing"), (1, "There is no night")])
def test_what_cannot_be_meant_is_refused(keep: int, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=sentence):
        prune(stores(), str(tmp_path), keep)


@pytest.mark.parametrize("place", ["folder", "s3"])
def test_killed_before_any_deletion_the_next_pruning_ends_where_it_would_have(
    place: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = request.getfixturevalue("s3_bucket") if place == "s3" else str(tmp_path)
    monkeypatch.setattr(S3Store, "prepare", lambda self: None)
    monkeypatch.setattr("pressrun.jobs.delivery.retention._THREADS", 1)
    killed_before = killing(monkeypatch, {FolderStore: ("delete",), S3Store: ("delete",)})
    stay = LEFT[:3] if place == "s3" else []
    for number in range(20):
        prefix = f"{base}/{number}"
        make_night(f"{prefix}/2026-11-18", {"mug": b"mug", "lamp": b"lamp 1"})
        mug = f"{prefix}/2026-11-18/images/mug.png" if place == "s3" else b"mug"
        make_night(f"{prefix}/2026-11-19", {"mug": mug})
        killed_before(number)
        try:
            prune(stores(), prefix, 1)
        except Killed:
            killed_before(-1)
        else:
            break
        assert prune(stores(), prefix, 1).pruned == ("2026-11-18",), number
        assert [path for path in open_store(prefix).paths() if "2026-11-18" in path] == stay, number
    assert number > 4
