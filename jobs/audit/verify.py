"""The audit: every row accounted for, every digest right, no picture too many. Reads everything, trusts nothing.

What belongs together is looked at together: `job_audit` (the job as a whole), `outcome_audit` (its rows), `key_audit`
(what decides its pictures) and `picture_audit` (the pictures).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.store import Store
from pressrun.jobs.audit.audited import Audited, Discrepancy, Found, Unchecked
from pressrun.jobs.audit.job_audit import job_found, odd_fields, summary_found, typed
from pressrun.jobs.audit.key_audit import KeyAudit
from pressrun.jobs.audit.outcome_audit import outcomes_found, rows_found
from pressrun.jobs.audit.picture_audit import PictureAudit
from pressrun.jobs.decisions.decision import Decision
from pressrun.jobs.decisions.decision_folder import read_decisions
from pressrun.jobs.folder.job_file import DECISIONS, IMAGES, JOB, MANIFEST, SUMMARY, find_job, read_manifest_copy
from pressrun.jobs.folder.result_schema import SCHEMA, is_done, joined, places_that_count, read_parts, shaped
from pressrun.jobs.reuse.recovery import paths_in
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.finishing.credentials import check_credentials_library
from pressrun.pipeline.finishing.spec import FinishingSpec, read_described

_COLUMNS = pa.schema(
    [
        SCHEMA.field(name)
        for name in (
            *("custom_id", "status", "image", "width", "height", "format", "seed", "sha256", "bytes", "render_key"),
            *("finish_key", "renditions", "model", "model_digest", "reseeds", "flags", "error_code", "error_message"),
        )
    ]
)
_PIXELS = Unchecked("Nothing was rendered again: that the pixels are what the requests come to was not checked.")
_ELSE = Unchecked("Of the results, devices, times, findings and the customer's own columns were not checked.")


@dataclass(frozen=True)
class Audit:
    """What was looked at, what was wrong, and in sentences what was not looked at."""

    out: str
    rows: int
    pictures: int
    discrepancies: tuple[Discrepancy, ...]
    unchecked: tuple[str, ...]

    @classmethod
    def of(cls, store: Store, rows: int, pictures: int, found: list[Found]) -> "Audit":
        """The audit of a job in which this was found."""
        wrong = tuple(one for one in found if isinstance(one, Discrepancy))
        unchecked = tuple(one.message for one in found if isinstance(one, Unchecked))
        return cls(store.uri, rows, pictures, wrong, unchecked)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def verify(store: Store, signatures: bool = False) -> Audit:
    """Audit the job in a store; with `signatures` whether each of its pictures is signed and unchanged since as well.

    Raises:
        JobError: there is no job, or its pictures were not signed, or what reads signatures is not installed.
        StorageError: the store does not answer.
    """
    job = find_job(store)
    if problem := odd_fields(job):
        return Audit.of(store, 0, 0, [Discrepancy("job", JOB, problem), Unchecked("Nothing else was checked.")])
    if signatures:
        if not job["finishing"].get("sign"):
            raise JobError(
                f"The pictures of {store.uri} were rendered without `sign`: leave out `signatures`.", code="bad_option"
            )
        check_credentials_library()
    frozen = _frozen(store)
    manifest = None if frozen is None else typed(frozen)
    if frozen is None or manifest is None:
        missing = Discrepancy("manifest", MANIFEST, "The frozen manifest is missing or damaged.")
        return Audit.of(store, job["rows"], 0, [missing, Unchecked("Nothing else was checked.")])
    found = list(job_found(store, job, frozen))
    del frozen
    audited = _read(store, job, manifest, found)
    found += outcomes_found(job, audited.outcomes)
    found += KeyAudit(audited).found()
    pictures = PictureAudit(audited, paths_in(store, IMAGES), signatures)
    found += pictures.found()
    found += summary_found(store, audited.outcomes, manifest.num_rows)
    found += [_PIXELS, _ELSE]
    if job["finishing"].get("sign") and not signatures:
        found.append(Unchecked("The pictures are signed, and their signatures were not read: add `signatures`."))
    return Audit.of(store, manifest.num_rows, pictures.pictures, found)


def _read(store: Store, job: Mapping[str, Any], manifest: pa.Table, found: list[Found]) -> Audited:
    """The job with its outcomes; what is wrong with these as a whole is added to `found`."""
    parts = {path: _shaped(part) for path, part in read_parts(store, _COLUMNS.names, whole=True).items()}
    found += [Discrepancy("results", path, f"{path} is damaged.") for path, part in parts.items() if part is None]
    results = joined([part for part in parts.values() if part is not None], _COLUMNS)
    del parts
    ids = manifest["custom_id"].combine_chunks()
    rows = pc.index_in(results["custom_id"], ids).fill_null(-1).to_numpy().astype(np.int64)
    found += rows_found(ids, rows, results["custom_id"], closed=store.head(SUMMARY) is not None)
    places = places_that_count(rows, is_done(results), len(ids))
    there = np.flatnonzero(places >= 0)
    outcomes = results.take(pa.array(places[there]))
    return Audited(store, job, _finishing(job), manifest, there, outcomes, *_rerolls(store, outcomes, found))


def _rerolls(
    store: Store, outcomes: pa.Table, found: list[Found]
) -> tuple[Mapping[str, Decision], Mapping[str, Decision]]:
    """What `Audited` has of decisions; one that cannot be read is added to `found`."""
    try:
        decisions = read_decisions(store)
    except JobError as error:
        found.append(Discrepancy("decisions", DECISIONS, str(error)))
        return {}, {}
    if not decisions:
        return {}, {}
    there = outcomes.filter(pa.array(is_done(outcomes))).select(["custom_id", "sha256"])
    standing = dict(zip(*(column.to_pylist() for column in there.columns), strict=True))
    former = {name: one for name, one in decisions.rerolls().items() if name not in standing}
    return decisions.rerolls(standing), former


def _frozen(store: Store) -> pa.Table | None:
    try:
        return read_manifest_copy(store)
    except JobError:
        return None


def _shaped(part: pa.Table | None) -> pa.Table | None:
    try:
        return None if part is None else shaped(part, _COLUMNS)
    except (pa.ArrowException, KeyError, ValueError):  # columns of ours with other types
        return None


def _finishing(job: Mapping[str, Any]) -> FinishingSpec | None:
    try:
        return read_described(job["finishing"])
    except JobError:
        return None
