"""Names that no bucket could hold, as old drives and ZIP programs leave them: somebody else's, and left alone."""

import os
from pathlib import Path

import pytest

from pressrun.cluster.store.folder_store import FolderStore
from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.unlisted import unlisted
from pressrun.pipeline.errors import StorageError

LATIN = os.fsdecode(b"caf\xe9")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for path in ("a.png", f"{LATIN}.jpg", "b/c.png", f"b/{LATIN}.png", f"{LATIN}/d.png", "größe 杯.png"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"theirs")
    return tmp_path


def test_listings_leave_out_names_that_are_no_utf8(place: Path) -> None:
    store = FolderStore(place, Stores())
    names = ["a.png", "b/c.png", "größe 杯.png"]
    assert [entry.path for entry in store.list()] == sorted(store.paths()) == names
    folders, entries = store.level()
    assert (folders, [entry.path for entry in entries]) == (["b"], ["a.png", "größe 杯.png"])
    assert [entry.path for entry in store.level("b")[1]] == ["b/c.png"]


def test_what_is_left_out_can_be_told(place: Path) -> None:
    assert unlisted(str(place)) == [r"b/caf\xe9.png", r"caf\xe9", r"caf\xe9.jpg"]
    assert unlisted(str(place), "b/") == [r"b/caf\xe9.png"]
    assert unlisted(str(place / "none")) == unlisted("s3://bucket/none") == []


def test_a_folder_in_which_they_are_is_not_swept_away(place: Path) -> None:
    store = FolderStore(place, Stores())
    for path in [*store.paths()]:
        assert store.delete(path)
    store.sweep(["b/c.png"])
    assert (place / "b" / f"{LATIN}.png").read_bytes() == b"theirs"


def test_what_a_file_system_keeps_for_root_stops_no_listing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def denied(folder: Path) -> object:
        if folder.name in ("lost+found", "private"):
            raise PermissionError(13, "Permission denied")  # root may look everywhere
        return scandir(folder)

    (place / "b/lost+found").mkdir()
    monkeypatch.setattr(os, "scandir", denied)
    assert len([*FolderStore(place, Stores()).list()]) == len([*FolderStore(place, Stores()).paths()]) == 3
    (place / "b/private").mkdir()
    with pytest.raises(StorageError, match="Permission denied"):
        [*FolderStore(place, Stores()).list()]
