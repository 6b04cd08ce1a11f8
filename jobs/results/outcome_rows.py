"""Outcomes as rows of the table of results."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.protocol.unit import Outcome
from pressrun.cluster.scheduling.timeline import STAGES
from pressrun.jobs.folder.job_file import Job
from pressrun.jobs.folder.result_schema import DONE, SCHEMA
from pressrun.pipeline.checks.finding import FLAGGED
from pressrun.pipeline.checks.spec import CHECKS

_AS_TOLD = tuple(field.name for field in fields(Outcome) if field.name in SCHEMA.names)
"""The columns that an outcome has fields for; some of them are put otherwise than it has them."""


def rows_of(
    outcomes: Sequence[Outcome],
    job: Job,
    manifest: pa.Table,
    customer: Sequence[str],
    schema: pa.Schema,
    replaced: Mapping[int, str],
) -> pa.Table:
    """The rows of outcomes, with the `customer`'s columns of the manifest; `replaced` has by row the digest of the
    picture that was there before and was decided against."""
    rows = pa.array([outcome.row for outcome in outcomes], pa.int64())
    count = len(outcomes)
    done = [outcome.status in DONE for outcome in outcomes]
    now = datetime.now(UTC)
    columns: dict[str, object] = {name: [getattr(outcome, name) for outcome in outcomes] for name in _AS_TOLD}
    columns["format"] = [job.format if good else None for good in done]
    columns["renditions"] = [list(map(asdict, outcome.renditions)) or None for outcome in outcomes]
    columns["seed"] = pc.coalesce(pa.array([o.seed for o in outcomes], pa.int64()), manifest["seed"].take(rows))
    columns["replaced_sha256"] = [
        replaced.get(outcome.row) if good else None for outcome, good in zip(outcomes, done, strict=True)
    ]
    columns |= _checked(outcomes)
    columns["model"] = [job.model] * count
    columns["model_digest"] = [job.model_digest] * count
    columns["finished_at"] = [outcome.finished_at or now for outcome in outcomes]
    for stage in STAGES:
        columns[f"seconds_{stage}"] = [outcome.seconds.get(stage) for outcome in outcomes]
    for name in customer:
        columns[name] = manifest[name].take(rows)
    return pa.table(columns, schema=schema)


def _checked(outcomes: Sequence[Outcome]) -> dict[str, list[Any]]:
    """What the checks said, by column: null where none was made."""
    columns: dict[str, list[Any]] = {name: [] for name in ("reseeds", "flags", "findings")}
    columns |= {f"check_{name}{what}": [] for name in CHECKS for what in ("", "_score")}
    for outcome in outcomes:
        found = {finding.check: finding for finding in outcome.findings}
        flags = [finding.check for finding in outcome.findings if finding.verdict == FLAGGED]
        said = [*outcome.tried, *(finding.message for finding in outcome.findings if finding.message)]
        columns["reseeds"].append(outcome.reseeds if found or outcome.reseeds else None)
        columns["flags"].append(", ".join(flags) or None)
        columns["findings"].append("\n".join(said) or None)
        for name in CHECKS:
            columns[f"check_{name}"].append(found[name].verdict if name in found else None)
            columns[f"check_{name}_score"].append(found[name].score if name in found else None)
    return columns
