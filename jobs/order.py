"""An order: a job's spec after everything that can be known before an actor starts was checked, all of it together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.layout import choose_layout
from cluster.unit import Item, Outcome, Reference, Unit
from cluster.web_rules import WebRules, web_rules
from jobs.bad_rows import SCHEMA as BAD_ROWS
from jobs.bad_rows import Problem, grouped, merged
from jobs.budget import FailureBudget
from jobs.job import Job, JobSpec, freeze, frozen_digest
from jobs.manifest import CHUNK_ROWS, Manifest, normalise, read_manifest, requests
from jobs.names import NameTemplate
from jobs.plan import Plan, group_by_shape, plan_units, unit_size
from jobs.survey import Surveyed, survey
from pipeline.catalogue import Model, find_model, model_digest
from pipeline.errors import JobError, RequestError
from pipeline.picture import FORMATS, extension
from pipeline.request import render_key

T = TypeVar("T")

FOLDER = "images/"
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Order:
    """What is to be rendered: the job, its model, its manifest, and where every row's picture belongs (null: nowhere).

    `bad` are the rows that fail as they stand (see `jobs.bad_rows.SCHEMA`). `frozen` is manifest.parquet.
    `web` are the rules for references on the web.
    """

    job: Job
    model: Model
    manifest: Manifest
    paths: pa.Array
    bad: pa.Table
    frozen: bytes = field(repr=False)
    web: WebRules

    @property
    def rows(self) -> int:
        return self.manifest.table.num_rows

    def refusals(self) -> Iterator[Outcome]:
        """An outcome for each bad row."""
        ids = self.manifest.table["custom_id"].combine_chunks()
        for batch in self.bad.to_batches(max_chunksize=CHUNK_ROWS):
            columns = (column.to_pylist() for column in (ids.take(batch["row"]), *batch.columns))
            for custom_id, row, code, message in zip(*columns, strict=True):
                yield Outcome(row, custom_id, "failed", error_code=code, error_message=message)

    def problems(self, failures: Sequence[Outcome] = ()) -> tuple[Problem, ...]:
        """The bad rows in groups, together with rows that failed while the job was prepared."""
        columns = {name: [getattr(outcome, name) for outcome in failures] for name in BAD_ROWS.names}
        failed = pa.table(columns, schema=BAD_ROWS)
        return grouped(merged(self.bad, failed), self.manifest.table["custom_id"])


def take_order(spec: JobSpec) -> Order:
    """Check a job's spec against its manifest and model.

    Raises:
        JobError: every reason why the job cannot be run as it was asked for.
    """
    problems: list[str] = []

    def checked(check: Callable[[], T]) -> T | None:
        try:
            return check()
        except JobError as error:
            problems.extend(error.problems)
            return None

    problems.extend(_odd_options(spec))
    checked(lambda: FailureBudget.parse(spec.max_failures, 1))
    checked(lambda: choose_layout(spec.layout, spec.replicas, spec.shards, cpus=1, gpus=0))
    web = checked(lambda: web_rules(spec.allow_hosts))
    template = checked(lambda: NameTemplate.parse(spec.name))
    model = checked(lambda: find_model(spec.model))
    some = model or Model(spec.model, "flux2-klein")  # enough to find what else is wrong
    manifest = checked(lambda: normalise(read_manifest(spec.manifest), some, spec.manifest))
    names = frozen = None
    if manifest is not None:
        if template is not None:
            names = checked(lambda: template.names(manifest.table, extension(spec.format)))
        frozen = checked(lambda: freeze(manifest.frozen))
    if problems or not (model and manifest and names and frozen and web):
        raise JobError(*problems)
    named, unnamed = names
    job = Job(
        manifest=spec.manifest,
        rows=manifest.table.num_rows,
        manifest_digest=frozen_digest(frozen),
        model=model.name,
        model_digest=model_digest(model),
        precision=spec.precision or model.precision,
        format=spec.format,
        name=spec.name,
    )
    paths = pc.binary_join_element_wise(pa.scalar(FOLDER, pa.string()), named, pa.scalar("", pa.string()))
    bad = merged(manifest.bad, unnamed)  # what the manifest says of a row is nearer to its cause
    return Order(job, model, manifest, paths, bad, frozen, web)


def _odd_options(spec: JobSpec) -> Iterator[str]:
    if spec.format not in FORMATS:
        yield f"--format {spec.format} is not a picture format; choose one of {', '.join(FORMATS)}."
    if spec.precision is not None and spec.precision not in PRECISIONS:
        yield f"--precision {spec.precision} is not available; choose one of {', '.join(PRECISIONS)}."
    if spec.limit is not None and spec.limit < 1:
        yield f"--limit {spec.limit} leaves nothing to render; give a number from 1 on."


class Work:
    """The rows that still need something: their references looked at, each as an `Item`, all of them as units."""

    def __init__(self, order: Order, pending: np.ndarray) -> None:
        self._order = order
        self.failures: list[Outcome] = []
        self._references = survey(_reference_uris(order, pending), order.model, order.web)
        self.rows = self._without_unusable(pending)

    def item(self, row: int) -> Item:
        """One row as what travels to the cluster."""
        [request] = requests(self._order.manifest.table.slice(row, 1))
        references = tuple(self._usable(uri) for uri in request.references)
        digests = [reference.sha256 for reference in references]
        key = render_key(request, digests, self._order.job.model_digest, self._order.job.precision)
        return Item(row, request, self._order.paths[row].as_py(), key, references)

    def plan(self, rows: np.ndarray) -> Plan:
        """`rows` in units, costliest first."""
        tokens = np.fromiter((self._tokens(row) for row in rows.tolist()), np.int64, len(rows))
        return plan_units(group_by_shape(self._order.manifest.table, self._order.model, rows, tokens))

    def units(self, plan: Plan) -> Iterator[Unit]:
        """The plan's units with their items, made when they are asked for."""
        for unit in plan:
            items = tuple(self.item(row) for row in unit.rows)
            cost = float(unit.shape.tokens * unit.shape.passes * len(items))
            yield Unit(unit.index, unit.shape, items, cost, unit_size(unit.shape))

    def _without_unusable(self, pending: np.ndarray) -> np.ndarray:
        wrong = {uri: found for uri, found in self._references.items() if isinstance(found, RequestError)}
        if not wrong:
            return pending
        good = []
        for row in pending.tolist():
            uris = self._order.manifest.table["references"][row].as_py() or []
            error = next((wrong[uri] for uri in uris if uri in wrong), None)
            if error is None:
                good.append(row)
                continue
            custom_id = self._order.manifest.table["custom_id"][row].as_py()
            self.failures.append(Outcome(row, custom_id, "failed", error_code=error.code, error_message=error.message))
        return np.array(good, np.int64)

    def _usable(self, uri: str) -> Reference:
        found: Surveyed = self._references[uri]
        if isinstance(found, RequestError):
            raise found
        return found

    def _tokens(self, row: int) -> int:
        if not self._references:
            return 0
        uris = self._order.manifest.table["references"][row].as_py() or []
        return sum(h * w for h, w in (self._usable(uri).grid for uri in uris))


def _reference_uris(order: Order, pending: np.ndarray) -> list[str]:
    lists = order.manifest.table["references"].combine_chunks().take(pa.array(pending, pa.int64()))
    return pc.unique(pc.list_flatten(lists)).to_pylist()
