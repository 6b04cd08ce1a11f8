"""Nights: jobs side by side under one prefix, each named by its date, and which of them a new one can keep from."""

import contextlib
import re
from collections.abc import Callable, Iterator

from cluster.lease import Lease
from cluster.store import Store, open_store
from jobs.job import JOB, SUMMARY, find_job
from pipeline.errors import JobError

LATEST = "latest"
LOCK = ".lock"
"""Under a prefix of nights: who works on them."""

_DATED = re.compile(r"\d{4}-?\d{2}-?\d{2}(\D.*)?")


def is_dated(name: str) -> bool:
    """Whether a job's name begins with a date, as 2026-11-21, 20261121 and 2026-11-21T0200 do: they sort by time."""
    return _DATED.fullmatch(name) is not None


def prefix_of(uri: str) -> tuple[str, str]:
    """The place under which a job lies, and its name there.

    Raises:
        JobError: it is a bucket of its own.
    """
    prefix, _, name = uri.rpartition("/")
    if prefix in ("s3:/", "") or not name:
        raise JobError(f"{uri} has no place for other nights beside it; name a folder, such as …/2026-11-21.")
    return prefix, name


def nights_under(prefix: str) -> list[str]:
    """The names of the dated jobs under a prefix, the oldest first; of those that were pruned, nothing."""
    store = open_store(prefix)
    return [name for name in store.level()[0] if is_dated(name) and store.head(f"{name}/{JOB}") is not None]


def earlier_jobs(out: str, since: str | None) -> tuple[str, ...]:
    """The jobs that a run into `out` keeps pictures from, the first one first: the one that `since` names, or for
    "latest" those before `out` by their date, from the last one back to the last that is finished.

    Raises:
        JobError: it names no job, or this very one, or `out` has no date to go back from.
    """
    if since is None:
        return ()
    store = open_store(out)
    if since != LATEST:
        earlier = open_store(since)
        if earlier.uri == store.uri:
            raise JobError(f"--since {since} is this job itself; name the job of another night.")
        find_job(earlier)
        return (earlier.uri,)
    prefix, name = prefix_of(store.uri)
    if not is_dated(name):
        raise JobError(f"--since latest goes back by date, but --out ends in {name}; call it 2026-11-21 or the like.")
    return tuple(_back_from(open_store(prefix), name))


def _back_from(prefix: Store, name: str) -> list[str]:
    found = []
    for other in reversed([other for other in prefix.level()[0] if is_dated(other) and other < name]):
        if prefix.head(f"{other}/{JOB}") is not None:
            found.append(f"{prefix.uri}/{other}")
            if prefix.head(f"{other}/{SUMMARY}") is not None:
                break
    return found


@contextlib.contextmanager
def alone(out: str, since: str | None, wait: bool, tell: Callable[[str], None]) -> Iterator[None]:
    """No other night is rendered under the same prefix meanwhile; several drivers of one job are one night.

    Only nights that keep from each other are in each other's way: without `since`, or with one from elsewhere, nothing
    is locked. With `wait` the night before is waited for, and `tell` is told so.

    Raises:
        JobError: another night is being rendered.
    """
    prefix = _shared_prefix(open_store(out).uri, since)
    if prefix is None:
        yield
        return
    store = open_store(prefix)
    store.prepare()
    purpose = f"A night is rendered into {open_store(out).uri}"
    with Lease(store, LOCK, purpose, shared=True, wait=wait, waiting=tell, hint="--wait waits for it"):
        yield


def _shared_prefix(out: str, since: str | None) -> str | None:
    if since == LATEST:
        return prefix_of(out)[0]
    with contextlib.suppress(JobError):
        if since is not None and prefix_of(open_store(since).uri)[0] == prefix_of(out)[0]:
            return prefix_of(out)[0]
    return None
