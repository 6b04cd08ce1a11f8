"""A history of nights: the dated jobs under a prefix with their figures, read from the folders alone."""

import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pressrun.cluster.store.store import Store
from pressrun.jobs.delivery.records_place import FOLDER as RECORDS
from pressrun.jobs.folder.job_file import JOB, SUMMARY, find_job
from pressrun.jobs.folder.result_schema import read_results
from pressrun.jobs.folder.series import dated_names
from pressrun.jobs.night.night_log import goes_of
from pressrun.jobs.night.report import STATES
from pressrun.jobs.results.summary import count_statuses
from pressrun.pipeline.errors import JobError

_THREADS = 16
_COUNTS = ("succeeded", "cached", "failed", "rejected")
_UNDO = re.compile(r"[0-9]{6}-(.*)")


@dataclass(frozen=True)
class NightFigures:
    """One night. `rendered` and `seconds` are those of all runs that `pressrun night` made, else of the last one;
    `published` tells whether anything of it was, `exit_code` how `pressrun night` ended (None: it was not used)."""

    night: str
    job: str
    rows: int
    succeeded: int = 0
    cached: int = 0
    failed: int = 0
    rejected: int = 0
    pending: int = 0
    rendered: int = 0
    seconds: float = 0.0
    finished: bool = False
    published: bool = False
    exit_code: int | None = None
    problem: str = ""

    @property
    def state(self) -> str:
        """How the night stands, in a word or two."""
        if self.problem:
            return "damaged"
        if self.exit_code is not None:
            return STATES.get(self.exit_code, "stopped")
        if not self.finished:
            return "not finished"
        return STATES[1] if self.failed or self.rejected else STATES[0]


def history(prefix: Store) -> tuple[NightFigures, ...]:
    """The nights under a prefix, the newest first; none where there is no dated job.

    Raises:
        JobError: the name of a job looks like a date that cannot be read as one.
        StorageError: the store does not answer.
    """
    names = [night.name for night in dated_names(prefix, lambda name: prefix.head(f"{name}/{JOB}") is not None)]
    published = _published_names(prefix)

    def looked_at(name: str) -> NightFigures | None:
        store = prefix.stores.open(f"{prefix.uri}/{name}")
        return None if store.head(JOB) is None else _figures(name, store, name in published)

    with ThreadPoolExecutor(_THREADS) as threads:
        return tuple(filter(None, threads.map(looked_at, reversed(names))))


def _figures(name: str, store: Store, published: bool) -> NightFigures:
    """What is known of one night; one that is damaged says so, and takes nothing from the others."""
    try:
        rows = int(find_job(store)["rows"])
        told = _summary(store)
        counts: dict[str, Any] = {one: int(told[one]) for one in _COUNTS if told}
        counts = counts or count_statuses(read_results(store, ()))
    except (JobError, KeyError, TypeError, ValueError) as error:
        return NightFigures(name, store.uri, 0, problem=str(error) if isinstance(error, JobError) else "damaged")
    goes = goes_of(store)
    return NightFigures(
        name,
        store.uri,
        rows,
        **counts,
        pending=rows - sum(counts.values()),
        rendered=sum(int(go.get("rendered") or 0) for go in goes) if goes else int(told.get("rendered", 0)),
        seconds=round(sum(_seconds(go) for go in goes) if goes else float(told.get("seconds", 0.0)), 1),
        finished=bool(told),
        published=published or any(go.get("published") for go in goes),
        exit_code=goes[-1].get("exit_code") if goes else None,
    )


def _summary(store: Store) -> Mapping[str, Any]:
    """What summary.json says; empty where the job is not finished."""
    try:
        return dict(json.loads(store.get(SUMMARY)))
    except FileNotFoundError:
        return {}


def _seconds(go: Mapping[str, Any]) -> float:
    seconds = go.get("seconds")
    return float(seconds.get("render", 0.0)) if isinstance(seconds, dict) else 0.0


def _published_names(prefix: Store) -> set[str]:
    """Nights whose publications can be undone: undo's folders are called after them."""
    names = set()
    for place in prefix.level(RECORDS)[0]:
        for undo in prefix.level(f"{RECORDS}/{place}/undo")[0]:
            if match := _UNDO.fullmatch(undo):
                names.add(match[1])
    return names
