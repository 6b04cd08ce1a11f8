"""The wheel, built from a copy of the checkout, has what a user needs and nothing of how it came to be."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "jobs", "cluster", "pipeline")
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the wheel's files."""
    copy, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy)
    subprocess.run([sys.executable, "-c", BUILD, str(out)], cwd=copy, check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_every_module_is_in_it_but_those_that_trained_mini(names: set[str]) -> None:
    modules = {path.relative_to(ROOT) for top in SOURCES for path in (ROOT / top).rglob("*.py")}
    shipped = {path for path in modules if path.parts[:3] != ("pipeline", "mini", "training")}
    expected = {
        "/".join(path.parts[2:] if path.parts[:2] == ("jobs", "entry") else ("pressrun", *path.parts))
        for path in shipped
    }
    assert {name for name in names if name.endswith(".py")} == expected


def test_everything_else_of_the_packages_is_in_it_but_what_trained_mini(names: set[str]) -> None:
    files = {path for top in ("jobs", "cluster", "pipeline") for path in (ROOT / top).rglob("*") if path.is_file()}
    data = {path.relative_to(ROOT) for path in files if path.suffix not in (".py", ".pyc")}
    expected = {"/".join(("pressrun", *path.parts)) for path in data if "training" not in path.parts}
    expected -= {"pressrun/jobs/entry/pressrun/py.typed"}
    shipped = {name for name in names if not name.endswith(".py") and ".dist-info/" not in name}
    assert shipped == expected | {"pressrun/py.typed"}
