"""How a job stands, read from its folder alone: works while it runs elsewhere, and years later."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.store import Store
from pressrun.jobs.decisions.decision_folder import read_decisions
from pressrun.jobs.folder.causes import Cause, group_causes
from pressrun.jobs.folder.job_file import SUMMARY, find_job
from pressrun.jobs.folder.result_schema import busy_shares, is_done, read_results
from pressrun.jobs.results.changes import Changes, read_changes
from pressrun.jobs.results.summary import count_flagged, count_statuses

_RECENT_SEC = 300
_COLUMNS = ("sha256", "flags", "error_code", "error_message", "finished_at")


@dataclass(frozen=True)
class Status:
    """Counts of a job's rows, its recent speed, why rows failed, and what changed since the job that it keeps from.
    Of the pictures there are so many are `approved`, so many rejected by people (`decided_against`).

    `seconds_left` is None where nothing is known, `busy` are the busy shares of the run that wrote last, as it knew
    them then (see `jobs.results.summary`).
    """

    out: str
    model: str
    rows: int
    succeeded: int
    cached: int
    failed: int
    rejected: int
    flagged: int
    pending: int
    finished: bool
    images_per_second: float
    seconds_left: float | None
    approved: int
    decided_against: int
    busy: dict[str, float]
    causes: tuple[Cause, ...]
    changes: Changes

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def read_status(store: Store) -> Status:
    """The status of the job in a store.

    Raises:
        JobError: there is none.
    """
    job = find_job(store)
    results = read_results(store, _COLUMNS)
    counts = count_statuses(results)
    pending = int(job["rows"]) - sum(counts.values())
    speed, decisions = _recent_speed(results), read_decisions(store)
    return Status(
        out=store.uri,
        model=str(job["model"]),
        rows=int(job["rows"]),
        **counts,
        flagged=count_flagged(results),
        pending=pending,
        finished=not pending and store.head(SUMMARY) is not None,
        images_per_second=round(speed, 3),
        seconds_left=round(pending / speed, 1) if pending and speed else None,
        approved=_decided(results, decisions.approved),
        decided_against=_decided(results, decisions.rejected),
        busy=busy_shares(results),
        causes=group_causes(results),
        changes=read_changes(store),
    )


def _decided(results: pa.Table, which: Callable[[pa.Array, pa.Array], pa.Array]) -> int:
    """How many pictures were decided on in a way."""
    done = results.filter(pa.array(is_done(results)))
    return int(pc.sum(which(*(done[name].combine_chunks() for name in ("custom_id", "sha256")))).as_py() or 0)


def _recent_speed(results: pa.Table) -> float:
    """Pictures per second over the last five minutes in which any were finished; 0.0 where less than a second is
    known."""
    times = results.filter(pc.equal(results["status"], "succeeded"))["finished_at"].drop_null()
    if len(times) < 2:
        return 0.0
    seconds = pc.divide(pc.cast(times, pa.int64()), 1000.0)
    last = pc.max(seconds).as_py()
    recent = seconds.filter(pc.greater_equal(seconds, last - _RECENT_SEC))
    span = last - pc.min(recent).as_py()
    return (len(recent) - 1) / span if span >= 1 else 0.0
