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

from pressrun.jobs.decisions.decision import Decisions
from pressrun.jobs.folder.result_schema import SCHEMA, STATUSES
from pressrun.jobs.reports.embedded_decisions import embedded_decisions
from pressrun.jobs.reports.facets import MOST, Candidate, choose_facets
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

ALWAYS = ("status", "flags", "error_code")
"""Columns of ours to filter by; the page knows sizes and decisions besides."""

OURS = frozenset(("prompt", "thumb", *SCHEMA.names))
"""Columns that mean the same in every job; any other is the customer's."""

Cell = None | bool | int | float | str


def contact_sheet(
    job: Mapping[str, Any],
    prompts: pa.ChunkedArray,
    paths: pa.Array,
    table: pa.Table,
    summary: Mapping[str, Any],
    decisions: Decisions,
) -> bytes:
    """The page over the closed results of a job (`model`, `out` and `fingerprint`), each with its prompt; `paths` is
    where each row's picture belongs."""
    # A rejected picture is not kept, but its thumbnail is: whoever looks can judge the judge.
    judged = pc.and_(pc.equal(table["status"], "rejected"), pc.is_valid(table["device"]))
    thumbs = pc.if_else(judged, paths, pa.scalar(None, pa.string()))
    table = table.add_column(1, "prompt", prompts).add_column(2, "thumb", thumbs)
    return write_sheet(table, job, summary, decisions)


def write_sheet(
    results: pa.Table,
    job: Mapping[str, Any],
    summary: Mapping[str, Any],
    decisions: Decisions | None = None,
    limit: int = ROWS,
    page_bytes: int = PAGE_BYTES,
) -> bytes:
    """The bytes of `OUT/index.html`.

    `results` is the closed job's table: the result columns, `prompt`, `thumb` (where a rejected picture would stand,
    whose thumbnail is there), then the customer's, in manifest order. Of `job` the page uses `title`, `model`, `out`
    (the job's place) and `fingerprint`, of `summary` `seconds` and `images_per_second`; each may be missing. At most
    `limit` rows are shown, fewer if the page would exceed `page_bytes`; the counts are of all rows.
    """
    known = (job, summary, decisions or Decisions())
    shown = min(limit, results.num_rows)
    data = as_json(_data(results, *known, shown))
    while shown > 1 and len(data) > page_bytes:
        shown = max(1, min(shown // 2, shown * page_bytes // len(data)))
        data = as_json(_data(results, *known, shown))
    return page("sheet.html", _title(job), data)


def _title(job: Mapping[str, Any]) -> str:
    return str(job.get("title") or str(job.get("out") or "").rstrip("/").rpartition("/")[2] or "Contact sheet")


def _data(
    results: pa.Table, job: Mapping[str, Any], summary: Mapping[str, Any], decisions: Decisions, shown: int
) -> dict[str, Any]:
    """What the page knows: the job in a few fields, then the first `shown` rows by column."""
    counts = {pair["values"]: pair["counts"] for pair in pc.value_counts(results["status"]).to_pylist()}
    rows = results.slice(0, shown)
    columns = {name: _column(name, rows[name]) for name in rows.column_names}
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
        "columns": [*columns.values()],
        "facets": _facets(columns, rows.schema),
        **embedded_decisions(decisions, str(job.get("fingerprint") or ""), rows, cells("prompt", rows["prompt"])),
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
    if (name in ALWAYS and len(distinct) <= MOST) or 2 * len(distinct) <= len(shown):
        code = {value: number for number, value in enumerate(distinct)}
        return column | {"values": distinct, "codes": [code[cell] for cell in shown]}
    return column | {"cells": shown}


def _facets(columns: Mapping[str, Mapping[str, Any]], schema: pa.Schema) -> list[str]:
    """Names of the columns to filter by, the most useful first."""
    coded = {name: column for name, column in columns.items() if "codes" in column}
    theirs = [
        Candidate(name, schema.field(name).type, column["values"], column["codes"])
        for name, column in coded.items()
        if not column["ours"]
    ]
    return [name for name in ALWAYS if name in coded and len(coded[name]["values"]) <= MOST] + choose_facets(theirs)


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
