"""A job's contact sheet: one HTML page beside the pictures, for the people who must choose among them.

The page has to open from a disk or a bucket, years later, with no server: so everything that it knows is embedded,
column by column, and everything that it shows besides is a picture at a relative address. A prompt is a stranger's
text: it enters the page as JSON in which `<` cannot occur, and the page's policy runs one script only, ours.
"""

import datetime
import decimal
import math
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.folder.result_schema import SCHEMA, STATUSES
from pressrun.jobs.reports.page import as_json, page
from pressrun.jobs.text.public_text import public_column
from pressrun.jobs.text.value_text import text_of
from pressrun.jobs.text.value_text import values as python_values

ROWS = 50_000
"""Rows a sheet shows unless told otherwise: about 30 MB, which a browser still parses in a second."""

PAGE_BYTES = 64 << 20
"""A page is never larger: rows with very long texts lower the number shown."""

TEXT = 4_000
"""Characters of one value that the page shows."""

FACET = 50
"""Distinct values up to which a column becomes a filter."""

OURS = frozenset(("prompt", "thumb", *SCHEMA.names))
"""Columns that mean the same in every job; any other is the customer's."""

Cell = None | bool | int | float | str


def contact_sheet(
    out: str, model: str, prompts: pa.ChunkedArray, paths: pa.Array, table: pa.Table, summary: Mapping[str, Any]
) -> bytes:
    """The page over the closed results of the job at `out`, each with its prompt; `paths` is where each row's picture
    belongs."""
    job = {"title": out.rsplit("/", 1)[-1], "model": model, "out": out}
    # A rejected picture is not kept, but its thumbnail is: whoever looks can judge the judge.
    judged = pc.and_(pc.equal(table["status"], "rejected"), pc.is_valid(table["device"]))
    thumbs = pc.if_else(judged, paths, pa.scalar(None, pa.string()))
    return write_sheet(table.add_column(1, "prompt", prompts).add_column(2, "thumb", thumbs), job, summary)


def write_sheet(
    results: pa.Table,
    job: Mapping[str, Any],
    summary: Mapping[str, Any],
    limit: int = ROWS,
    page_bytes: int = PAGE_BYTES,
) -> bytes:
    """The bytes of `OUT/index.html`.

    `results` is the closed job's table: the result columns, `prompt`, `thumb` (where a rejected picture would stand,
    whose thumbnail is there), then the customer's, in manifest order. Of `job` the page uses `title`, `model` and `out`
    (the job's place), of `summary` `seconds` and `images_per_second`; each may be missing. At most `limit` rows are
    shown, fewer if the page would exceed `page_bytes`; the counts are of all rows.
    """
    shown = min(limit, results.num_rows)
    data = as_json(_data(results, job, summary, shown))
    while shown > 1 and len(data) > page_bytes:
        shown = max(1, min(shown // 2, shown * page_bytes // len(data)))
        data = as_json(_data(results, job, summary, shown))
    return page("sheet.html", _title(job), data)


def _title(job: Mapping[str, Any]) -> str:
    return str(job.get("title") or str(job.get("out") or "").rstrip("/").rpartition("/")[2] or "Contact sheet")


def _data(results: pa.Table, job: Mapping[str, Any], summary: Mapping[str, Any], shown: int) -> dict[str, Any]:
    """What the page knows: the job in a few fields, then the first `shown` rows by column."""
    counts = {pair["values"]: pair["counts"] for pair in pc.value_counts(results["status"]).to_pylist()}
    rows = results.slice(0, shown)
    return {
        "title": _title(job),
        "model": _cell(job.get("model")),
        "out": _cell(job.get("out")),
        "seconds": _cell(summary.get("seconds")),
        "rate": _cell(summary.get("images_per_second")),
        "rows": results.num_rows,
        "shown": shown,
        "flagged": _count(results, "flags", lambda flags: flags.is_valid()),
        "reseeded": _count(results, "reseeds", lambda reseeds: pc.greater(reseeds, 0)),
        "counts": {status: counts[status] for status in STATUSES if counts.get(status)},
        "columns": [_column(name, rows[name]) for name in rows.column_names],
    }


def _count(results: pa.Table, name: str, which: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> int:
    """Of how many rows with a picture something holds."""
    if name not in results.schema.names:
        return 0
    return int(pc.sum(pc.and_(which(results[name]), results["image"].is_valid())).as_py() or 0)


def _column(name: str, values: pa.ChunkedArray) -> dict[str, Any]:
    """One column in the shortest of three forms: a single `value`, `values` with `codes`, or `cells`."""
    shown = cells(name, values)
    distinct = list(dict.fromkeys(shown))
    column: dict[str, Any] = {"name": name, "ours": name in OURS}
    if len(distinct) == 1:
        return column | {"value": distinct[0]}
    if facet := _is_facet(name, distinct, len(shown)):
        column["facet"] = True
    if facet or 2 * len(distinct) <= len(shown):
        code = {value: number for number, value in enumerate(distinct)}
        return column | {"values": distinct, "codes": [code[cell] for cell in shown]}
    return column | {"cells": shown}


def _is_facet(name: str, distinct: list[Cell], rows: int) -> bool:
    """Whether a column divides the rows into groups, rather than naming or describing each."""
    if name in ("status", "error_code", "flags"):
        return 2 <= len(distinct) <= FACET
    if name in OURS or not 2 <= len(distinct) <= FACET or max(len(str(value)) for value in distinct) > 60:
        return False
    return len(distinct) < rows and (len(distinct) <= 12 or 2 * len(distinct) <= rows)


def cells(name: str, values: pa.ChunkedArray) -> list[Cell]:
    """A column's values as a page shows them: without secrets, because pages are passed on."""
    values = public_column(name, values)
    if pa.types.is_float32(values.type) or pa.types.is_float16(values.type):
        # By way of text: 19.99 is to read 19.99, not 19.989999771118164.
        values = values.cast(pa.float32()).cast(pa.string()).cast(pa.float64())
    found = [_cell(value) for value in python_values(values)]
    if name.startswith("seconds_") and name in OURS:
        return [round(cell, 3) if isinstance(cell, float) else cell for cell in found]
    return found


def _cell(value: object) -> Cell:
    """A value as JSON and a reader of the page can bear it."""
    match value:
        case None | bool():
            return value
        case int():
            return value if abs(value) < 2**53 else str(value)  # JavaScript's numbers are doubles
        case float():
            return value if math.isfinite(value) else None
        case str():
            return value if len(value) <= TEXT else value[:TEXT] + "…"
        case datetime.datetime():
            return value.isoformat(timespec="seconds")
        case datetime.date() | datetime.time():
            return value.isoformat()
        case decimal.Decimal() | datetime.timedelta():
            return str(value)
        case _:
            return _cell(text_of(value))
