"""Where the folders of catalogued models lie on this machine, and where fetched ones are put.

`PRESSRUN_MODELS` is a folder with one folder for each model, named as in the catalogue. Where it is not set, models are
in the Hugging Face hub's own cache, which other programs fill and read as well.
"""

import contextlib
import os
from pathlib import Path

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.weights import PARTS, missing_files

MODELS_VARIABLE = "PRESSRUN_MODELS"


def models_folder() -> Path | None:
    """The folder that `PRESSRUN_MODELS` names, if it does."""
    shelf = os.environ.get(MODELS_VARIABLE)
    return Path(os.path.expanduser(shelf)) if shelf else None  # noqa: PTH111 (what has no home stays as it is)


def user_cache() -> Path:
    """Where a user's programs keep what can be had again; below / for a user without a home, as containers have it."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    return Path("/.cache") if cache.startswith("~") else Path(cache)


def hub_cache() -> Path:
    """Where the Hugging Face hub's client keeps what it fetched, as its documentation says."""
    home = os.environ.get("HF_HOME") or user_cache() / "huggingface"
    return Path(os.path.expanduser(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub"))  # noqa: PTH111


def hub_snapshot(repo: str, revision: str) -> Path:
    """The folder of a repository's revision in the hub's cache, whether it is there or not."""
    return hub_cache() / f"models--{repo.replace('/', '--')}" / "snapshots" / revision


def folder_of(name: str, repo: str, revision: str) -> Path | None:
    """A catalogued model's folder on this machine. What the hub's cache holds only a part of is not there."""
    shelf = models_folder()
    if shelf and (shelf / name).is_dir():
        return shelf / name
    if not (repo and revision):
        return None
    folder = hub_snapshot(repo, revision)
    with contextlib.suppress(JobError, OSError):
        parts = [folder / "model_index.json", *((folder / part) for part in PARTS)]
        if all(path.exists() for path in parts) and not missing_files(folder):
            return folder
    return None
