"""Folders: temporaries, dead writers, file systems without hard links, full disks."""

import errno
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from pressrun.cluster.store.folder_store import FolderStore
from pressrun.cluster.store.host import this_host
from pressrun.cluster.store.opening import Stores
from pressrun.pipeline.errors import JobError, RequestError, StorageError


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "out", Stores())
    store.prepare()
    return store


def _refuse(number: int) -> object:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return refuse


def _files(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_only_the_pictures_stand_in_images(store: FolderStore, tmp_path: Path) -> None:
    store.create("images/a.png", b"1")
    store.create("images/a.png", b"2")
    store.put("images/b.png", b"3")
    assert _files(tmp_path / "out") == ["images/a.png", "images/b.png"]


def test_pictures_can_be_read_by_others(store: FolderStore, tmp_path: Path) -> None:
    store.create("images/a.png", b"1")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "out/images/a.png").stat().st_mode) == 0o666 & ~umask


def test_a_killed_writer_leaves_no_picture_and_its_temporary_is_removed(store: FolderStore, tmp_path: Path) -> None:
    code = (
        "import os, sys; from pressrun.cluster.store.opening import Stores\n"
        "from pressrun.cluster.store.temporaries import Temporaries\n"
        "Temporaries.claim = lambda *_: os.kill(os.getpid(), 9)\n"
        "Stores().open(sys.argv[1]).create('images/a.png', b'half')"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")])
    assert killed.returncode == -9
    assert not list(store.list())
    assert len(_files(tmp_path / "out/.tmp")) == 1
    living = tmp_path / "out/.tmp" / f"{this_host()}-{os.getpid()}-99"
    elsewhere = tmp_path / "out/.tmp/other-1-99"
    forgotten = tmp_path / "out/.tmp/other-1-98"
    for file in (living, elsewhere, forgotten):
        file.write_bytes(b"?")
    os.utime(forgotten, (0, 0))
    store.prepare()
    assert set((tmp_path / "out/.tmp").iterdir()) == {living, elsewhere}


def test_what_others_keep_among_the_temporaries_stays(store: FolderStore, tmp_path: Path) -> None:
    strangers = [tmp_path / "out/.tmp" / name for name in ("notes.txt", "photo-1.jpg", "Report-2024-final", "a folder")]
    for file in strangers:
        file.mkdir() if file.name == "a folder" else file.write_bytes(b"a customer's")
        os.utime(file, (0, 0))
    store.prepare()
    assert set((tmp_path / "out/.tmp").iterdir()) == set(strangers)


_KILLED_IN_CREATE = """
import os, sys
from pathlib import Path
from pressrun.cluster.store import folder_store, temporaries
from pressrun.cluster.store.opening import Stores

host, pid, when = "restarted_container", 7, sys.argv[2]
temporaries.this_host = lambda: host
os.getpid = lambda: pid
if when == "after the link":
    real = Path.hardlink_to
    Path.hardlink_to = lambda self, target: (real(self, target), os._exit(9))
if when == "in the sync":
    folder_store._sync = lambda folder: os._exit(9)
if when == "writing":
    os.fsync = lambda descriptor: os._exit(9)
Stores().open(sys.argv[1]).create(sys.argv[3], sys.argv[4].encode())
"""


@pytest.mark.parametrize("when", ["writing", "after the link", "in the sync"])
def test_a_writer_with_a_dead_ones_number_reaches_no_finished_file(when: str, tmp_path: Path) -> None:
    def create(moment: str, path: str, text: str) -> int:
        command = [sys.executable, "-c", _KILLED_IN_CREATE, str(tmp_path), moment, path, text]
        return subprocess.run(command).returncode

    assert create(when, "job.json", "a job") == 9
    there = (tmp_path / "job.json").exists()
    for number in range(3):  # as many as it takes for a serial number to come again
        assert create("never", f"manifest-{number}", "a manifest") == 0
    assert there == (when != "writing")
    assert not there or (tmp_path / "job.json").read_text() == "a job"


def test_the_lock_of_a_disk_without_links_cuts_nothing_that_stands_in_its_place(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("images/a.png", b"a picture")
    (tmp_path / "out/.tmp/create.lock").hardlink_to(tmp_path / "out/images/a.png")
    monkeypatch.setattr(Path, "hardlink_to", _refuse(errno.EPERM))
    assert store.create("images/b.png", b"another")
    assert store.get("images/a.png") == b"a picture"


def test_nothing_is_removed_behind_a_link_and_a_link_goes_alone(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "dam/deep").mkdir(parents=True)
    (tmp_path / "dam/deep/a.png").write_bytes(b"an original")
    (tmp_path / "out/images").symlink_to(tmp_path / "dam")
    (tmp_path / "out/b.png").symlink_to(tmp_path / "dam/deep/a.png")
    assert store.get("images/deep/a.png") == b"an original", "reading follows"
    assert store.linked("images/deep/a.png") and store.linked("b.png") and not store.linked("c.png")
    assert store.delete("images/deep/a.png") is False
    assert store.delete("b.png") is True
    store.sweep(["images/deep/a.png"])
    assert (tmp_path / "dam/deep/a.png").read_bytes() == b"an original"
    assert not (tmp_path / "out/b.png").is_symlink()


def test_a_link_that_leads_back_is_not_followed_for_ever(store: FolderStore, tmp_path: Path) -> None:
    store.put("images/a.png", b"1")
    (tmp_path / "out/images/again").symlink_to(tmp_path / "out")
    (tmp_path / "out/images/here").symlink_to(".")
    assert [entry.path for entry in store.list()] == ["images/a.png"]
    assert [*store.paths()] == ["images/a.png"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_without_hard_links_still_one_creator_wins(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(Path, "hardlink_to", _refuse(number))
    store.prepare()
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda number: store.create("images/a.png", b"%d" % number), range(8)))
    assert won.count(True) == 1
    assert store.get("images/a.png") == b"%d" % won.index(True)
    assert [entry.path for entry in store.list()] == ["images/a.png"]


@pytest.mark.parametrize("write", ["put", "create"])
def test_a_full_disk_is_the_stores_fault(store: FolderStore, monkeypatch: pytest.MonkeyPatch, write: str) -> None:
    store.put("a", b"old")
    monkeypatch.setattr(os, "fsync", _refuse(errno.ENOSPC))
    with pytest.raises(StorageError, match="No space is left in"):
        getattr(store, write)("a" if write == "put" else "b", b"new")
    assert store.get("a") == b"old"
    assert [entry.path for entry in store.list()] == ["a"]


def test_a_disk_that_fails_is_the_stores_fault(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", _refuse(errno.EIO))
    with pytest.raises(StorageError, match=r"Cannot write .*images/a\.png: Input/output error"):
        store.put("images/a.png", b"")


def test_a_name_that_is_a_folder_already_is_the_rows_fault(store: FolderStore) -> None:
    store.put("images/a/b", b"")
    for path in ("images/a", "images/a/b/c"):
        for write in (store.put, store.create):
            with pytest.raises(RequestError) as failure:
                write(path, b"")
            assert failure.value.code == "bad_name"
    assert store.head("images/a") is None
    assert store.head("images/a/b/c") is None
    store.delete("images/a")
    assert store.get("images/a/b") == b""


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(JobError, match="is a file: give a folder"):
        FolderStore(tmp_path / "out", Stores()).prepare()
    with pytest.raises(JobError, match="cannot be written"):
        FolderStore(tmp_path / "out/deeper", Stores()).prepare()


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", _refuse(errno.EACCES))
    with pytest.raises(JobError, match=r"out cannot be written \(Permission denied\)"):
        FolderStore(tmp_path / "out", Stores()).prepare()
