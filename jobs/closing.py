"""Closing a job: results in manifest order, the contact sheet, and last of all the summary."""

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cluster.finishing import REPLACEMENTS
from cluster.store import Store
from jobs.causes import group_causes
from jobs.duplicates import judged, remove_rejected
from jobs.job import SHEET, SIDECAR, SUMMARY, TIMELINE
from jobs.order import Order
from jobs.results import Results
from jobs.sheet import write_sheet
from jobs.sidecar import sidecar
from jobs.summary import Summary, count_flagged, count_statuses


def close_job(store: Store, order: Order, results: Results, summary: Summary, trace: dict[str, Any] | None) -> Summary:
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
    if trace:
        store.put(TIMELINE, json.dumps(trace).encode(), "application/json")
    store.put(SIDECAR, sidecar(order, table), "text/csv; charset=utf-8")
    store.put(SHEET, contact_sheet(store, order, table, summary), "text/html; charset=utf-8")
    store.put(SUMMARY, summary.to_json(), "application/json")
    return summary


def contact_sheet(store: Store, order: Order, table: pa.Table, summary: Summary) -> bytes:
    """The page over the results, each with its prompt."""
    job = {"title": store.uri.rsplit("/", 1)[-1], "model": order.job.model, "out": store.uri}
    figures = {"seconds": summary.seconds, "images_per_second": summary.images_per_second}
    prompts = order.manifest.table["prompt"]
    # A rejected picture is not kept, but its thumbnail is: whoever looks can judge the judge.
    judged = pc.and_(pc.equal(table["status"], "rejected"), pc.is_valid(table["device"]))
    thumbs = pc.if_else(judged, order.paths, pa.scalar(None, pa.string()))
    return write_sheet(table.add_column(1, "prompt", prompts).add_column(2, "thumb", thumbs), job, figures)
