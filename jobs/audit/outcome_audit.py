"""The audit of a job's outcomes: one for each row of the manifest, of a known status, with what belongs to it."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.audit.audited import Discrepancy, Found
from pressrun.jobs.folder.result_schema import STATUSES, is_done, mask
from pressrun.jobs.text.wording import first_of, several, shortened

_OF_A_PICTURE = ("sha256", "bytes", "render_key", "width", "height", "format")


def rows_found(ids: pa.Array, rows: np.ndarray, named: pa.ChunkedArray, closed: bool) -> Iterator[Found]:
    """At least one result for each request, in a `closed` job exactly one, and none besides; `rows` says which request
    each result is of (-1: none)."""
    counts = np.bincount(rows[rows >= 0], minlength=len(ids))
    for row in np.flatnonzero((counts == 0) | (closed & (counts > 1))).tolist():
        custom_id = ids[row].as_py()
        if counts[row] == 0:
            yield Discrepancy("missing_result", custom_id, f"Row {custom_id} has no result.")
        else:
            yield Discrepancy("double_result", custom_id, f"Row {custom_id} has {counts[row]} results.")
    unknown = named.filter(pa.array(rows < 0))
    for custom_id in pc.unique(unknown.drop_null()).to_pylist():
        yield Discrepancy("unknown_result", custom_id, f"A result names {custom_id}, which is no row of the manifest.")
    if unknown.null_count:
        message = f"{several(unknown.null_count, 'result')} without a custom_id."
        yield Discrepancy("unknown_result", "", f"There {'is' if unknown.null_count == 1 else 'are'} {message}")


def outcomes_found(job: Mapping[str, Any], outcomes: pa.Table) -> Iterator[Found]:
    """Every outcome has a status that there is, and what belongs to it: a picture, or why there is none."""
    yield from _odd_statuses(outcomes)
    done = is_done(outcomes)
    yield from _of_pictures(job, outcomes.filter(pa.array(done)))
    failed = mask(pc.is_in(outcomes["status"], pa.array(["failed", "rejected"])))
    yield from _of_failures(outcomes.filter(pa.array(failed)))
    digests = outcomes["model_digest"]
    other = mask(pc.not_equal(digests, job["model_digest"]).fill_null(pa.scalar(False))) | (done & _null(digests))
    for custom_id in outcomes["custom_id"].filter(pa.array(other)).to_pylist():
        yield Discrepancy("wrong_model", custom_id, f"Row {custom_id} was rendered with another model than the job's.")


def _odd_statuses(outcomes: pa.Table) -> Iterator[Found]:
    known = pc.is_in(outcomes["status"], pa.array(STATUSES))
    for row in outcomes.select(["custom_id", "status"]).filter(pc.invert(known)).to_pylist():
        has = "no status" if row["status"] is None else f"the status “{shortened(row['status'])}”"
        message = f"Row {row['custom_id']} has {has}; there are {first_of(STATUSES)}."
        yield Discrepancy("unknown_status", row["custom_id"], message)


def _of_pictures(job: Mapping[str, Any], done: pa.Table) -> Iterator[Found]:
    for custom_id in done["custom_id"].filter(pa.array(_empty(done["image"]))).to_pylist():
        yield Discrepancy("missing_picture", custom_id, f"Row {custom_id} succeeded without a picture.")
    for name in _OF_A_PICTURE:
        for custom_id in done["custom_id"].filter(pc.is_null(done[name])).to_pylist():
            message = f"Row {custom_id} succeeded, and the results do not say its picture's {name}."
            yield Discrepancy("missing_value", custom_id, message)


def _of_failures(failed: pa.Table) -> Iterator[Found]:
    untold = _empty(failed["error_code"]) | _empty(failed["error_message"])
    for row in failed.select(["custom_id", "status"]).filter(pa.array(untold)).to_pylist():
        message = f"Row {row['custom_id']} is {row['status']}, and the results do not say why."
        yield Discrepancy("missing_error", row["custom_id"], message)
    beside = pc.greater(pc.list_value_length(failed["renditions"]), 0).fill_null(pa.scalar(False))
    pictured = ~_empty(failed["image"]) | mask(beside)
    for row in failed.select(["custom_id", "status"]).filter(pa.array(pictured)).to_pylist():
        message = f"Row {row['custom_id']} is {row['status']}, and yet the results name a picture of it."
        yield Discrepancy("failed_picture", row["custom_id"], message)


def _empty(column: pa.ChunkedArray) -> np.ndarray:
    return mask(pc.equal(column.fill_null(""), ""))


def _null(column: pa.ChunkedArray) -> np.ndarray:
    return mask(column.is_null())
