"""A user's project whose modules are called like ours, like a dependency's and like Python's own."""

from pathlib import Path

PACKAGES = ("pressrun", "pipeline", "cluster", "jobs", "numpy", "PIL", "pyarrow", "psutil")
MODULES = ("ray", "torch", "diffusers", "boto3", "queue", "logging", "subprocess", "tempfile", "json", "socket")


def make_project(folder: Path) -> Path:
    """Modules that raise when they are imported, and leave their name in the file `imported` before."""
    folder.mkdir(exist_ok=True)
    imported = folder / "imported"
    code = f"open({str(imported)!r}, 'a').write(__name__ + ' ')\nraise RuntimeError('the project has its own')\n"
    for name in PACKAGES:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(code)
    for name in MODULES:
        (folder / f"{name}.py").write_text(code)
    return imported
