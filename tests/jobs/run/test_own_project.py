"""The command in a user's project, and on a machine where workers cannot start."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Pressrun, mixed_rows, write_manifest
from tests.project import make_project


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for temporary files, short enough for sockets; empty again at the end."""
    folder = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    yield folder
    assert list(folder.iterdir()) == []
    folder.rmdir()


@pytest.mark.parametrize("at", [".", "{project}"])
def test_nothing_of_a_project_with_packages_called_like_ours_is_imported(
    at: str, pressrun: Pressrun, place: Path, tmp_path: Path
) -> None:
    manifest = write_manifest(tmp_path / "in", mixed_rows()[8:11])
    imported = make_project(tmp_path)
    path = at.format(project=tmp_path)
    ended = pressrun("render", manifest, "--out", "out", "--json", PYTHONPATH=path, TMPDIR=str(place))
    assert ended.code == 0, ended.err
    assert ended.json["succeeded"] == 3
    assert not imported.exists(), imported.read_text()


AT_START = "import sys\nif 'default_worker.py' in str(sys.orig_argv): sys.exit('libbar.so.3: /srv/top/secret.so')\n"
IN_TORCH = "raise ImportError('libbar.so.3: /srv/top/secret.so')\n"
IN_NATIVE_CODE = "import os; os.write(2, b'libbar.so.3: /srv/top/secret.so\\n'); os.abort()\n"


@pytest.mark.parametrize(
    ("module", "code", "first"),
    [
        pytest.param("sitecustomize.py", AT_START, "Ray's workers cannot be started on this machine", id="at start"),
        pytest.param("torch.py", IN_TORCH, "The worker replica-0 died 3 times while it loaded", id="by an exception"),
        pytest.param("torch.py", IN_NATIVE_CODE, "The worker replica-0 died 3 times while it loaded", id="by a signal"),
    ],
)
def test_workers_that_cannot_start_say_their_own_words_and_leave_nothing(
    module: str, code: str, first: str, pressrun: Pressrun, place: Path, tmp_path: Path
) -> None:
    apart = tmp_path / "apart/site-packages"
    apart.mkdir(parents=True)
    (apart / module).write_text(code)
    manifest = write_manifest(tmp_path / "in", mixed_rows()[:1])
    ended = pressrun("render", manifest, "--out", "out", PYTHONPATH=str(apart), TMPDIR=str(place))
    assert ended.code == 2, ended.err
    said = ended.err.splitlines()[-1]
    assert said.startswith(f"pressrun: {first}") and "libbar.so.3: …/secret.so." in said
    assert "memory" not in said
