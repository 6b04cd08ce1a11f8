"""Where processes of ours import from, whatever lies in the working folder and whatever PYTHONPATH says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pressrun.pipeline.import_path import ROOT, import_path, installed_apart, isolated, program
from tests.project import make_project

SHOWN = "import numpy, queue, pressrun.jobs as jobs; print(jobs.__file__, numpy.__file__, queue.__file__)"

PYTHONS = [os.path.dirname(os.__file__), "/usr/lib/python3/dist-packages"]  # noqa: PTH120


@pytest.mark.parametrize("at", [".", "", "{project}", "{project}/src"])
def test_a_project_that_pythonpath_names_is_imported_by_none_of_our_processes(at: str, tmp_path: Path) -> None:
    imported = make_project(tmp_path)
    make_project(tmp_path / "src")
    code = f"import sys; sys.path.insert(0, {ROOT + '/pipeline'!r}); from import_path import isolated, program\n"
    code += f"import os; os.execv(sys.executable, [*isolated(), '-c', program({SHOWN!r})])"
    environment = {**os.environ, "PYTHONPATH": at.format(project=tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    jobs, numpy, queue = done.stdout.split()
    assert jobs == str(Path(ROOT, "jobs/__init__.py"))
    assert str(tmp_path) not in numpy + queue
    assert not imported.exists()


def test_another_folder_comes_after_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *PYTHONS])
    assert import_path() == [*PYTHONS, str(tmp_path)]


def test_packages_that_were_installed_apart_stay_with_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libraries/ray-2.60.0.dist-info").mkdir(parents=True)
    (tmp_path / "project").mkdir()
    apart = str(tmp_path / "libraries")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{apart}:project:.")
    monkeypatch.setattr(sys, "path", [apart, str(tmp_path / "project"), str(tmp_path), *PYTHONS])
    assert installed_apart() == [apart]
    assert import_path() == [*PYTHONS, apart]


def test_a_working_folder_that_was_removed_is_no_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    done = subprocess.run([*isolated(), "-c", program("print(1)")], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
