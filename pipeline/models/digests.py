"""Digests of a model's files: recorded in its folder, checked before it is loaded, remembered between starts.

`python -m pressrun.pipeline.models.digests --record FOLDER` writes the folder's `digests.json`, against which its files
are checked.
"""

import argparse
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.locations import user_cache
from pressrun.pipeline.models.weights import PARTS

INDEX = "model_index.json"
DIGESTS_FILE = "digests.json"
OVERRIDES_FILE = "pressrun.toml"
MATTERING = (".json", ".safetensors", ".jinja", ".txt", ".model")
"""Endings of the files in the parts' folders that decide pixels: configuration, weights, tokenizer."""


def record_digests(folder: Path) -> None:
    """Write `digests.json` into a model's folder: name and SHA-256 of every weight file, checked by `find_model`."""
    digests = {name: digest for name, digest in file_digests(folder).items() if name.endswith(".safetensors")}
    (folder / DIGESTS_FILE).write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")


def check_digests(folder: Path) -> None:
    """Raise JobError where a file of a model is not what its `digests.json` records."""
    path = folder / DIGESTS_FILE
    if not path.is_file():
        return
    try:
        recorded = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise JobError(f"{path} cannot be read: {error}; get the model again.", code="damaged_model") from error
    found = file_digests(folder)
    damaged = [name for name, digest in recorded.items() if found.get(name) != digest]
    if damaged:
        raise JobError(
            f"{folder} is damaged: {', '.join(damaged)} is not what {DIGESTS_FILE} records; get it again.",
            code="damaged_model",
        )


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a model that matters, by its path in the folder, in order."""
    paths = [path for path in (folder / INDEX, folder / OVERRIDES_FILE) if path.is_file()]
    paths += sorted(path for part in PARTS for path in (folder / part).rglob("*") if path.suffix in MATTERING)
    remembered = _remembered()
    digests, changed = {}, False
    for path in paths:
        name, real, status = path.relative_to(folder).as_posix(), path.resolve(), path.stat()
        if real.parent.name == "blobs" and len(real.name) == 64:  # the hub's cache names large files by their SHA-256
            digests[name] = real.name
            continue
        entry = remembered.get(str(real))
        if not entry or entry[:2] != [status.st_size, status.st_mtime_ns]:
            with path.open("rb") as file:
                entry = [status.st_size, status.st_mtime_ns, hashlib.file_digest(file, "sha256").hexdigest()]
            remembered[str(real)], changed = entry, True
        digests[name] = entry[2]
    if changed:
        _remember(remembered)
    return digests


def remember_digests(folder: Path, digests: Mapping[str, str]) -> None:
    """Keep the SHA-256 of files, by their paths in `folder`, that somebody has just hashed."""
    remembered = _remembered()
    for name, digest in digests.items():
        status = (folder / name).stat()
        remembered[str((folder / name).resolve())] = [status.st_size, status.st_mtime_ns, digest]
    _remember(remembered)


def _memory() -> Path:
    return user_cache() / "pressrun" / DIGESTS_FILE


def _remembered() -> dict[str, list[Any]]:
    try:
        return dict(json.loads(_memory().read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _remember(entries: Mapping[str, list[Any]]) -> None:
    """Keep the digests of files that are still there for the next start; where nothing can be written, that hashes
    again."""
    try:
        entries = {name: entry for name, entry in entries.items() if Path(name).is_file()}
        path = _memory()
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f"{path.name}.{os.getpid()}")
        scratch.write_text(json.dumps(entries), encoding="utf-8")
        scratch.replace(path)
    except OSError:
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Record the digests of a model's weights in its folder.")
    parser.add_argument("--record", type=Path, metavar="FOLDER", required=True)
    record_digests(parser.parse_args().record)
