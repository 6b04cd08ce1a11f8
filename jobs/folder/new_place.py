"""A place where a job is to be created: nothing of somebody else's may stand there under a name that a job writes.

Whoever points `out` at a folder of their own, a shop's or a website's, is told so before anything is written. Pictures
that carry our record are no obstacle: a job whose other files were lost goes on with them.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import compress, islice
from pathlib import Path

from pressrun.cluster.store.opening import stored_record
from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.clutter import is_clutter
from pressrun.jobs.text.wording import MAX_LISTED, first_of

_WEBSITE = (
    *("index.html", "index.htm", "index.php", "default.htm", "default.html", "Default.htm", "robots.txt"),
    *("sitemap.xml", ".htaccess", "web.config", "wp-config.php", "CNAME", "favicon.ico", ".well-known"),
)
"""What stands directly in the folder that a web server serves, and seldom elsewhere."""

_FOLDERS = ("images", "results", "thumbs", "pixels", "replacements")
_PICTURES = (("thumbs/", ".webp"), ("pixels/", ".png"), ("replacements/", ""))
"""Folders of pictures that are put without a look at what stands there, and how the names in them end."""

_THREADS = 16
_AT_ONCE = 1_024


def obstacles(store: Store, files: Sequence[str]) -> list[str]:
    """Why no job may be created in a store that has none, a sentence each; `files` are the names of what a job writes
    beside its folders. What is there costs a bucket one listing where nothing is, else a few questions for each name.

    Raises StorageError where the store does not answer.
    """
    if _is_bucket(store) and next(iter(store.paths()), None) is None:
        return []
    marks, taken = standing(store, _WEBSITE), standing(store, files)
    taken += [name for name in standing(store, _FOLDERS) if _is_no_folder(store, name)]
    taken += islice(_strangers(store), MAX_LISTED + 1)
    problems = []
    if taken:
        shown = first_of(taken[:MAX_LISTED]) + (" and more" if len(taken) > MAX_LISTED else "")
        problems.append(
            f"{store.uri} holds no job, but has what a job would replace: {shown}. Choose another `out`, or move that "
            "away; if this was a job, put its job.json back."
        )
    if marks:
        problems.append(
            f"{store.uri} looks like a website's root ({first_of(marks)}): a job's manifest and results would be "
            "served with it. Choose a folder of its own, which is not served."
        )
    return problems


def standing(store: Store, names: Sequence[str]) -> list[str]:
    """Those of some names, directly in a store, that are taken: by a file, a folder, or a link wherever it leads."""

    def is_taken(name: str) -> bool:
        if not _is_bucket(store):
            return os.path.lexists(Path(store.uri, name))
        return store.head(name) is not None or next(iter(store.paths(f"{name}/")), None) is not None

    with ThreadPoolExecutor(_THREADS) as threads:
        return [*compress(names, threads.map(is_taken, names))]


def _is_bucket(store: Store) -> bool:
    return store.uri.startswith("s3://")


def _is_no_folder(store: Store, name: str) -> bool:
    return store.head(name) is not None if _is_bucket(store) else not Path(store.uri, name).is_dir()


def _strangers(store: Store) -> Iterator[str]:
    """What stands in a job's folders under names that are written over, and is not known to be a job's."""
    yield from (path for path in store.paths("results/part-") if path.endswith(".parquet"))
    with ThreadPoolExecutor(_THREADS) as threads:
        for folder, ending in _PICTURES:
            paths = (path for path in store.paths(folder) if path.endswith(ending) and not is_clutter(path))
            while some := list(islice(paths, _AT_ONCE)):
                yield from compress(some, threads.map(lambda path: _is_foreign(store, path), some))


def _is_foreign(store: Store, path: str) -> bool:
    """Whether a picture has no record of ours, or is a link that leads nowhere."""
    try:
        return stored_record(store, path, path.rpartition(".")[2]) is None
    except FileNotFoundError:
        return True
    except ValueError:  # a//b and the like, which a bucket can hold and no job writes
        return False
