"""Pruning: old nights go, and what later nights refer to in them stays, and so does what others put there.

In a folder a kept picture is a hard link of its own, so an old night goes whole. In a bucket later nights refer to
pictures where they were made: those stay, with their thumbnails, under a marker that says why there is no job any more,
until no night refers to them. The marker is written first and job.json goes last but for it: what an ended pruning
leaves is a job that can be read as far as it is there, that nobody renders into, and that the next pruning removes.

Nothing is removed on the strength of what may be a part: a listing that is cut off raises (see
`cluster.store.s3_listing`), and so does whatever contradicts it: a night without its job.json, results that are fewer
than their summary counts, a picture that is referred to and there but not listed.
"""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.lease import Lease
from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.store import Store
from pressrun.cluster.store.uri import real_uri
from pressrun.jobs.delivery.belongings import THUMBNAILS, belongings
from pressrun.jobs.folder.job_file import IMAGES, JOB, MANIFEST, PRUNED, SUMMARY
from pressrun.jobs.folder.night_name import NightName
from pressrun.jobs.folder.night_references import referred_to
from pressrun.jobs.folder.result_schema import FOLDER as RESULTS
from pressrun.jobs.folder.series import LOCK, dated_names
from pressrun.jobs.results.changes import read_changes
from pressrun.pipeline.errors import JobError, StorageError

_THREADS = 16


@dataclass(frozen=True)
class Pruned:
    """Nights that stay and nights that went, by name; objects removed, and pictures that stay for later nights.

    `left` are files in nights that went which are not Pressrun's, or that lie behind a symbolic link; `linked` are
    nights that are links, and `busy` those that are being rendered: neither was touched.
    """

    prefix: str
    kept: tuple[str, ...]
    pruned: tuple[str, ...]
    removed: int
    referred_to: int
    dry_run: bool = False
    left: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Nights:
    """What stands under a prefix: dated `jobs` (oldest first), `remains` of those that a pruning has begun to remove,
    dated names that are links, and the names of other jobs."""

    jobs: tuple[NightName, ...]
    remains: tuple[NightName, ...]
    linked: tuple[str, ...]
    others: tuple[str, ...]


@dataclass
class _Gone:
    """What was removed so far."""

    nights: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    removed: int = 0
    stay: int = 0


def prune(stores: Stores, prefix: str, keep: int, *, dry_run: bool = False) -> Pruned:
    """Remove all dated jobs under `prefix` but the last `keep` finished ones and what is not older than all of them.

    A night that an unfinished one of those keeps from stays as well, and so do pictures that a job without a date
    beside them refers to. What is not Pressrun's stays, and nothing behind a symbolic link is touched.

    Raises:
        JobError: `keep` is less than 1, there is no such night, the order of the nights is in doubt, a kept one cannot
            be read, or a night is rendered now.
        StorageError: a store failed although it was asked again, or somebody else took over; the same call goes on.
    """
    if keep < 1:
        raise JobError(f"`keep` {keep} would leave nothing; give a number from 1 on.", code="bad_option")
    store = stores.open(real_uri(prefix))
    _nights(store)  # where there are none, nothing is made either
    if dry_run:
        return _Pruning(store, None).run(keep)
    store.prepare()
    with Lease(store, LOCK, f"Nights under {store.uri} are pruned") as lease:
        return _Pruning(store, lease).run(keep)


def _nights(prefix: Store) -> _Nights:
    """Raises JobError where there is nothing to prune, or no telling in which order."""

    @cache
    def is_job(name: str) -> bool:
        return _is_job(prefix, name)

    dated = dated_names(prefix, is_job)
    linked = [night for night in dated if prefix.linked(night.name)]
    own = [night for night in dated if night not in linked]
    remains = [night for night in own if prefix.head(f"{night.name}/{PRUNED}") is not None]
    jobs = [night for night in own if night not in remains and is_job(night.name)]
    if not jobs and not remains:
        raise JobError(
            f"There is no night under {prefix.uri}; point to the place where dated jobs stand.", code="no_job"
        )
    names = {night.name for night in own}
    others = [name for name in prefix.level()[0] if name and name not in names and is_job(name)]
    return _Nights(tuple(jobs), tuple(remains), tuple(night.name for night in linked), tuple(others))


def _is_job(prefix: Store, name: str) -> bool:
    """Whether a folder holds a job that is not pruned. Raises JobError for one that only lacks its job.json, or of
    which the store says now that it has one and now that it has none: what it keeps of other nights must stay."""
    if prefix.head(f"{name}/{JOB}") is not None:
        return True
    folders, entries = prefix.level(name)
    there = {entry.path.removeprefix(f"{name}/") for entry in entries}
    looks_like_one = RESULTS[:-1] in folders and there & {MANIFEST, SUMMARY}
    if (JOB not in there and not looks_like_one) or PRUNED in there or prefix.head(f"{name}/{PRUNED}") is not None:
        return False
    problem = f"{prefix.uri}/{name} looks like a job, but its {JOB} cannot be had"
    raise JobError(
        f"{problem}: run the command again; if it is gone, render that night again or remove what is there.",
        code="damaged_job",
    )


class _Pruning:
    """One go at the nights under a prefix; without a lease nothing is removed."""

    def __init__(self, prefix: Store, lease: Lease | None) -> None:
        self._prefix, self._lease = prefix, lease
        self._gone = _Gone()

    def run(self, keep: int) -> Pruned:
        nights, gone = _nights(self._prefix), self._gone
        kept = self._kept(nights.jobs, keep)
        referred = referred_to([self._night(name) for name in [*sorted(kept), *nights.others]])
        for night in sorted([*nights.remains, *nights.jobs], key=lambda night: night.order):
            if night.name not in kept:
                self._remove(night.name, referred)
        return Pruned(
            self._prefix.uri,
            tuple(night.name for night in nights.jobs if night.name in kept),
            tuple(gone.nights),
            gone.removed,
            gone.stay,
            self._lease is None,
            tuple(gone.left),
            nights.linked,
            tuple(gone.busy),
        )

    def _night(self, name: str) -> Store:
        return self._prefix.stores.open(f"{self._prefix.uri}/{name}", conditional=self._prefix.conditional)

    def _kept(self, jobs: Iterable[NightName], keep: int) -> set[str]:
        """The last finished nights, whatever is not known to be older than all of them, and what those keep from."""
        finished = [night for night in jobs if self._prefix.head(f"{night.name}/{SUMMARY}") is not None]
        if len(finished) < keep:
            return {night.name for night in jobs}
        kept = {night.name for night in jobs if not night.earlier_than(finished[-keep])}
        for name in kept - {night.name for night in finished}:
            since = read_changes(self._night(name)).since
            kept |= {night.name for night in jobs if since and real_uri(since) == f"{self._prefix.uri}/{night.name}"}
        return kept

    def _remove(self, name: str, referred: pa.Array) -> None:
        """Remove a night, unless it is being rendered."""
        if self._lease is None:
            self._empty(self._night(name), name, referred)
            return
        self._lease.check()
        job = self._night(name)
        rendering = Lease(job, LOCK, f"{job.uri} is pruned")
        try:
            rendering.acquire()
        except JobError:
            self._gone.busy.append(name)
            return
        try:
            stays = self._empty(job, name, referred)
        except BaseException:
            rendering.release()
            raise
        rendering.dissolve()
        if not stays:
            job.delete(PRUNED, fence=self._lease.check)
        job.sweep([f"{LOCK}/"])

    def _empty(self, job: Store, name: str, referred: pa.Array) -> int:
        """Remove what is the job's own but for its marker and the pictures that are referred to: how many stay."""
        found, gone = belongings(job), self._gone
        here = pc.binary_join_element_wise(pa.scalar(f"{job.uri}/", pa.string()), found.pictures, "")
        pictures = found.pictures.filter(pc.is_in(here, referred))
        _check_listed(job, referred, pa.concat_arrays([found.pictures, pa.array(found.foreign, pa.string())]))
        small = {THUMBNAILS + path.removeprefix(IMAGES) + ".webp" for path in pictures.to_pylist()}
        going = [
            path for path in found.files if path not in small and path != PRUNED and not path.startswith(f"{LOCK}/")
        ]
        going += found.pictures.filter(pc.invert(pc.is_in(here, referred))).to_pylist()
        behind = [path for path in going if job.linked(path)]
        going = [*set(going).difference(behind)]
        gone.nights.append(name)
        gone.stay += len(pictures)
        gone.removed += len(going)
        gone.left += [f"{name}/{path}" for path in (*found.foreign, *behind)]
        if self._lease is not None:
            self._mark(job, pictures)
            self._delete(job, going)
            job.sweep(going)
        return len(pictures)

    def _mark(self, job: Store, pictures: pa.Array) -> None:
        """Say that the job is being removed, and which of its pictures stay."""
        assert self._lease is not None
        self._lease.check()
        sizes = {entry.path: entry.size for entry in job.list(IMAGES)} if len(pictures) else {}
        about = {
            "pruned_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "pictures": {path: sizes[path] for path in pictures.to_pylist() if path in sizes},
        }
        job.put(PRUNED, json.dumps(about, ensure_ascii=False).encode(), "application/json")
        job.delete(SUMMARY, fence=self._lease.check)  # from here on it is no finished night

    def _delete(self, job: Store, going: list[str]) -> None:
        """Remove files, those last that make it a job."""
        assert self._lease is not None
        fence = self._lease.check
        last = [path for path in going if path in (JOB, MANIFEST) or path.startswith(RESULTS)]
        first = sorted(set(going) - set(last) - {SUMMARY})
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(lambda path: job.delete(path, fence=fence), first))
        for path in sorted(last, key=lambda path: (path == JOB, path == MANIFEST)):
            job.delete(path, fence=fence)


def _check_listed(job: Store, referred: pa.Array, listed: pa.Array) -> None:
    """Raise StorageError if a picture of the job that others refer to is there but was not listed."""
    ours = referred.filter(pc.starts_with(referred, f"{job.uri}/"))
    paths = pc.utf8_slice_codeunits(ours, len(job.uri) + 1)
    missing = paths.filter(pc.invert(pc.is_in(paths, listed))).to_pylist()
    with ThreadPoolExecutor(_THREADS) as threads:
        found = [path for path, entry in zip(missing, threads.map(job.head, missing), strict=True) if entry]
    if found:
        raise StorageError(f"The listing of {job.uri} lacks {found[0]}, which is there; try again later.")
