"""Pruning: old nights go, what later ones refer to stays, whatever ends it."""

from pathlib import Path

import pytest

from cluster.folder_store import FolderStore
from cluster.lease import Lease
from cluster.s3_store import S3Store
from cluster.store import open_store
from jobs import JobSpec, render
from jobs.command import main
from jobs.driver import forecast
from jobs.parts import read_results
from jobs.pruning import prune
from pipeline.errors import JobError
from tests.jobs.killed import Killed, killing
from tests.jobs.night_jobs import make_night


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
    plan = prune(nights, 1, dry_run=True)
    assert (plan.kept, plan.pruned) == (("2026-11-20",), ("2026-11-18", "2026-11-19"))
    assert len(stands(nights)) == 14
    done = prune(nights, 1)
    assert (done.pruned, done.removed, done.referred_to) == (plan.pruned, plan.removed, 2)
    assert stands(nights) == LEFT
    last = open_store(f"{nights}/2026-11-20")
    for uri in read_results(last, ("image",))["image"].to_pylist():
        assert open_store(nights).head(uri.removeprefix(f"{nights}/")) is not None
    make_night(f"{nights}/2026-11-21", {"mug": b"mug 4"})
    prune(nights, 1)
    assert not [path for path in open_store(nights).paths() if "2026-11-21" not in path and ".lock" not in path]


def test_pictures_that_a_job_without_a_date_refers_to_stay(nights: str) -> None:
    make_night(f"{nights}/trial", {"lamp": f"{nights}/2026-11-18/images/lamp.png"})
    assert prune(nights, 1).referred_to == 3
    assert open_store(nights).get("2026-11-18/images/lamp.png") == b"lamp 1"


def test_where_there_are_no_nights_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="There is no night under"):
        prune(str(tmp_path / "nihgts"), 1)
    assert not any(tmp_path.iterdir())


def test_what_is_left_of_a_pruned_night_is_no_job(nights: str, finished_job: Path, job_manifest: Path) -> None:
    prune(nights, 1)
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
    assert prune(str(tmp_path), 2).pruned == ()
    assert prune(str(tmp_path), 1).pruned == ("2026-11-18",)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] != ".") == ["2026-11-19", "2026-11-20"]
    assert main(["verify", f"{tmp_path}/2026-11-19"]) == 0


def test_a_night_that_an_unfinished_one_keeps_from_stays(
    finished_job: Path, job_manifest: Path, tmp_path: Path
) -> None:
    first = f"{tmp_path}/2026-11-18"
    render(JobSpec(str(job_manifest), first, since=str(finished_job)))
    render(JobSpec(str(job_manifest), f"{tmp_path}/2026-11-19", since=first))
    render(JobSpec(str(job_manifest), f"{tmp_path}/2026-11-20", since=first, limit=2))
    assert prune(str(tmp_path), 1).kept == ("2026-11-18", "2026-11-19", "2026-11-20")


def test_nothing_is_pruned_while_a_night_is_rendered(tmp_path: Path) -> None:
    make_night(f"{tmp_path}/2026-11-18", {"mug": b"mug"})
    store = open_store(str(tmp_path))
    store.prepare()
    with Lease(store, ".lock", "A night is rendered", beat_sec=0.2):
        with pytest.raises(JobError, match="A night is rendered just now"):
            prune(str(tmp_path), 1)


@pytest.mark.parametrize(("keep", "sentence"), [(0, "would leave nothing"), (1, "There is no night")])
def test_what_cannot_be_meant_is_refused(keep: int, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=sentence):
        prune(str(tmp_path), keep)


@pytest.mark.parametrize("place", ["folder", "s3"])
def test_killed_before_any_deletion_the_next_pruning_ends_where_it_would_have(
    place: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = request.getfixturevalue("s3_bucket") if place == "s3" else str(tmp_path)
    monkeypatch.setattr(S3Store, "prepare", lambda self: None)
    monkeypatch.setattr("jobs.pruning._THREADS", 1)
    killed_before = killing(monkeypatch, {FolderStore: ("delete",), S3Store: ("delete",)})
    stay = LEFT[:3] if place == "s3" else []
    for number in range(20):
        prefix = f"{base}/{number}"
        make_night(f"{prefix}/2026-11-18", {"mug": b"mug", "lamp": b"lamp 1"})
        mug = f"{prefix}/2026-11-18/images/mug.png" if place == "s3" else b"mug"
        make_night(f"{prefix}/2026-11-19", {"mug": mug})
        killed_before(number)
        try:
            prune(prefix, 1)
        except Killed:
            killed_before(-1)
        else:
            break
        assert prune(prefix, 1).pruned == ("2026-11-18",), number
        assert [path for path in open_store(prefix).paths() if "2026-11-18" in path] == stay, number
    assert number > 4
