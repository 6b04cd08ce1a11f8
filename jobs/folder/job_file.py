"""A job: one manifest, one model, one output place. Immutable once created: the same again is a resume."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.new_place import obstacles
from pressrun.jobs.folder.schema_version import NAME, VERSION, refuse_newer
from pressrun.jobs.text.wording import shortened
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.finishing.spec import FinishingSpec

JOB = "job.json"
MANIFEST = "manifest.parquet"
IMAGES = "images/"
SUMMARY = "summary.json"
PARQUET = "application/vnd.apache.parquet"
SHEET = "index.html"
SIDECAR = "metadata.csv"
TIMELINE = "timeline.json"
PIXELS = "pixels"
REFERENCES = "references.parquet"
CHANGES = "changes.parquet"
BATCHES = "batches.json"
PRUNED = "pruned.json"
"""In place of job.json where a job was pruned and later ones refer to its pictures."""
MATRIX = "matrix.html"
DIFF, NIGHT = "diff.html", "night.json"
"""What differs from the night before, and what `pressrun night` did with the job each time that it ran."""
DECISIONS = "decisions/"
FILES = (JOB, MANIFEST, SUMMARY, SHEET, SIDECAR, TIMELINE, REFERENCES, CHANGES, BATCHES, PRUNED, MATRIX, DIFF, NIGHT)
"""What is written beside a job's folders."""

_DECIDES = ("rows", "manifest_digest", "model_digest", "precision", "finishing_digest", "name")
"""Fields of a job that make it this one."""


@dataclass(frozen=True)
class Job:
    """The job's identity, as job.json holds it: whatever decides what its pictures are, and under which licence they
    were made. `model_digest` is "" as long as the model is not on this machine. `finishing` is the finishing spec in
    words, `finishing_digest` the digest that decides."""

    manifest: str
    rows: int
    manifest_digest: str
    model: str
    model_digest: str
    precision: str
    format: str
    name: str
    finishing: dict[str, Any] = field(default_factory=dict)
    finishing_digest: str = ""
    licence: str = ""
    licence_accepted: bool = False

    @property
    def fingerprint(self) -> str:
        """Digest of everything but the places where things lie, and the licence."""
        return fingerprint_of(asdict(self))

    def to_json(self) -> bytes:
        """The bytes of job.json: the same for the same job."""
        written = {"pressrun": product_version(), NAME: VERSION, "fingerprint": self.fingerprint}
        what = {**written, **asdict(self)}
        return (json.dumps(what, indent=2, ensure_ascii=False) + "\n").encode()


def fingerprint_of(job: Mapping[str, Any]) -> str:
    """The fingerprint of what job.json says; one from before there were finishing specs had its format alone."""
    names = {*_DECIDES} if "finishing_digest" in job else {*_DECIDES} - {"finishing_digest"} | {"format"}
    decides = {name: job[name] for name in names}
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def product_version() -> str:
    """The installed version, "0" in a bare checkout."""
    try:
        return version("pressrun")
    except PackageNotFoundError:
        return "0"


def freeze(table: pa.Table) -> bytes:
    """A manifest as the bytes of `manifest.parquet`.

    Raises:
        JobError: a customer's column has a type that Parquet cannot hold.
    """
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(table, sink, compression="zstd")
    except (pa.ArrowException, OSError) as error:
        if table.num_columns > 1:
            for name in table.column_names:
                freeze(table.select([name]))
        name, reason = table.column_names[0], str(error).partition("\n")[0].rstrip(".")
        problem = f"Column “{shortened(name)}” is of a type, or has a value, that Parquet cannot hold"
        raise JobError(
            f"{problem} ({shortened(reason, 200)}); leave it out, or write it as text.", code="bad_manifest"
        ) from error
    return bytes(sink.getvalue())


def frozen_digest(data: bytes) -> str:
    """Digest of a frozen manifest's column names, types and values: of what is read back, which is what a resume and
    an audit see (Parquet renames the fields of lists and widens some types)."""
    return table_digest(read_frozen(data))


def read_frozen(data: bytes) -> pa.Table:
    """The table in `manifest.parquet`; not by `pq.read_table`, which has columns of its own called `__filename` ….

    Raises ArrowInvalid or OSError where it is damaged.
    """
    return pq.ParquetFile(pa.BufferReader(data)).read()


def table_digest(table: pa.Table) -> str:
    """Digest of a table that was read from Parquet, however it is chunked."""
    digest = hashlib.sha256()
    for name in table.column_names:
        column = table[name].combine_chunks()
        sink = pa.BufferOutputStream()
        plain = pa.table({name: column}).combine_chunks().replace_schema_metadata(None)
        with pa.ipc.new_stream(sink, plain.schema) as writer:
            writer.write_table(plain)
        digest.update(hashlib.sha256(sink.getvalue()).digest())
    return digest.hexdigest()


def create_job(store: Store, job: Job, frozen: bytes) -> bool:
    """Create the job's folder, or find that it holds this very job; True when it was there already.

    job.json is the commit: whoever creates it decides what the folder is. The frozen manifest comes after it, and again
    whenever it is missing or damaged.

    Raises:
        JobError: another job lives there (every difference is named), or what is not known to be a job's.
    """
    resumed = refuse_another(store, job)
    if not resumed and not store.create(JOB, job.to_json(), "application/json"):
        resumed = refuse_another(store, job)  # a second driver was faster
    if not _is_frozen(store, job, frozen):
        store.put(MANIFEST, frozen, PARQUET)
    return resumed


def refuse_another(store: Store, job: Job) -> bool:
    """Whether the store holds this very job already, as far as can be said before its model is on this machine.

    Raises:
        JobError: it holds another one, or none and what a job would replace.
    """
    try:
        there = read_job(store)
    except FileNotFoundError:
        files = [name for name in FILES if name != MANIFEST or not _is_frozen(store, job)]
        problems = obstacles(store, files)
        if problems and store.head(JOB) is None:  # else a second driver made what was found
            raise JobError(*problems, code="another_job") from None
        return False
    if not job.model_digest:
        job = replace(job, model_digest=str(there.get("model_digest")))
    _refuse_differences(store.uri, there, job)
    return True


def _is_frozen(store: Store, job: Job, frozen: bytes = b"") -> bool:
    """Whether the store has the manifest; where its bytes are others, another pyarrow may have written the same."""
    try:
        there = store.get(MANIFEST)
        return there == frozen or frozen_digest(there) == job.manifest_digest
    except (FileNotFoundError, pa.ArrowInvalid, OSError):
        return False


def read_job(store: Store) -> dict[str, Any]:
    """What job.json says.

    Raises:
        FileNotFoundError: there is no job.
        JobError: it is not readable, or of a newer version.
    """
    try:
        data = store.get(JOB)
    except FileNotFoundError:
        if store.head(PRUNED) is not None:
            why = "what is left of it belongs to later nights"
            raise JobError(f"{store.uri} was pruned, and {why}; choose another place.", code="no_job") from None
        raise
    try:
        there = json.loads(data)
        refuse_newer(there.get(NAME, 1), f"{store.uri}/{JOB}")
        return _with_finishing({**there, "fingerprint": str(there["fingerprint"])})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise JobError(f"{store.uri}/{JOB} {_damaged(store)}", code="damaged_job") from None


def _damaged(store: Store) -> str:
    """What to do about a job.json that is not one; another place would have a finished job rendered again."""
    there = any(next(iter(store.paths(folder)), None) is not None for folder in ("images/", "results/"))
    if not there:
        return "is damaged, or not a job's description: put back a copy of it, or choose another `out`."
    versions = " or the bucket's earlier version of it" if store.uri.startswith("s3://") else ""
    return (
        f"is damaged, and the job's pictures and results are still there. Put back a copy of it{versions}; without "
        f"one, render the same order with `limit` 1 to a new `out`, and copy the {JOB} that is made there."
    )


def _with_finishing(there: dict[str, Any]) -> dict[str, Any]:
    """A job.json from before there were finishing specs: its format was all that it said of them."""
    if "finishing_digest" in there:
        return there
    plain = FinishingSpec(format=there["format"])
    there = {**there, "finishing": plain.described, "finishing_digest": plain.digest}
    return {**there, "fingerprint": fingerprint_of(there)}


def recorded_licence(store: Store) -> str:
    """The licence that was accepted when the store's job was created, "" if there was none to accept, or no job."""
    try:
        there = read_job(store)
    except (FileNotFoundError, JobError):
        return ""
    return str(there.get("licence", "")) if there.get("licence_accepted") is True else ""


def find_job(store: Store) -> dict[str, Any]:
    """The job that a command was pointed at.

    Raises:
        JobError: there is none.
    """
    try:
        return read_job(store)
    except FileNotFoundError:
        raise JobError(f"{store.uri} holds no job (no {JOB}); point to the `out` of a render.", code="no_job") from None


def read_manifest_copy(store: Store) -> pa.Table:
    """The frozen input of a job.

    Raises:
        JobError: it is missing or damaged.
    """
    try:
        return read_frozen(store.get(MANIFEST))
    except (FileNotFoundError, pa.ArrowInvalid, OSError):
        raise JobError(
            f"{store.uri}/{MANIFEST} is missing or damaged; render again to put it back.", code="damaged_job"
        ) from None


def _refuse_differences(uri: str, there: dict[str, Any], job: Job) -> None:
    if there["fingerprint"] == job.fingerprint:
        return
    labels = {
        "manifest_digest": "manifest",
        "model_digest": "model",
        "precision": "precision",
        "format": "format",
        "name": "name template",
    }
    lines = [
        f"its {label} is {_shown(there, field, label)}, not {_shown(asdict(job), field, label)}"
        for field, label in labels.items()
        if there.get(field) != asdict(job)[field]
    ]
    finishing = _differing(there.get("finishing"), job.finishing)
    if finishing:
        lines.append(f"its finishing spec differs in {', '.join(finishing)}")
    why = "; ".join(lines) or "it was made by another version"
    raise JobError(
        f"{uri} holds another job already: {why}. Choose another `out`, or ask for the same job again.",
        code="another_job",
    )


def _differing(there: Any, wanted: Mapping[str, Any]) -> list[str]:
    """The parts of a finishing spec that are others than wanted; its format is told by itself."""
    there = there if isinstance(there, dict) else {}
    names = sorted({*there, *wanted} - {"format"})
    return [name for name in names if there.get(name) != wanted.get(name)]


def _shown(job: dict[str, Any], field: str, label: str) -> str:
    if not field.endswith("_digest"):
        return f"“{job.get(field)}”"
    return f"“{job.get(label)}” ({str(job.get(field))[:12]})"
