"""Nights: jobs side by side under one prefix, each named by its date, and which of them a new one can keep from."""

import contextlib
import functools
from collections.abc import Callable, Iterator

from pressrun.cluster.store.lease import Lease
from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.store import Store, never
from pressrun.cluster.store.uri import real_uri
from pressrun.jobs.folder.job_file import JOB, PRUNED, SUMMARY, find_job
from pressrun.jobs.folder.night_name import NightName, doubtful, doubtful_names
from pressrun.pipeline.errors import JobError

LATEST = "latest"
LOCK = ".lock"
"""Under a prefix of nights: who works on them. In a night's own folder: who renders it."""


def prefix_of(uri: str) -> tuple[str, str]:
    """The place under which a job lies, and its name there.

    Raises:
        JobError: it is a bucket of its own.
    """
    prefix, _, name = uri.rpartition("/")
    if prefix in ("s3:/", "") or not name:
        raise JobError(
            f"{uri} has no place for other nights beside it; name a folder, such as …/2026-11-21.", code="bad_place"
        )
    return prefix, name


def earlier_jobs(stores: Stores, out: str, since: str | None) -> tuple[str, ...]:
    """The jobs that a run into `out` keeps pictures from, the first one first: the one that `since` names, or for
    "latest" those before `out` by their date, from the last one back to the last that is finished.

    Raises:
        JobError: it names no job, or this very one, or `out` has no date to go back from.
    """
    if since is None:
        return ()
    place = real_uri(out)
    if since != LATEST:
        earlier = stores.open(since)
        if real_uri(since) == place:
            raise JobError(f"`since` {since} is this job itself; name the job of another night.", code="bad_option")
        find_job(earlier)
        return (earlier.uri,)
    prefix, name = prefix_of(place)
    tonight = NightName.parse(name)
    if tonight is None:
        raise JobError(
            f"`since` latest goes back by date, but `out` ends in {name}; call it 2026-11-21 or the like.",
            code="bad_option",
        )
    return tuple(_back_from(stores.open(prefix), tonight))


def dated_names(prefix: Store, is_job: Callable[[str], bool]) -> list[NightName]:
    """What stands under a prefix and is named by a date, the oldest first.

    Raises:
        JobError: the name of a job looks like a date that cannot be read as one.
    """
    names = [name for name in prefix.level()[0] if name]
    if problem := doubtful_names(filter(is_job, doubtful(names))):
        raise JobError(f"The order of the jobs under {prefix.uri} is in doubt. {problem}", code="bad_option")
    return sorted(filter(None, map(NightName.parse, names)), key=lambda night: night.order)


def _back_from(prefix: Store, tonight: NightName) -> Iterator[str]:
    """The URIs of the jobs before tonight's, from the last one back to the last that is finished."""

    @functools.cache
    def is_job(name: str) -> bool:
        return prefix.head(f"{name}/{JOB}") is not None

    names = dated_names(prefix, is_job)
    before = [night for night in names if night.name != tonight.name and not tonight.earlier_than(night)]
    for night in filter(lambda night: is_job(night.name), reversed(before)):
        for other in (tonight, *before):
            if night.earlier_than(other) is None and (other is tonight or is_job(other.name)):
                problem = f"Their names do not tell which of {night.name} and {other.name} is the later night"
                raise JobError(
                    f"`since` latest: {problem}; name the one to keep from, `since` {prefix.uri}/…", code="bad_option"
                )
        yield f"{prefix.uri}/{night.name}"
        if prefix.head(f"{night.name}/{SUMMARY}") is not None:
            break


@contextlib.contextmanager
def series_lock(
    stores: Stores, out: str, since: str | None, wait: bool, tell: Callable[[str], None]
) -> Iterator[Callable[[], None]]:
    """No other night is rendered under the same prefix meanwhile; several drivers of one job are one night.

    Only nights that keep from each other are in each other's way: without `since`, or with one from elsewhere, nothing
    is locked. With `wait` the night before is waited for, and `tell` is told so. What is given raises StorageError
    once somebody else has taken over.

    Raises:
        JobError: another night is being rendered.
    """
    out = real_uri(out)
    prefix = _shared_prefix(out, since)
    if prefix is None:
        yield never
        return
    nights = stores.open(prefix)
    nights.prepare()
    purpose = f"A night is rendered into {out}"
    with Lease(nights, LOCK, purpose, shared=True, wait=wait, waiting=tell, hint="`wait` waits for it") as lease:
        yield lease.check


@contextlib.contextmanager
def unpruned(store: Store, since: str | None) -> Iterator[None]:
    """Nobody prunes the job in `store` meanwhile. A dated job that locks no prefix (see `alone`) takes a lease in its
    own folder, which pruning asks for before it removes a night.

    Raises:
        JobError: it is being pruned, or a pruning has begun to remove it.
    """
    place = real_uri(store.uri)
    if NightName.parse(place.rpartition("/")[2]) is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        if not _shared_prefix(place, since):
            stack.enter_context(Lease(store, LOCK, f"A night is rendered into {place}", shared=True))
        if store.head(PRUNED) is not None:
            raise JobError(f"{store.uri} was pruned; choose another place.", code="no_job")
        yield


def _shared_prefix(out: str, since: str | None) -> str | None:
    if since == LATEST:
        return prefix_of(out)[0]
    with contextlib.suppress(JobError):
        if since is not None and prefix_of(real_uri(since))[0] == prefix_of(out)[0]:
            return prefix_of(out)[0]
    return None
