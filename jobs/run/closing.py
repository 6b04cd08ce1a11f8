"""Closing a job: results in manifest order, its pages, and last of all the summary.

The pictures are what a customer pays for. A page that cannot be made is told, and takes nothing else with it.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pressrun.cluster.protocol.picture_paths import REPLACEMENTS
from pressrun.cluster.store.store import Store
from pressrun.jobs.decisions.decision_folder import read_decisions
from pressrun.jobs.dedup.verdicts import judged, remove_rejected
from pressrun.jobs.folder.causes import group_causes
from pressrun.jobs.folder.job_file import SHEET, SIDECAR, SUMMARY, TIMELINE
from pressrun.jobs.reports.contact_sheet import contact_sheet
from pressrun.jobs.reports.sidecar import sidecar
from pressrun.jobs.resolve.resolved_job import ResolvedJob
from pressrun.jobs.results.results import Results
from pressrun.jobs.results.summary import Summary, count_flagged, count_statuses
from pressrun.jobs.text.wording import shortened


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
    if duplicates or order.rerolls:
        for path in [*store.paths(REPLACEMENTS)]:
            store.delete(path)
    counts: dict[str, Any] = count_statuses(table)
    summary = replace(summary, **counts, flagged=count_flagged(table), causes=group_causes(table))
    about = {"model": order.job.model, "out": store.uri, "fingerprint": order.job.fingerprint}
    rows = (order.manifest.table["prompt"], order.paths, table, vars(summary))
    pages: dict[str, tuple[str, Callable[[], bytes]]] = {
        SIDECAR: ("text/csv; charset=utf-8", lambda: sidecar(order, table)),
        SHEET: ("text/html; charset=utf-8", lambda: contact_sheet(about, *rows, read_decisions(store))),
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
