"""Where a process of ours imports from: Python's modules, installed packages, and our packages from their own place.

A project may have packages that are called like ours, or modules called like anybody's, and PYTHONPATH may name it.
Nothing that lies in the working folder is imported, and nothing that PYTHONPATH names is taken for what is installed.
All of this has to hold before anything is imported, so this module needs only what every Python has loaded.
"""

import os
import sys

_HERE = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120
ROOT = os.path.dirname(_HERE)  # noqa: PTH120
"""The folder in which `pipeline`, `cluster` and `jobs` lie: the package `pressrun` where that is installed, else the
checkout, in which the package stands apart (`jobs/entry`)."""

PACKAGE = ROOT if os.path.isfile(os.path.join(ROOT, "__init__.py")) else os.path.join(ROOT, "jobs/entry/pressrun")  # noqa: PTH113, PTH118
"""The folder of the package `pressrun`."""

_OURS = {f"pressrun.{name}": ROOT for name in ("pipeline", "cluster", "jobs")}
_OURS["pressrun"] = os.path.dirname(PACKAGE)  # noqa: PTH120

LAST = "PRESSRUN_IMPORT_LAST"
"""In a local worker's environment: the folders of `named_elsewhere`, which the driver's PYTHONPATH had."""


def import_path() -> list[str]:
    """`sys.path` as our processes have it: what was put in front of Python's own modules comes last, and what lies in
    the working folder is left out, except for installed packages."""
    before, rest = _parts()
    here = _working_folder()
    kept = [folder for folder in before if folder.startswith("/")]
    kept = [folder for folder in kept if not _is_within(folder, here) or _has_packages(folder)]
    return [folder for folder in rest if not folder.startswith("/") or os.path.realpath(folder) != here] + kept


def installed_apart() -> list[str]:
    """The folders that PYTHONPATH names and into which packages were installed."""
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [folder for folder in map(os.path.abspath, filter(None, named)) if _has_packages(folder)]


def named_elsewhere() -> list[str]:
    """The folders that PYTHONPATH names outside the working folder: a user's own classifiers may lie there."""
    here = _working_folder()
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [folder for folder in named if folder.startswith("/") and not _is_within(folder, here)]


def add_last() -> None:
    """Import from the folders in `LAST` as well, behind everything else."""
    named = filter(None, os.environ.get(LAST, "").split(os.pathsep))
    sys.path += [folder for folder in named if folder not in sys.path]


def settle(path: list[str]) -> None:
    """From now on this process imports from `path`, and our packages from where this module lies."""
    sys.path[:] = path
    sys.meta_path.insert(0, OurPackages)  # type: ignore[arg-type]


def keep_to_import_path() -> None:
    """`settle` with `import_path`: for a process that somebody else has started."""
    settle(import_path())


def isolated() -> list[str]:
    """The command of a Python that takes nothing from PYTHONPATH and the working folder; UTF-8 where we have it."""
    return [sys.executable, "-I", *(["-X", "utf8"] if sys.flags.utf8_mode else [])]


def program(call: str) -> str:
    """What an `isolated` Python runs after `-c` to do `call`, such as `from cluster.x import main; main()`; it imports
    from where this process should."""
    first = f"import sys; sys.path.insert(0, {_HERE!r}); from import_path import settle"
    return f"{first}; settle({import_path()!r}); {call}"


class OurPackages:
    """Finds our packages where they lie, whatever else is called so."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> object:
        """The package's spec, None for every other name."""
        if name not in _OURS:
            return None
        from importlib.machinery import PathFinder

        return PathFinder.find_spec(name, [_OURS[name]])


def _parts() -> tuple[list[str], list[str]]:
    """What stands in `sys.path` before Python's own modules (a script's folder, PYTHONPATH), and the rest."""
    pythons = {os.path.dirname(os.__file__), f"python{sys.version_info[0]}{sys.version_info[1]}.zip"}  # noqa: PTH120
    for place, folder in enumerate(sys.path):
        if folder in pythons or os.path.basename(folder) in pythons:  # noqa: PTH119
            return sys.path[:place], sys.path[place:]
    return [], sys.path


def _working_folder() -> str:
    try:
        return os.path.realpath(os.getcwd())  # noqa: PTH109
    except FileNotFoundError:  # it was removed
        return ""


def _is_within(folder: str, other: str) -> bool:
    """Whether it is the other one or lies in it, which says nothing of what lies in the root folder."""
    folder = os.path.realpath(folder)
    return folder == other or (other not in ("", "/") and folder.startswith(f"{other}/"))


def _has_packages(folder: str) -> bool:
    """Whether an installer has put packages there: no project's own folder has what installers note beside them."""
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return False
    is_theirs = os.path.basename(folder) in ("site-packages", "dist-packages")  # noqa: PTH119
    return is_theirs or any(name.endswith(".dist-info") for name in names)
