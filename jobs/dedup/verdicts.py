"""Duplicates: pictures of a job that nearly repeat an earlier one, found when all of them are there.

Earlier means earlier in the manifest, so that it does not matter in which order, in how many runs or on how many
machines the pictures were made.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.protocol.picture_paths import rendition_path
from pressrun.cluster.store.store import Store
from pressrun.jobs.dedup.near_duplicates import earliest_alike, first_that_stays
from pressrun.jobs.folder.result_schema import is_done, mask
from pressrun.jobs.resolve.resolved_job import ResolvedJob
from pressrun.pipeline.checks.checker import finding
from pressrun.pipeline.checks.finding import FLAGGED, PASSED, REJECTED
from pressrun.pipeline.checks.spec import CheckSpec

_OF_A_PICTURE = ("image", "width", "height", "format", "sha256", "bytes", "renditions")
"""Columns that a row without a picture leaves empty."""


def judged(table: pa.Table, check: CheckSpec) -> pa.Table:
    """A closed job's results in manifest order, with the findings of the check for duplicates."""
    known = mask(table["likeness"].is_valid()) & (is_done(table) | _is_rejected(table, check))
    rows = np.flatnonzero(known)
    hashes = table["likeness"].combine_chunks().fill_null(0).to_numpy(zero_copy_only=False)[rows]
    if check.action == "reseed":
        reseeds = table["reseeds"].combine_chunks().fill_null(0).to_numpy(zero_copy_only=False)[rows]
        earlier = first_that_stays(hashes, reseeds, rows, int(check.least))
        away = np.bitwise_count(hashes[earlier] ^ hashes)
    else:
        earlier, away = earliest_alike(hashes, int(check.least))
    alike = np.zeros(table.num_rows, bool)
    alike[rows[earlier >= 0]] = True
    firsts = table["custom_id"].take(pa.array(rows[earlier[earlier >= 0]])).combine_chunks()
    whys = pc.binary_join_element_wise("It nearly repeats the picture of ", firsts, ".", "")
    said = pc.if_else(pa.array(alike), finding(check, 0.0, "").verdict, PASSED)
    table = _with(table, "check_duplicate", pc.if_else(pa.array(known), said, None))
    scores = pa.array(away[earlier >= 0], pa.float64())
    table = _with(table, "check_duplicate_score", _replaced(table["check_duplicate_score"], alike, scores))
    return _told(table, alike, whys, check)


def remove_rejected(store: Store, order: ResolvedJob, table: pa.Table, check: CheckSpec) -> None:
    """Take away the pictures of rows that were rejected as duplicates; their thumbnails stay."""
    for row in np.flatnonzero(_is_rejected(table, check)).tolist():
        path = order.paths[row].as_py()
        for each in (path, *(rendition_path(path, rendition) for rendition in order.finishing.renditions)):
            store.delete(each)


def _told(table: pa.Table, alike: np.ndarray, whys: pa.Array, check: CheckSpec) -> pa.Table:
    """The other columns of rows that repeat others: flagged, or rejected and without a picture."""
    fresh = alike & ~_is_rejected(table, check)  # the others were told when they were rejected
    whys = whys.filter(pa.array(fresh[alike]))
    if check.verdict not in (FLAGGED, REJECTED) or not fresh.any():
        return table
    table = _with(table, "findings", _added(table["findings"], fresh, whys, "\n"))
    if check.verdict == FLAGGED:
        return _with(table, "flags", _added(table["flags"], fresh, pa.array([check.check] * len(whys)), ", "))
    mask = pa.array(fresh)
    table = _with(table, "status", pc.if_else(mask, "rejected", table["status"]))
    table = _with(table, "error_code", pc.if_else(mask, check.check, table["error_code"]))
    table = _with(table, "error_message", _replaced(table["error_message"], fresh, whys))
    for name in _OF_A_PICTURE:
        table = _with(table, name, pc.if_else(mask, pa.scalar(None, table[name].type), table[name]))
    return table


def _added(column: pa.ChunkedArray, mask: np.ndarray, texts: pa.Array, between: str) -> pa.Array:
    """A column of texts with more said in the rows of a mask."""
    there = column.combine_chunks().filter(pa.array(mask))
    return _replaced(column, mask, pc.binary_join_element_wise(there, texts, between, null_handling="skip"))


def _replaced(column: pa.ChunkedArray, mask: np.ndarray, values: pa.Array) -> pa.Array:
    return pc.replace_with_mask(column.combine_chunks(), pa.array(mask), values)


def _is_rejected(table: pa.Table, check: CheckSpec) -> np.ndarray:
    return mask(pc.fill_null(pc.equal(table["error_code"], check.check), False))


def _with(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    field = table.schema.field(name)
    return table.set_column(table.schema.get_field_index(name), field, values.cast(field.type))
