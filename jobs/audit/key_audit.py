"""The audit of a job's keys: seeds, render keys and finish keys, made again from the frozen manifest."""

from collections.abc import Iterator, Sequence
from itertools import repeat

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.audit.audited import Audited, Discrepancy, Found, Unchecked
from pressrun.jobs.decisions.rerolls import rerolled
from pressrun.jobs.finish.row_metadata import NO_METADATA, Captions
from pressrun.jobs.folder.job_file import JOB
from pressrun.jobs.folder.result_schema import is_done, mask
from pressrun.jobs.references.validators import read_stamped
from pressrun.jobs.reuse.comparison import noted_digests
from pressrun.jobs.text.wording import several
from pressrun.pipeline.checks.spec import MAX_ATTEMPTS
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.finishing.spec import finish_key
from pressrun.pipeline.request import KEYED, RenderKeys, next_seed


class KeyAudit:
    """Makes the keys of an audited job's rows again."""

    def __init__(self, audited: Audited) -> None:
        self._audited = audited
        self._key = RenderKeys(audited.job["model_digest"], audited.job["precision"])
        self._stamped = read_stamped(audited.store) if _mentions(audited.manifest) else {}
        self._captions: Captions | None = None
        self._not_noted = self._unfinished = 0

    def found(self) -> Iterator[Found]:
        """Seeds and keys of pictures, and of what was rendered and rejected, are those of the manifest's rows."""
        yield from self._read_captions()
        for _, outcomes, requests in self._audited.batches():
            rendered = mask(pc.is_valid(outcomes["render_key"]))
            rendered &= is_done(outcomes) | mask(pc.equal(outcomes["status"], "rejected").fill_null(pa.scalar(False)))
            chosen = pa.array(rendered)
            outcomes, requests = outcomes.filter(chosen), requests.filter(chosen)
            requests = rerolled(requests, self._audited.rerolls)
            yield from self._renders(outcomes, requests)
            if self._captions:
                yield from self._finishes(outcomes, requests, self._captions)
        yield from self._unchecked()

    def _read_captions(self) -> Iterator[Found]:
        if self._audited.finishing is None:
            return
        try:
            self._captions = Captions.parse(self._audited.finishing, self._audited.manifest)
        except JobError as error:
            yield Discrepancy("job", JOB, f"The finishing spec in job.json is not for this manifest: {error}")

    def _renders(self, outcomes: pa.Table, requests: pa.Table) -> Iterator[Found]:
        reseeds = outcomes["reseeds"].fill_null(0).to_pylist()
        digests = noted_digests(requests, self._stamped)
        cells = zip(*(requests[name].to_pylist() for name in KEYED), strict=True)
        told = outcomes.select(["custom_id", "seed", "render_key"]).to_pylist()
        for row, request, times, references in zip(told, cells, reseeds, digests, strict=True):
            if None in request or not 0 <= times <= MAX_ATTEMPTS:
                yield _wrong_render(row["custom_id"], references)
                continue
            prompt, width, height, steps, guidance, seed = request
            for _ in range(times):
                seed = next_seed(seed)
            if row["seed"] != seed:
                message = f"Row {row['custom_id']} has the seed {row['seed']}; its request comes to {seed}."
                yield Discrepancy("wrong_seed", row["custom_id"], message)
            noted = [digest for digest in references if digest is not None]
            if len(noted) < len(references):
                self._not_noted += 1
            elif self._key(prompt, width, height, steps, guidance, seed, noted) != row["render_key"]:
                yield _wrong_render(row["custom_id"], references)

    def _finishes(self, outcomes: pa.Table, requests: pa.Table, captions: Captions) -> Iterator[Found]:
        spec = self._audited.job["finishing_digest"]
        silent = finish_key(spec, NO_METADATA.given)
        told = outcomes.select(["custom_id", "finish_key"]).to_pylist()
        said = repeat(NO_METADATA, len(told)) if captions.silent else captions.each(requests)
        for row, words in zip(told, said, strict=True):
            if row["finish_key"] is None:
                self._unfinished += 1
            elif row["finish_key"] != (silent if captions.silent else finish_key(spec, words.given)):
                message = (
                    f"Row {row['custom_id']}'s finish key is not that of the job's finishing spec and its captions."
                )
                yield Discrepancy("wrong_finish_key", row["custom_id"], message)

    def _unchecked(self) -> Iterator[Found]:
        if _mentions(self._audited.manifest):
            yield Unchecked("References were not read again: their digests are those that references.parquet notes.")
        if self._not_noted:
            rows = several(self._not_noted, "row")
            yield Unchecked(f"The render keys of {rows} were not made again: references.parquet lacks a reference.")
        if self._unfinished:
            rows = several(self._unfinished, "row")
            yield Unchecked(f"The finish keys of {rows} were not made again: they are from before there were any.")
        if self._audited.finishing is None:
            yield Unchecked(
                "The job's finishing spec knows more than this version: finish keys, and which renditions there are to "
                "be, were not checked."
            )


def _wrong_render(custom_id: str, references: Sequence[str | None]) -> Discrepancy:
    of = " and of its references, one of which may have been replaced while the job went on" if references else ""
    return Discrepancy("wrong_render_key", custom_id, f"Row {custom_id}'s render key is not that of its request{of}.")


def _mentions(manifest: pa.Table) -> bool:
    return bool(pc.any(pc.greater(pc.list_value_length(manifest["references"]), 0)).as_py())
