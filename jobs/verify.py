"""The audit: every row accounted for, every digest right, no picture too many. Reads everything, trusts nothing."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.store import Store, read_uri
from jobs.job import SUMMARY, find_job, read_manifest_copy, table_digest
from jobs.order import FOLDER
from jobs.parts import SCHEMA, is_done, joined, places_that_count, read_parts
from jobs.pictures import paths_in
from jobs.summary import count_statuses
from pipeline.credentials import check_credentials_library, read_credentials
from pipeline.errors import JobError, RequestError
from pipeline.metadata import read_record

_THREADS = 16
_BATCH_ROWS = 4_096
"""Pictures that are asked for at once: of the others nothing but columns is held."""

_COLUMNS = pa.schema(
    [
        SCHEMA.field(name)
        for name in (
            *("custom_id", "status", "image", "format", "sha256", "bytes", "render_key", "finish_key", "renditions"),
        )
    ]
)


@dataclass(frozen=True)
class Discrepancy:
    """One thing that is not as it should be: a stable word, what it concerns, and a sentence."""

    kind: str
    subject: str
    message: str


@dataclass(frozen=True)
class Audit:
    """What was looked at and what was wrong."""

    out: str
    rows: int
    pictures: int
    discrepancies: tuple[Discrepancy, ...]

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return asdict(self)


def verify(store: Store, signatures: bool = False) -> Audit:
    """Audit the job in a store; with `signatures` whether each of its pictures is signed and unchanged since as well.

    Raises:
        JobError: there is no job, or its pictures were not signed, or what reads signatures is not installed.
        StorageError: the store does not answer.
    """
    job = find_job(store)
    if signatures:
        if not job.get("finishing", {}).get("sign"):
            raise JobError(f"The pictures of {store.uri} were rendered without --sign: leave out --signatures.")
        check_credentials_library()
    found: list[Discrepancy] = []
    try:
        manifest = read_manifest_copy(store)
    except JobError:
        missing = Discrepancy("manifest", "manifest.parquet", "The frozen manifest is missing or damaged.")
        return Audit(store.uri, int(job["rows"]), 0, (missing,))
    if table_digest(manifest) != job["manifest_digest"]:
        found.append(Discrepancy("manifest", "manifest.parquet", "The frozen manifest is not the one of job.json."))
    parts = read_parts(store, _COLUMNS.names)
    found += [Discrepancy("results", path, f"{path} is damaged.") for path, part in parts.items() if part is None]
    results = joined([part for part in parts.values() if part is not None], _COLUMNS)
    del parts
    ids = manifest["custom_id"].combine_chunks()
    rows = pc.index_in(results["custom_id"], ids).fill_null(-1).to_numpy().astype(np.int64)
    found += _rows(ids, rows, results["custom_id"])
    places = places_that_count(rows, is_done(results), len(ids))
    last = results.take(pa.array(np.sort(places[places >= 0])))
    del results
    listed = paths_in(store, FOLDER)
    found += _pictures(store, last, listed, signatures)
    found += _summary(store, last, manifest.num_rows)
    return Audit(store.uri, manifest.num_rows, len(listed), tuple(found))


def _rows(ids: pa.Array, rows: np.ndarray, named: pa.ChunkedArray) -> Iterator[Discrepancy]:
    """Exactly one result for each request, and none besides; `rows` says which request each result is of (-1: none)."""
    counts = np.bincount(rows[rows >= 0], minlength=len(ids))
    for row in np.flatnonzero(counts != 1).tolist():
        custom_id = ids[row].as_py()
        if counts[row] == 0:
            yield Discrepancy("missing_result", custom_id, f"Row {custom_id} has no result.")
        else:
            yield Discrepancy("double_result", custom_id, f"Row {custom_id} has {counts[row]} results.")
    for custom_id in pc.unique(named.filter(pa.array(rows < 0))).to_pylist():
        yield Discrepancy("unknown_result", custom_id, f"A result names {custom_id}, which is no row of the manifest.")


def _pictures(store: Store, last: pa.Table, listed: pa.Array, signatures: bool) -> Iterator[Discrepancy]:
    """Every promised picture is there with the right bytes and record (and signature), and nothing else stands beside
    them."""
    done = last.filter(pa.array(is_done(last)))
    ours = done.filter(pc.not_equal(done["image"], "")).sort_by("image")
    images = ours["image"].combine_chunks()
    again = pa.concat_arrays([pa.array([False][: len(images)], pa.bool_()), pc.equal(images[1:], images[:-1])])
    for row in ours.filter(again).select(["custom_id", "image"]).to_pylist():
        yield Discrepancy("shared_picture", row["custom_id"], f"Row {row['custom_id']} shares {row['image']}.")
    ours = ours.filter(pc.invert(again))
    with ThreadPoolExecutor(_THREADS) as threads:
        for batch in ours.to_batches(max_chunksize=_BATCH_ROWS):
            pictures = [picture for row in batch.to_pylist() for picture in _pictures_of(row)]
            yield from filter(None, threads.map(lambda picture: _picture(store, picture, signatures), pictures))
    renditions = pc.struct_field(pc.list_flatten(ours["renditions"].combine_chunks()), "image")
    promised = pa.concat_arrays([images, renditions])
    for path in sorted(listed.filter(pc.invert(pc.is_in(listed, promised))).to_pylist()):
        yield Discrepancy("extra_picture", path, f"{path} belongs to no row that succeeded.")
    for custom_id in done.filter(pc.equal(done["image"].fill_null(""), ""))["custom_id"].to_pylist():
        yield Discrepancy("missing_picture", custom_id, f"Row {custom_id} succeeded without a picture.")


def _pictures_of(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What is promised of a row's picture, and of each of its renditions."""
    yield {**row, "name": ""}
    for rendition in row["renditions"] or ():
        yield row | rendition


def _picture(store: Store, row: dict[str, Any], signatures: bool) -> Discrepancy | None:
    path = row["image"]
    try:
        data = store.get(path) if path.startswith(FOLDER) else read_uri(path)
    except (FileNotFoundError, PermissionError, ValueError, RequestError):
        return Discrepancy("missing_picture", path, f"{path} of row {row['custom_id']} is missing.")
    if hashlib.sha256(data).hexdigest() != row["sha256"] or len(data) != row["bytes"]:
        return Discrepancy("wrong_bytes", path, f"{path} of row {row['custom_id']} has other bytes than were written.")
    record = read_record(data)
    key = (row["custom_id"], row["render_key"], row["finish_key"] or "", row["name"])
    if record is None or not record.is_of(*key):
        return Discrepancy("wrong_record", path, f"{path} does not say that it belongs to row {row['custom_id']}.")
    return _signature(path, data, row) if signatures else None


def _signature(path: str, data: bytes, row: dict[str, Any]) -> Discrepancy | None:
    found = read_credentials(data, row["format"])
    if found is None:
        return Discrepancy("missing_signature", path, f"{path} of row {row['custom_id']} is not signed.")
    if found.state == "invalid":
        why = ", ".join(found.problems) or "no reason given"
        message = (
            f"{path} of row {row['custom_id']} was changed after it was signed, or its signature is damaged ({why})."
        )
        return Discrepancy("invalid_signature", path, message)
    return None


def _summary(store: Store, last: pa.Table, rows: int) -> Iterator[Discrepancy]:
    """summary.json agrees with the results; a job without one is not done."""
    try:
        summary = json.loads(store.get(SUMMARY))
    except FileNotFoundError:
        yield Discrepancy(
            "unfinished", SUMMARY, "There is no summary.json: the job is not done; render again to go on."
        )
        return
    except ValueError:
        yield Discrepancy("summary", SUMMARY, "summary.json is damaged.")
        return
    counts = count_statuses(last)
    if any(summary.get(status) != count for status, count in counts.items()) or summary.get("rows") != rows:
        yield Discrepancy("summary", SUMMARY, "summary.json does not add up to the results.")
