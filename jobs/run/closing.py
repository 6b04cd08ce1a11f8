"""Closing a job: results in manifest order, its pages, and last of all the summary.

The pictures are what a customer pays for. A page that cannot be made is told, and takes nothing else with it.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pressrun.cluster.actors.finisher import REPLACEMENTS
from pressrun.cluster.store.store import Store
from pressrun.jobs.dedup.verdicts import judged, remove_rejected
from pressrun.jobs.folder.causes import group_causes
from pressrun.jobs.folder.job_file import SHEET, SIDECAR, SUMMARY, TIMELINE
from pressrun.jobs.reports.contact_sheet import contact_sheet
from pressrun.jobs.reports.sidecar import sidecar
from pressrun.jobs.resolve.resolved_job import ResolvedJob
from pressrun.jobs.results.changes import NOTHING, read_changes
from pressrun.jobs.results.results import Results
from pressrun.jobs.results.summary import Summary, count_flagged, count_statuses
from pressrun.jobs.run.ending import EndCode, Ending
from pressrun.jobs.run.execution import Use
from pressrun.jobs.run.open_job import OpenJob
from pressrun.jobs.text.wording import shortened
from pressrun.pipeline.errors import StorageError


def finalise(job: OpenJob, ending: Ending, use: Use, seconds: float) -> Summary:
    """Write what a run adds up to; the summary comes last, and only when every row is accounted for."""
    order, results, changes = job.order, job.results, NOTHING
    try:
        changes = read_changes(job.store)
        results.flush()
    except StorageError as error:
        ending = ending if not ending.done else Ending(EndCode.STORAGE, str(error))
    counts: dict[str, Any] = count_statuses(results.last)
    left = order.rows - sum(counts.values())
    if left and ending.done:
        reached = job.limits.reached()
        if reached is None:
            raise RuntimeError(f"{left} rows have no outcome although the run went to its end")
        ending = Ending(EndCode.LIMIT, reached)
    summary = Summary(
        out=job.store.uri,
        model=order.job.model,
        rows=order.rows,
        **counts,
        flagged=count_flagged(results.last),
        pending=left,
        rendered=use.rendered,
        stored=use.stored,
        megapixels=round(use.megapixels, 3),
        seconds=round(seconds, 2),
        images_per_second=round(use.rendered / seconds, 3),
        busy=dict(use.busy),
        layout=use.layout,
        smaller_batches=job.batches.room.fits,
        causes=group_causes(results.last),
        changes=changes,
        stopped=ending.message or None,
    )
    try:
        if ending.done and (results.changed or not is_closed(job.store)):
            return close_job(job.store, order, results, summary, use.trace)
    except StorageError as error:
        return replace(summary, stopped=str(error))
    except Exception as error:  # a bug of ours: whoever waits for the run's end is told, as of any other end
        why = f"The job could not be closed ({cause_of(error)}); its pictures and results are kept."
        return replace(summary, stopped=why)
    return summary


def close_job(
    store: Store, order: ResolvedJob, results: Results, summary: Summary, trace: dict[str, Any] | None
) -> Summary:
    """Write everything that a finished job has beside its pictures; returns the summary as it was written.

    Its counts are those of the closed results, in which another driver's outcomes may count more than this run's.

    Raises:
        StorageError: the store failed although it was asked again.
    """
    duplicates = order.finishing.check("duplicate")
    table = results.close((lambda all: judged(all, duplicates)) if duplicates else lambda all: all)
    if duplicates:
        remove_rejected(store, order, table, duplicates)
        for path in [*store.paths(REPLACEMENTS)]:
            store.delete(path)
    counts: dict[str, Any] = count_statuses(table)
    summary = replace(summary, **counts, flagged=count_flagged(table), causes=group_causes(table))
    about = (store.uri, order.job.model, order.manifest.table["prompt"], order.paths)
    pages: dict[str, tuple[str, Callable[[], bytes]]] = {
        SIDECAR: ("text/csv; charset=utf-8", lambda: sidecar(order, table)),
        SHEET: ("text/html; charset=utf-8", lambda: contact_sheet(*about, table, vars(summary))),
    }
    if trace:
        pages[TIMELINE] = ("application/json", lambda: json.dumps(trace).encode())
    told = [_put_page(store, path, *pages[path]) for path in pages]
    summary = replace(summary, unmade=tuple(filter(None, told)))
    store.put(SUMMARY, summary.to_json(), "application/json")
    return summary


def _put_page(store: Store, path: str, content_type: str, make: Callable[[], bytes]) -> str:
    """Make a page and put it into its place, which is empty if that fails; then the sentence that tells it, else ""."""
    try:
        page = make()
    except Exception as error:  # a bug of ours, and the rest of the job is whole
        store.delete(path)
        return (
            f"{path} could not be made ({cause_of(error)}); pictures and results are whole. "
            "The same command tries again."
        )
    store.put(path, page, content_type)
    return ""


def cause_of(error: Exception) -> str:
    """A bug's name and words."""
    words = shortened(str(error).partition("\n")[0].rstrip("."), 300)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def is_closed(store: Store) -> bool:
    """Whether the job has its summary, which tells of no page that could not be made."""
    try:
        told = json.loads(store.get(SUMMARY))
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return not (isinstance(told, dict) and told.get("unmade"))
