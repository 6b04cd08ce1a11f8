"""What a job's pages say after some of its pictures were purged: the sidecar loses their lines, the contact sheet and
the summary are made again from the results."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pressrun.jobs.decisions.decision_folder import read_decisions
from pressrun.jobs.decisions.rerolls import rerolled
from pressrun.jobs.folder.causes import group_causes
from pressrun.jobs.folder.job_file import IMAGES, SHEET, SIDECAR, SUMMARY, find_job, read_manifest_copy
from pressrun.jobs.folder.result_schema import CLOSED, read_results
from pressrun.jobs.manifest.output_names import NameTemplate
from pressrun.jobs.purge.purged_job import Gone, PurgedJob
from pressrun.jobs.purge.purged_names import PurgedNames
from pressrun.jobs.purge.traces import Traces
from pressrun.jobs.reports.contact_sheet import contact_sheet
from pressrun.jobs.results.summary import count_flagged, count_statuses
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.finishing.codec import extension


class PurgedPages:
    """The pages of jobs that tell of purged pictures, wherever those lay."""

    def __init__(self, names: PurgedNames, traces: Traces) -> None:
        self._names, self._traces = names, traces
        everywhere = names.and_those_of(uri.rpartition(f"/{IMAGES}")[2] for uri in sorted(traces.uris))
        spelled = {IMAGES + form for stem in everywhere.stems for form in (stem, quote(stem))}
        self._tokens = [f"{start}{sign}".encode() for start in sorted(spelled) for sign in ".@"]

    def tells(self, page: bytes) -> bool:
        """Whether a page names the file of a purged picture."""
        return any(token in page for token in self._tokens)

    def renew(self, job: PurgedJob, gone: Gone) -> None:
        """Bring the pages of a finished job up to its results; an unfinished one has none yet.

        Raises:
            StorageError: the store failed although it was asked again, or somebody else took over.
        """
        store = job.store
        try:
            told = json.loads(store.get(SUMMARY))
            summary = told | self._figures(job)
        except FileNotFoundError:
            return
        except (ValueError, TypeError, JobError) as error:
            gone.left.append(f"{store.uri}/{SUMMARY}: cannot be brought up to date ({error}).")
            return
        self._renew(job, SIDECAR, lambda: self._sidecar(job), "text/csv; charset=utf-8", gone)
        self._renew(job, SHEET, lambda: self._sheet(job, summary), "text/html; charset=utf-8", gone)
        if summary != told:
            data = (json.dumps(summary, indent=2, ensure_ascii=False) + "\n").encode()
            job.put(SUMMARY, lambda: data, "application/json", gone)

    def _renew(self, job: PurgedJob, path: str, make: Callable[[], bytes], content_type: str, gone: Gone) -> None:
        """Make a page anew, if it is there and comes to something else."""
        try:
            there, made = job.store.get(path), make()
        except FileNotFoundError:
            return
        except (JobError, KeyError, pa.ArrowException) as error:
            gone.left.append(f"{job.store.uri}/{path}: cannot be made anew ({error}); remove the page.")
            return
        if made != there:
            job.put(path, lambda: made, content_type, gone)

    def _figures(self, job: PurgedJob) -> dict[str, Any]:
        results = read_results(job.store, ("image", "flags", "error_code", "error_message"))
        causes = [json.loads(json.dumps(asdict(cause))) for cause in group_causes(results)]
        return {**count_statuses(results), "flagged": count_flagged(results), "causes": causes}

    def _sidecar(self, job: PurgedJob) -> bytes:
        """metadata.csv without the lines of purged files; the others stay as they are, byte by byte."""

        def stays(record: bytes) -> bool:
            path = record.partition(b",")[0].strip(b'"').decode()
            uri = f"{job.store.uri}/{path}" if path.startswith(IMAGES) else path
            return uri not in self._traces.uris and not self._names.among([path.removeprefix(IMAGES)])

        return b"".join(record for record in _records(job.store.get(SIDECAR)) if stays(record))

    def _sheet(self, job: PurgedJob, summary: dict[str, Any]) -> bytes:
        store = job.store
        about, manifest = find_job(store), read_manifest_copy(store)
        names, _ = NameTemplate.parse(str(about["name"])).names(manifest, extension(str(about["format"])))
        paths = pc.binary_join_element_wise(pa.scalar(IMAGES, pa.string()), names, "")
        results = pq.ParquetFile(pa.BufferReader(store.get(CLOSED))).read()
        decisions = read_decisions(store)
        standing = dict(zip(*(results[name].to_pylist() for name in ("custom_id", "sha256")), strict=True))
        prompts = rerolled(manifest, decisions.rerolls(standing))["prompt"]
        return contact_sheet({**about, "out": store.uri}, prompts, paths, results, summary, decisions)


def _records(data: bytes) -> Iterator[bytes]:
    """The records of a CSV file, line ends included: a line end between quotes ends none."""
    record = b""
    for line in data.splitlines(keepends=True):
        record += line
        if record.count(b'"') % 2 == 0:
            yield record
            record = b""
    if record:
        yield record
