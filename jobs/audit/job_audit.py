"""The audit of what a job says of itself as a whole: job.json, the frozen manifest, summary.json, and its pages."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from pressrun.cluster.store.store import Store
from pressrun.jobs.audit.audited import Discrepancy, Found, Unchecked
from pressrun.jobs.folder.job_file import JOB, MANIFEST, SHEET, SIDECAR, SUMMARY, fingerprint_of, table_digest
from pressrun.jobs.folder.result_schema import STATUSES
from pressrun.jobs.manifest.manifest import REQUEST_SCHEMA
from pressrun.jobs.results.summary import count_flagged, count_statuses
from pressrun.jobs.text.wording import first_of, shortened
from pressrun.pipeline.finishing.codec import FORMATS
from pressrun.pipeline.finishing.spec import described_digest

_TEXTS = ("manifest_digest", "model", "model_digest", "precision", "format", "name", "finishing_digest")
_FIELDS = {"rows": int, "finishing": dict, **dict.fromkeys(_TEXTS, str)}
_ABSENT = object()


def odd_fields(job: Mapping[str, Any]) -> str:
    """Why an audit cannot go by this job.json, if it cannot: a field that is missing, or is no such thing."""
    odd = [name for name, kind in _FIELDS.items() if not isinstance(job.get(name), kind)]
    if not odd and job["format"] not in FORMATS:
        odd = ["format"]
    return f"job.json does not say what it should in {first_of(odd)}." if odd else ""


def job_found(store: Store, job: Mapping[str, Any], manifest: pa.Table) -> Iterator[Found]:
    """job.json agrees with itself, and with the frozen manifest as it was read."""
    written = json.loads(store.get(JOB))
    if fingerprint_of(written) != written["fingerprint"]:
        yield Discrepancy("job", JOB, "The fingerprint of job.json is not that of its fields.")
    if described_digest(job["finishing"]) != job["finishing_digest"]:
        yield Discrepancy("job", JOB, "The finishing spec in job.json is not the one that its digest stands for.")
    if job["finishing"].get("format") != job["format"]:
        yield Discrepancy("job", JOB, "job.json names two formats, one of them in its finishing spec.")
    if job["rows"] != manifest.num_rows:
        message = f"job.json says {job['rows']:,} rows, the frozen manifest has {manifest.num_rows:,}."
        yield Discrepancy("job", JOB, message)
    if table_digest(manifest) != job["manifest_digest"]:
        yield Discrepancy("manifest", MANIFEST, "The frozen manifest is not the one of job.json.")


def typed(table: pa.Table) -> pa.Table | None:
    """A frozen manifest with our columns typed as a run has them; None where they are missing or something else."""
    try:
        ours = table.select(REQUEST_SCHEMA.names).cast(REQUEST_SCHEMA)
    except (pa.ArrowException, KeyError):
        return None
    theirs = [name for name in table.column_names if name not in REQUEST_SCHEMA.names]
    return pa.table([*ours.columns, *(table[name] for name in theirs)], names=[*REQUEST_SCHEMA.names, *theirs])


def summary_found(store: Store, outcomes: pa.Table, rows: int) -> Iterator[Found]:
    """summary.json agrees with the results and the `rows` of the manifest, and a finished job has its pages; a job
    without a summary is not done."""
    try:
        summary = json.loads(store.get(SUMMARY))
    except FileNotFoundError:
        yield Discrepancy(
            "unfinished", SUMMARY, "There is no summary.json: the job is not done; render again to go on."
        )
        return
    except ValueError:
        summary = None
    if not isinstance(summary, dict):
        yield Discrepancy("summary", SUMMARY, "summary.json is damaged.")
    elif wrong := list(_wrong_figures(summary, outcomes, rows)):
        yield Discrepancy("summary", SUMMARY, f"summary.json does not add up: {'; '.join(wrong)}.")
    # The sidecar came with the finishing spec.
    pages = (SHEET, SIDECAR) if "finishing" in json.loads(store.get(JOB)) else (SHEET,)
    told = summary.get("unmade") if isinstance(summary, dict) else None
    unmade = [str(sentence) for sentence in told] if isinstance(told, list) else []
    yield from (Unchecked(f"The summary says: {sentence}") for sentence in unmade)
    for page in pages:
        if store.head(page) is None and not any(sentence.startswith(page) for sentence in unmade):
            message = f"{page} is missing, which every finished job has; remove summary.json and render again."
            yield Discrepancy("missing_page", page, message)
    yield Unchecked(f"What {', '.join(pages)} and the thumbnails show was not compared with the results.")


def _wrong_figures(summary: Mapping[str, Any], outcomes: pa.Table, rows: int) -> Iterator[str]:
    counts = count_statuses(outcomes)
    for name, count in (counts | {"flagged": count_flagged(outcomes)}).items():
        told = summary.get(name, 0 if name == "flagged" else _ABSENT)  # older ones do not tell it
        if told != count:
            yield f"it says {_figure(told)} {name}, the results have {count:,}"
    total = sum(counts.values())
    if total != rows:
        yield f"the results have {total:,} rows that {first_of(STATUSES)}, the manifest has {rows:,}"
    if summary.get("rows") != rows:
        yield f"it says {_figure(summary.get('rows', _ABSENT))} rows, the manifest has {rows:,}"
    if summary.get("pending"):
        yield f"it says {_figure(summary['pending'])} pending, and a finished job has none"
    if summary.get("stopped"):
        yield f"it says that the run stopped ({shortened(summary['stopped'])}), which a finished job's did not"


def _figure(told: Any) -> str:
    if told is _ABSENT:
        return "nothing of"
    return f"{told:,}" if isinstance(told, int) else f"“{shortened(told)}”"
