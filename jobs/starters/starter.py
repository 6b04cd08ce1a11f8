"""A starter: the files of one commented example, copied into a folder whole or not at all."""

import contextlib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

from pressrun.cluster.store.uri import SCHEME, local_path
from pressrun.jobs.text.wording import first_of, shortened
from pressrun.pipeline.errors import JobError

STARTERS: Mapping[str, Mapping[str, str]] = {
    "campaign": {
        "campaign.toml": "new/campaign/campaign.toml",
        "products.csv": "new/campaign/products.csv",
        "style.toml": "new/campaign/style.toml",
        "photos/beach.png": "references/beach.png",
        "photos/forest.png": "references/forest.png",
    },
    "night": {
        "night.toml": "night.toml",
        "tonight.parquet": "night-1.parquet",
        "references/beach.png": "references/beach.png",
        "references/forest.png": "references/forest.png",
        "references/sunset.png": "references/sunset.png",
    },
    "finish": {
        "finish.toml": "new/finish/finish.toml",
        "barred.txt": "new/finish/barred.txt",
        "try.csv": "new/finish/try.csv",
    },
    "dam": {
        "manifest.csv": "new/dam/manifest.csv",
        "finish.toml": "new/dam/finish.toml",
        "DELIVER.md": "new/dam/DELIVER.md",
        "photos/A-1042.png": "references/sunset.png",
        "photos/A-1043.png": "references/beach.png",
    },
}
"""Each starter's files, and where in `jobs/examples` they lie."""


def write_starter(starter: str, folder: str) -> list[str]:
    """Copy the files of one of `STARTERS` into `folder`, which is made if it is not there; returns their names.

    What is written before something fails is removed again.

    Raises:
        JobError: the folder is none of this machine, holds files of these names (all of them are named), or cannot be
            written.
    """
    if SCHEME.match(folder) and not folder.lower().startswith("file://"):
        raise JobError(f"{shortened(folder)} is no folder of this machine: name a path.", code="bad_place")
    place, files = Path(local_path(folder)), STARTERS[starter]
    taken = [name for name in files if (place / name).exists() or (place / name).is_symlink()]
    if taken:
        raise JobError(
            f"{shortened(folder)} has {first_of(taken)} already; name a new folder, or move what is there.",
            code="bad_place",
        )
    examples = resources.files("pressrun.jobs.examples")
    with _removed_unless_whole() as made:
        try:
            for name, source in files.items():
                _make_folders((place / name).parent, made)
                with (place / name).open("xb") as file:
                    made.append(place / name)
                    file.write(examples.joinpath(source).read_bytes())
        except OSError as error:
            why = error.strerror or str(error)
            raise JobError(f"{shortened(folder)} cannot be written: {why}.", code="bad_place") from None
    return list(files)


def _make_folders(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it; `made` gets those that were not there."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir()
        made.append(one)


@contextlib.contextmanager
def _removed_unless_whole() -> Iterator[list[Path]]:
    """A list for files and folders that are made; if anything interrupts it, they go again."""
    made: list[Path] = []
    try:
        yield made
    except BaseException:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise
