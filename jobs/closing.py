"""Closing a job: results in manifest order, the contact sheet, and last of all the summary."""

import json
from typing import Any

import pyarrow as pa

from cluster.store import Store
from jobs.job import SHEET, SUMMARY, TIMELINE
from jobs.order import Order
from jobs.results import Results
from jobs.sheet import write_sheet
from jobs.summary import Summary


def close_job(store: Store, order: Order, results: Results, summary: Summary, trace: dict[str, Any] | None) -> None:
    """Write everything that a finished job has beside its pictures.

    Raises:
        StorageError: the store failed although it was asked again.
    """
    table = results.close()
    if trace:
        store.put(TIMELINE, json.dumps(trace).encode(), "application/json")
    store.put(SHEET, contact_sheet(store, order, table, summary), "text/html; charset=utf-8")
    store.put(SUMMARY, summary.to_json(), "application/json")


def contact_sheet(store: Store, order: Order, table: pa.Table, summary: Summary) -> bytes:
    """The page over the results, each with its prompt."""
    job = {"title": store.uri.rsplit("/", 1)[-1], "model": order.job.model, "out": store.uri}
    figures = {"seconds": summary.seconds, "images_per_second": summary.images_per_second}
    prompts = order.manifest.table["prompt"]
    return write_sheet(table.add_column(1, "prompt", prompts), job, figures)
