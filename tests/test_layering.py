"""Imports point one way: pipeline, then cluster, then jobs, and inside each from room to room as listed here."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pressrun.jobs.cli.command import parser
from pressrun.jobs.cli.flags import Flags

ROOT = Path(__file__).resolve().parent.parent
ROOMS = {
    "pipeline": ("", "models", "references", "families", "overlay", "checks", "finishing"),
    "cluster": ("net", "store", "protocol", "placement", "runtime", "references", "actors", "scheduling"),
    "jobs": (
        *("text", "starters", "folder", "decisions", "spec", "tables", "manifest", "references", "finish"),
        *("resolve", "dedup", "planning", "results", "reuse", "reports", "audit", "campaign", "delivery"),
        *("purge", "run", "night", "doctor", "python", "cli"),
    ),
}
"""Each package's rooms from the ground up; "" are the modules that stand in no room."""
APART = ("jobs/entry", "jobs/examples", "pipeline/mini")
FOREIGN = {"pipeline": {"ray", "boto3", "botocore", "pyarrow"}}
"""What a package leaves to those above it."""
MODULES = [
    path
    for package in ROOMS
    for path in sorted((ROOT / package).rglob("*.py"))
    if not str(path.relative_to(ROOT)).startswith(APART)
]


def imported(path: Path) -> list[str]:
    """Modules, and names in them, that a module imports anywhere, inside functions too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def level(parts: tuple[str, ...]) -> tuple[int, int]:
    """How far from the ground a module stands, by the parts of its name without `pressrun`: package, then room."""
    rooms = ROOMS[parts[0]]
    room = parts[1] if len(parts) > 1 and parts[1] in rooms else ""
    return list(ROOMS).index(parts[0]), rooms.index(room) if room in rooms else -1


def test_every_folder_is_a_room_with_a_place_in_the_order() -> None:
    for package, rooms in ROOMS.items():
        folders = {path.parent.relative_to(ROOT / package).parts[0] for path in (ROOT / package).glob("*/__init__.py")}
        apart = {Path(name).name for name in APART if name.startswith(package)}
        assert folders - apart == set(rooms) - {""}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_nothing_from_above(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    own = level(parts)
    for name in imported(path):
        assert name.split(".")[0] not in {*ROOMS, *FOREIGN.get(parts[0], ())}, f"{name} is not for {parts[0]}"
        if name.startswith("pressrun.") and name.split(".")[1] in ROOMS:
            assert level(tuple(name.split(".")[1:])) <= own, f"{name} stands above"


def test_no_modules_import_each_other_in_a_circle() -> None:
    names = {".".join(("pressrun", *path.relative_to(ROOT).with_suffix("").parts)): path for path in MODULES}
    arrows = {
        name: {found for one in imported(path) for found in (one, one.rpartition(".")[0]) if found in names} - {name}
        for name, path in names.items()
    }
    while free := [name for name, towards in arrows.items() if not towards]:
        arrows = {name: towards - set(free) for name, towards in arrows.items() if name not in free}
    assert not arrows, f"these are in a circle, or above one: {sorted(arrows)}"


def test_the_wheel_has_every_room_and_nothing_of_how_mini_was_trained() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT).parts for top in ROOMS for path in (ROOT / top).rglob("__init__.py")}
    folders = {parts for parts in folders if "entry" not in parts and "training" not in parts}
    assert set(declared) == {"pressrun", "pressrun_entry", *(".".join(("pressrun", *parts)) for parts in folders)}


LINES, LINES_OF_A_FUNCTION = 300, 40
TABLES = {"jobs/cli/commands/render.py:add", "jobs/python/rendering.py:render"}
"""Functions that are tables: an option a line."""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{path.relative_to(ROOT)}:{node.name}"
            assert name in TABLES or (node.end_lineno or 0) - node.lineno < LINES_OF_A_FUNCTION, name


ENVIRONMENT = {
    "jobs/spec/context.py": "where somebody comes in",
    "jobs/cli/terminal.py": "the terminal's encoding",
    "cluster/store/opening.py": "the profile or role that a node of a joined cluster has of its own",
    "cluster/runtime/ray_runtime.py": "where Ray is, and what Ray is started with",
    "cluster/runtime/scratch.py": "the mark of a run's processes",
    "cluster/placement/devices.py": "which GPUs may be seen",
    "cluster/references/decoder_pool.py": "the few variables that a decoder gets",
    "cluster/actors/transport.py": "a switch for trying things out",
    "pipeline/models/locations.py": "where models lie on this machine",
    "pipeline/models/hub.py": "which hub models are fetched from",
    "pipeline/import_path.py": "PYTHONPATH",
}
"""Modules that look into this process's environment, and for what: nothing of it belongs to a job."""


def test_a_jobs_keys_and_rules_are_not_looked_up_in_the_environment() -> None:
    looking = {
        str(path.relative_to(ROOT))
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv", "putenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    assert looking == set(ENVIRONMENT)


FOREIGN_FLAGS = {("cluster/placement/devices.py", "--format"): "an option of nvidia-smi"}
"""Flags that a module names and that are not ours, though one of ours has the same letters."""


def test_the_command_line_alone_names_its_flags() -> None:
    ours = "|".join(sorted(set(Flags(parser()).by_field.values()), key=len, reverse=True))
    flag = re.compile(rf"(?<![\w-])(?:{ours})(?![\w-])")
    found = {
        (str(path.relative_to(ROOT)), named)
        for path in MODULES
        if not path.is_relative_to(ROOT / "jobs/cli")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for named in flag.findall(node.value)
    }
    assert found == set(FOREIGN_FLAGS), "name the field, in backticks: the command line adds its flag"


def test_the_driver_process_starts_without_torch_and_ray() -> None:
    heavy = "{'torch', 'ray', 'diffusers'}"
    code = f"import sys, pressrun.jobs.cli.command; sys.exit(' '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
