"""What machines and strangers leave in a job, a manifest's folder and a served place: told apart, and left."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pressrun.jobs.audit.verify import verify
from pressrun.jobs.delivery.publishing import publish
from pressrun.jobs.delivery.retention import prune
from pressrun.jobs.folder.clutter import is_clutter
from pressrun.jobs.folder.new_place import obstacles
from pressrun.jobs.results.status import read_status
from pressrun.jobs.tables.table_reader import read_table
from pressrun.pipeline.errors import JobError
from tests.jobs.night_jobs import drawn, make_night
from tests.opening import open_store, stores

LATIN = os.fsdecode(b"caf\xe9")
LEFT = (
    *(".DS_Store", "Thumbs.db", "thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini", "._a.png", ".nfs00000012ab"),
    *("@eaDir/a.png/SYNOPHOTO_THUMB_M.png", "lost+found/#123", "#recycle/a.png", "$RECYCLE.BIN/$R1.png", ".Trashes/1"),
    *(".Trash-1000/files/a.png", ".fuse_hidden0001", ".directory", ".AppleDouble/a.png", "Icon\r", ".~lock.a.csv#"),
    *(".@__thumb/defaulta.png", "@__thumb/a.png", ".BridgeSort", ".BridgeLabelsAndRatings", ".picasa.ini", "~$a.xlsx"),
    *(".dropbox", ".dropbox.cache/a.png", ".syncthing.a.png.tmp", "~syncthing~a.png.tmp", ".stfolder/a.txt"),
    *("__MACOSX/._a.png", "#snapshot/a.png", ".snapshot/a.png", "@tmp/a.png", ".sync/a.png", ".stversions/a.png"),
)
STRANGE = (f"{LATIN}.png", f"{LATIN}/a.png")


def leave(folder: Path, names: tuple[str, ...] = (*LEFT, *STRANGE)) -> dict[Path, bytes]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"theirs")
    return {folder / name: b"theirs" for name in names}


def still(left: dict[Path, bytes]) -> bool:
    return {path: path.read_bytes() for path in left} == left


def test_they_are_no_discrepancy_and_those_that_no_table_can_hold_are_counted(tmp_path: Path) -> None:
    night = make_night(str(tmp_path / "night"), {"mug": drawn("mug")})
    for path in ("index.html", "metadata.csv", "thumbs/mug.png.webp"):
        night.put(path, b"")
    left: dict[Path, bytes] = {}
    for folder in ("", "images", "results", "thumbs"):
        left |= leave(tmp_path / "night" / folder)
    audit = verify(night)
    assert (audit.discrepancies, audit.pictures) == ((), 1) and still(left)
    assert any(r"2 names in images/ (images/caf\xe9) are not UTF-8" in sentence for sentence in audit.unchecked)
    assert read_status(night).rows == 1


def test_they_are_neither_published_nor_in_the_way(tmp_path: Path) -> None:
    make_night(str(tmp_path / "night"), {"mug": b"mug 1"})
    left = leave(tmp_path / "night/images") | leave(tmp_path / "shop")
    done = publish(stores(), str(tmp_path / "night"), str(tmp_path / "shop"))
    assert (done.added, done.replaced, done.removed) == (1, 0, 0)
    make_night(str(tmp_path / "next"), {"cup": b"cup 1"})
    done = publish(stores(), str(tmp_path / "next"), str(tmp_path / "shop"), remove=True)
    assert (done.added, done.removed) == (1, 1) and still(left)


def test_they_outlive_the_night_that_they_lie_in_and_are_told(tmp_path: Path) -> None:
    make_night(f"{tmp_path}/2026-11-19", {"mug": b"mug 1"})
    make_night(f"{tmp_path}/2026-11-20", {"mug": b"mug 2"})
    left = leave(tmp_path / "2026-11-19/images", (".DS_Store", *STRANGE)) | leave(tmp_path, STRANGE)
    plan, done = prune(stores(), str(tmp_path), 1, dry_run=True), prune(stores(), str(tmp_path), 1)
    names = {".DS_Store", r"caf\xe9.png", r"caf\xe9"}
    assert set(plan.left) == set(done.left) == {f"2026-11-19/images/{name}" for name in names}
    assert still(left) and not (tmp_path / "2026-11-19/images/mug.png").exists()


def test_they_are_no_parts_of_a_manifest(tmp_path: Path) -> None:
    part = pa.table({"custom_id": ["a"], "prompt": ["a mug"]})
    pq.write_table(part, tmp_path / "part-0.parquet")
    for folder in ("@eaDir", "#recycle", "lost+found", "$RECYCLE.BIN", ".Trash-1000/files", "deep/@Recycle"):
        (tmp_path / folder).mkdir(parents=True)
        pq.write_table(part, tmp_path / folder / "part-0.parquet")
    leave(tmp_path, ("._part-0.parquet", f"{LATIN}.txt"))
    assert read_table(stores(), str(tmp_path)).equals(part)
    (tmp_path / f"{LATIN}.parquet").write_bytes((tmp_path / "part-0.parquet").read_bytes())
    with pytest.raises(JobError, match=r"caf\\xe9.parquet” has a name that is not UTF-8; rename it"):
        read_table(stores(), str(tmp_path))


def test_they_are_in_nobodys_way_where_a_job_begins(tmp_path: Path) -> None:
    for folder in ("thumbs", "pixels", "replacements", "results", "images"):
        leave(tmp_path / folder, (".DS_Store", "._a.webp", "._a.png", "@eaDir/a.png", *STRANGE))
    assert obstacles(open_store(str(tmp_path)), ["job.json"]) == []


@pytest.mark.parametrize("path", LEFT)
def test_what_machines_leave_is_known_by_its_name(path: str) -> None:
    assert is_clutter(path) and is_clutter(f"a/b/{path}")


@pytest.mark.parametrize(
    "path",
    [
        *("a.png", "DS_Store.png", "desktop.ini.png", "eaDir/a.png", "a@eaDir/b.png", "lost+found", "my.nfs12"),
        *("thumb/a.png", "__thumb/a.png", "a@__thumb/b.png", "BridgeSort", "a.picasa.ini.png", "dropbox/a.png"),
        *("my.dropbox", "syncthing.a.tmp", ".syncthing.a.png", "MACOSX/a.png", "__MACOSX", "snapshot/a.png"),
        *("snapshots/a.png", "tmp/a.png", "sync/a.png", "a.sync/b.png", "stfolder/a.png", "._a/b.png", ".nfs/a.png"),
        *("a~$b.png", "~a.png", "~$a/b.png", ".tmp/a.png", "nfs00a1"),
    ],
)
def test_what_a_person_may_have_named_is_not(path: str) -> None:
    assert not is_clutter(path)
