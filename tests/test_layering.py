"""Imports point one way: jobs -> cluster -> pipeline. pipeline knows pixels and nothing of machines or stores."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    "pipeline": {"cluster", "jobs", "ray", "boto3", "botocore", "pyarrow"},
    "cluster": {"jobs"},
}
MODULES = [path for package in FORBIDDEN for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """Top-level packages that a module imports anywhere, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_nothing_from_above(path: Path) -> None:
    assert not imported(path) & FORBIDDEN[path.relative_to(ROOT).parts[0]]


def test_the_driver_process_starts_without_torch_and_ray() -> None:
    import subprocess
    import sys

    code = "import sys, jobs.command; sys.exit(' '.join({'torch', 'ray', 'diffusers'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
