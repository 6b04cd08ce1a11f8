"""Pixels that wait on the disk: the same when they are found, and not found when anything is wrong with them."""

import os
from pathlib import Path

import numpy as np
import pytest

from pressrun.cluster.protocol.unit import Reference
from pressrun.cluster.references import pixel_cache as reference_cache
from pressrun.cluster.references.pixel_cache import ReferenceCache

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
MUG = Reference("mug.png", "ab" * 32, (2, 3))


def test_what_was_kept_is_found_by_whoever_knows_the_folder(tmp_path: Path) -> None:
    assert ReferenceCache(tmp_path / "references").keep(MUG.sha256, PIXELS)
    found = ReferenceCache(tmp_path / "references").find(MUG)
    assert found is not None and np.array_equal(found, PIXELS)
    assert [path.name for path in (tmp_path / "references").iterdir()] == [MUG.sha256]
    assert (tmp_path / "references").stat().st_mode & 0o077 == 0


def test_what_is_not_there_or_not_right_is_not_found(tmp_path: Path) -> None:
    cache = ReferenceCache(tmp_path)
    cache.keep(MUG.sha256, PIXELS)
    path = tmp_path / MUG.sha256
    whole = path.read_bytes()
    assert cache.find(Reference("mug.png", "cd" * 32, (2, 3))) is None
    for grid in ((3, 2), (2, 2)):
        assert cache.find(Reference("mug.png", MUG.sha256, grid)) is None
    for wrong in (b"", whole[:-1], whole + b"x", whole[:100] + b"?" + whole[101:]):
        path.write_bytes(wrong)
        assert cache.find(MUG) is None
    path.unlink()
    path.symlink_to("/etc/hostname")
    assert cache.find(MUG) is None


def test_a_file_of_somebody_else_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ReferenceCache(tmp_path)
    cache.keep(MUG.sha256, PIXELS)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert cache.find(MUG) is None


def test_no_more_than_the_limit_is_kept(tmp_path: Path) -> None:
    cache = ReferenceCache(tmp_path, limit_bytes=2 * (PIXELS.nbytes + 32))
    assert [cache.keep(f"{number:064}", PIXELS) for number in range(4)] == [True, True, False, False]
    assert len(list(tmp_path.iterdir())) == 2


def test_half_of_what_is_free_stays_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [3 * (PIXELS.nbytes + 32)]

    class Usage:
        def __init__(self) -> None:
            self.free = free[0] - sum(path.stat().st_size for path in tmp_path.iterdir())

    monkeypatch.setattr(reference_cache.shutil, "disk_usage", lambda _: Usage())
    cache = ReferenceCache(tmp_path)
    assert [cache.keep(f"{number:064}", PIXELS) for number in range(3)] == [True, False, False]


def test_a_disk_that_is_full_or_gone_loses_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ReferenceCache(tmp_path / "ended" / "references").keep(MUG.sha256, PIXELS)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert not ReferenceCache(tmp_path).keep(MUG.sha256, PIXELS)
    assert list(tmp_path.iterdir()) == []
