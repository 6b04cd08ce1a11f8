"""The audit: every row accounted for, every digest right, no picture too many. Reads everything, trusts nothing."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from cluster.store import Store
from jobs.job import SUMMARY, find_job, read_manifest_copy, table_digest
from jobs.order import FOLDER
from jobs.results import DONE, STATUSES, read_parts
from pipeline.errors import JobError
from pipeline.metadata import read_record

_THREADS = 16


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


def verify(store: Store) -> Audit:
    """Audit the job in a store.

    Raises:
        JobError: there is no job.
        StorageError: the store does not answer.
    """
    job = find_job(store)
    found: list[Discrepancy] = []
    try:
        manifest = read_manifest_copy(store)
    except JobError:
        missing = Discrepancy("manifest", "manifest.parquet", "The frozen manifest is missing or damaged.")
        return Audit(store.uri, int(job["rows"]), 0, (missing,))
    if table_digest(manifest) != job["manifest_digest"]:
        found.append(Discrepancy("manifest", "manifest.parquet", "The frozen manifest is not the one of job.json."))
    parts = read_parts(store)
    found += [Discrepancy("results", path, f"{path} is damaged.") for path, part in parts.items() if part is None]
    rows = [row for part in parts.values() if part is not None for row in part.to_pylist()]
    found += _rows(manifest, rows)
    last = {row["custom_id"]: row for row in rows}
    listed = {entry.path for entry in store.list(FOLDER)}
    found += _pictures(store, last, listed)
    found += _summary(store, last, manifest.num_rows)
    return Audit(store.uri, manifest.num_rows, len(listed), tuple(found))


def _rows(manifest: pa.Table, rows: list[dict[str, Any]]) -> Iterator[Discrepancy]:
    """Exactly one result for each request, and none besides."""
    wanted = manifest["custom_id"].to_pylist()
    counts = Counter(row["custom_id"] for row in rows)
    for custom_id in wanted:
        if counts[custom_id] == 0:
            yield Discrepancy("missing_result", custom_id, f"Row {custom_id} has no result.")
        elif counts[custom_id] > 1:
            yield Discrepancy("double_result", custom_id, f"Row {custom_id} has {counts[custom_id]} results.")
    for custom_id in counts.keys() - set(wanted):
        yield Discrepancy("unknown_result", custom_id, f"A result names {custom_id}, which is no row of the manifest.")


def _pictures(store: Store, last: dict[str, dict[str, Any]], listed: set[str]) -> Iterator[Discrepancy]:
    """Every promised picture is there with the right bytes and record, and nothing else stands beside them."""
    promised = [row for row in last.values() if row["status"] in DONE and (row["image"] or "").startswith(FOLDER)]
    ours = {row["image"]: row for row in promised}
    for row in promised:
        if ours[row["image"]] is not row:
            yield Discrepancy("shared_picture", row["custom_id"], f"Row {row['custom_id']} shares {row['image']}.")
    with ThreadPoolExecutor(_THREADS) as threads:
        for wrong in threads.map(lambda pair: _picture(store, *pair), sorted(ours.items())):
            if wrong:
                yield wrong
    for path in sorted(listed - ours.keys()):
        yield Discrepancy("extra_picture", path, f"{path} belongs to no row that succeeded.")
    for row in last.values():
        if row["status"] in DONE and not row["image"]:
            yield Discrepancy(
                "missing_picture", row["custom_id"], f"Row {row['custom_id']} succeeded without a picture."
            )


def _picture(store: Store, path: str, row: dict[str, Any]) -> Discrepancy | None:
    try:
        data = store.get(path)
    except (FileNotFoundError, ValueError):
        return Discrepancy("missing_picture", path, f"{path} of row {row['custom_id']} is missing.")
    if hashlib.sha256(data).hexdigest() != row["sha256"] or len(data) != row["bytes"]:
        return Discrepancy("wrong_bytes", path, f"{path} of row {row['custom_id']} has other bytes than were written.")
    record = read_record(data)
    if record is None or (record.custom_id, record.render_key) != (row["custom_id"], row["render_key"]):
        return Discrepancy("wrong_record", path, f"{path} does not say that it belongs to row {row['custom_id']}.")
    return None


def _summary(store: Store, last: dict[str, dict[str, Any]], rows: int) -> Iterator[Discrepancy]:
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
    counts = Counter(row["status"] for row in last.values())
    if any(summary.get(status) != counts[status] for status in STATUSES) or summary.get("rows") != rows:
        yield Discrepancy("summary", SUMMARY, "summary.json does not add up to the results.")
