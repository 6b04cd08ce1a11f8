"""Pruning: old nights go, and what later nights refer to in them stays.

In a folder a kept picture is a hard link of its own, so an old night goes whole. In a bucket later nights refer to
pictures where they were made: those stay, with their thumbnails, under a marker that says why there is no job any more,
until no night refers to them. The marker is written first and job.json goes next, so that whatever ends it, nobody
takes what is left for a job, and the next pruning goes on.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from cluster.lease import Lease
from cluster.store import Store, open_store
from jobs.changes import read_changes
from jobs.job import JOB, PRUNED, SUMMARY
from jobs.nights import LOCK, is_dated
from jobs.order import FOLDER
from jobs.parts import read_results
from pipeline.errors import JobError

_THREADS = 16


@dataclass(frozen=True)
class Pruned:
    """Nights that stay and nights that went, by name; objects removed, and pictures that stay for later nights."""

    prefix: str
    kept: tuple[str, ...]
    pruned: tuple[str, ...]
    removed: int
    referred_to: int
    dry_run: bool = False


def prune(prefix: str, keep: int, *, dry_run: bool = False) -> Pruned:
    """Remove all dated jobs under `prefix` but the last `keep` finished ones and what is newer than the oldest of them.

    A night that an unfinished one of those keeps from stays as well, and so do pictures that a job without a date
    beside them refers to.

    Raises:
        JobError: `keep` is less than 1, there is no such night, a kept one cannot be read, or a night is rendered now.
        StorageError: a store failed although it was asked again; the same call goes on.
    """
    if keep < 1:
        raise JobError(f"--keep {keep} would leave nothing; give a number from 1 on.")
    store = open_store(prefix)
    _nights(store)  # where there are none, nothing is made either
    if dry_run:
        return _pruned(store, keep, dry_run)
    store.prepare()
    with Lease(store, LOCK, f"Nights under {store.uri} are pruned") as lease:
        lease.check()
        return _pruned(store, keep, dry_run)


def _nights(prefix: Store) -> tuple[list[str], list[str], list[str]]:
    """The names of the dated jobs, of what remains of pruned ones, and of other jobs under a prefix.

    Raises JobError where there is nothing to prune.
    """
    names = prefix.level()[0]
    jobs = [name for name in names if prefix.head(f"{name}/{JOB}") is not None]
    dated = [name for name in jobs if is_dated(name)]
    remains = [name for name in names if is_dated(name) and name not in dated and prefix.head(f"{name}/{PRUNED}")]
    if not dated and not remains:
        raise JobError(f"There is no night under {prefix.uri}; point to the place where dated jobs stand.")
    return dated, remains, [name for name in jobs if name not in dated]


def _pruned(prefix: Store, keep: int, dry_run: bool) -> Pruned:
    jobs, remains, others = _nights(prefix)
    finished = [name for name in jobs if prefix.head(f"{name}/{SUMMARY}") is not None]
    oldest = finished[-keep] if len(finished) >= keep else ""
    kept = {name for name in jobs if name >= oldest}
    for name in kept - set(finished):
        since = read_changes(open_store(f"{prefix.uri}/{name}")).since
        kept |= {other for other in jobs if f"{prefix.uri}/{other}" == since}
    referred = _referred_to([open_store(f"{prefix.uri}/{name}") for name in sorted(kept) + others])
    removed = stay = 0
    gone = sorted({*remains, *jobs} - kept)
    for name in gone:
        counts = _remove(open_store(f"{prefix.uri}/{name}"), referred, dry_run)
        removed, stay = removed + counts[0], stay + counts[1]
    return Pruned(prefix.uri, tuple(sorted(kept)), tuple(gone), removed, stay, dry_run)


def _referred_to(jobs: list[Store]) -> pa.Array:
    """The URIs of all pictures of other jobs that some jobs refer to."""
    found = [pa.array([], pa.string())]
    for job in jobs:
        results = read_results(job, ("image", "renditions")).combine_chunks()
        beside = pc.struct_field(pc.list_flatten(results["renditions"].combine_chunks()), "image")
        images = pa.concat_arrays([results["image"].combine_chunks(), beside])
        found.append(images.filter(pc.invert(pc.starts_with(images, FOLDER)).fill_null(False)))
    return pc.unique(pa.concat_arrays(found))


def _remove(job: Store, referred: pa.Array, dry_run: bool) -> tuple[int, int]:
    """Remove a job but for the pictures that are referred to; how many objects went and how many pictures stay."""
    paths = pa.array(list(job.paths()), pa.string())
    here = pc.binary_join_element_wise(pa.scalar(f"{job.uri}/", pa.string()), paths, "")
    pictures = paths.filter(pc.is_in(here, referred))
    small = pc.binary_join_element_wise(
        pc.replace_substring_regex(pictures, f"^{FOLDER}", "thumbs/"), pa.scalar(".webp", pa.string()), ""
    )
    stays = pa.concat_arrays([pictures, small, pa.array([PRUNED])])
    going = paths.filter(pc.invert(pc.is_in(paths, stays))).to_pylist()
    if dry_run:
        return len(going), len(pictures)
    if job.head(PRUNED) is None:
        when = datetime.now(UTC).isoformat(timespec="seconds")
        job.put(PRUNED, json.dumps({"pruned_at": when}).encode(), "application/json")
    job.delete(JOB)
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(job.delete, going))
    if not len(pictures):
        job.delete(PRUNED)
        job.sweep()
    return len(going), len(pictures)
