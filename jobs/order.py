"""An order: a job's spec after everything that can be known before an actor starts was checked, all of it together."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, repeat
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.finishing import rendition_suffix
from cluster.layout import Wishes
from cluster.signing import Signing, signing_from_environment
from cluster.store import Store, open_store
from cluster.unit import Item, Outcome, Reference, Unit
from cluster.web_rules import WebRules, web_rules
from jobs.bad_rows import SCHEMA as BAD_ROWS
from jobs.bad_rows import Problem, grouped, merged
from jobs.budget import FailureBudget
from jobs.captions import SILENCE, Captions
from jobs.finish_file import read_finish
from jobs.job import Job, JobSpec, freeze, frozen_digest, recorded_licence, refuse_another
from jobs.limits import Limits
from jobs.manifest import CHUNK_ROWS, REQUEST_SCHEMA, Manifest, normalise, read_manifest, requests
from jobs.names import NameTemplate
from jobs.nights import earlier_jobs
from jobs.pace import Pace
from jobs.plan import Plan, Sizes, group_by_shape, plan_units
from jobs.policy import Policy
from jobs.references import Mentions, References
from jobs.repetition import Repetition
from jobs.survey import Surveyed
from pipeline.catalogue import Model, find_model, look_up, model_digest
from pipeline.errors import JobError, RequestError
from pipeline.finishing_spec import FinishingSpec, finish_key
from pipeline.footprint import footprint_of
from pipeline.picture import FORMATS, extension
from pipeline.precision import precision_problem
from pipeline.request import RenderKeys
from pipeline.throughput import throughput

T = TypeVar("T")

FOLDER = "images/"
UNITS_AT_ONCE = 32
"""Units whose items are made together: a look into a table costs the same for one row as for a few hundred."""


@dataclass(frozen=True)
class Order:
    """What is to be rendered: the job, how it is finished and captioned, its model, its manifest, and where every row's
    picture belongs (null: nowhere); the renditions' places follow from it.

    `bad` are the rows that fail as they stand (see `jobs.bad_rows.SCHEMA`). `frozen` is manifest.parquet.
    `web` are the rules for references on the web, `earlier` the jobs whose pictures may be kept, the first one first,
    `signing` who signs the pictures.
    """

    job: Job
    finishing: FinishingSpec
    captions: Captions
    model: Model
    manifest: Manifest
    paths: pa.Array
    bad: pa.Table
    frozen: bytes = field(repr=False)
    web: WebRules
    earlier: tuple[str, ...] = ()
    signing: Signing | None = field(default=None, repr=False)

    @property
    def rows(self) -> int:
        return self.manifest.table.num_rows

    def finish_keys(self, rows: np.ndarray) -> pa.Array:
        """The finish key of each of `rows`; as columns, because there may be a million of them."""
        if self.captions.silent:
            return pa.repeat(pa.scalar(finish_key(self.job.finishing_digest, {}), pa.string()), len(rows))
        keys = [pa.array([], pa.string())]
        for start in range(0, len(rows), CHUNK_ROWS):
            said = self.captions.each(self.manifest.table.take(pa.array(rows[start : start + CHUNK_ROWS])))
            made = [finish_key(self.job.finishing_digest, row.given) for row in said]
            keys.append(pa.array(made, pa.string()))
        return pa.concat_arrays(keys)

    def refusals(self, rows: np.ndarray | None = None) -> Iterator[Outcome]:
        """An outcome for each bad row among `rows` (all, if None); a few thousand objects at a time."""
        ids = self.manifest.table["custom_id"].combine_chunks()
        bad = self.bad if rows is None else self.bad.filter(pc.is_in(self.bad["row"], pa.array(rows, pa.int64())))
        for batch in bad.to_batches(max_chunksize=CHUNK_ROWS):
            columns = (column.to_pylist() for column in (ids.take(batch["row"]), *batch.columns))
            for custom_id, row, code, message in zip(*columns, strict=True):
                yield Outcome(row, custom_id, "failed", error_code=code, error_message=message)

    def problems(self, failures: Sequence[Outcome] = ()) -> tuple[Problem, ...]:
        """The bad rows in groups, together with rows that failed while the job was prepared."""
        columns = {name: [getattr(outcome, name) for outcome in failures] for name in BAD_ROWS.names}
        failed = pa.table(columns, schema=BAD_ROWS)
        return grouped(merged(self.bad, failed), self.manifest.table["custom_id"])


def take_order(spec: JobSpec) -> Order:
    """Check a job's spec against its manifest and model. A model that can be fetched need not be on this machine yet.

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
    web = checked(lambda: web_rules(spec.allow_hosts))
    template = checked(lambda: NameTemplate.parse(spec.name))
    earlier = checked(lambda: earlier_jobs(spec.out, spec.since))
    signing = checked(signing_from_environment) if spec.sign else None
    model = checked(lambda: _wanted_model(spec.model))
    checked(lambda: _check_licence(spec, model))
    checked(lambda: _check_precision(spec, model))
    checked(lambda: _check_wishes(spec, model))
    some = model or Model(spec.model, "flux2-klein")  # enough to find what else is wrong
    manifest = checked(lambda: normalise(read_manifest(spec.manifest), some, spec.manifest))
    finishing = checked(lambda: read_finish(spec))
    names = frozen = captions = None
    if manifest is not None:
        captions = checked(lambda: Captions.parse(finishing or FinishingSpec(), manifest.table))
        if template is not None:
            spare = max((len(rendition_suffix(each)) for each in finishing.renditions), default=0) if finishing else 0
            names = checked(lambda: template.names(manifest.table, extension(spec.format), spare))
        frozen = checked(lambda: freeze(manifest.frozen))
    if problems or not (model and manifest and names and frozen and web and finishing and captions):
        raise JobError(*problems)
    named, unnamed = names
    job = Job(
        manifest=spec.manifest,
        rows=manifest.table.num_rows,
        manifest_digest=frozen_digest(frozen),
        model=model.name,
        model_digest=model_digest(model) if model.folder else "",
        precision=spec.precision or model.precision,
        format=spec.format,
        name=spec.name,
        finishing=finishing.described,
        finishing_digest=finishing.digest,
        licence=model.licence,
        licence_accepted=model.non_commercial,
    )
    paths = pc.binary_join_element_wise(pa.scalar(FOLDER, pa.string()), named, pa.scalar("", pa.string()))
    bad = merged(manifest.bad, unnamed)  # what the manifest says of a row is nearer to its cause
    return Order(job, finishing, captions, model, manifest, paths, bad, frozen, web, earlier or (), signing)


def bring_model(order: Order, store: Store, watch: Callable[[str, int, int], None]) -> Order:
    """`order` with its model on this machine, fetched if need be; `watch` is told its name, and bytes done and in all.

    Raises:
        JobError: it cannot be fetched, or the store holds another job, for which nothing is fetched.
    """
    if order.model.folder:
        return order
    from pipeline.hub import fetch_model

    refuse_another(store, order.job)
    model = fetch_model(order.model, lambda done, total: watch(order.model.name, done, total))
    return replace(order, model=model, job=replace(order.job, model_digest=model_digest(model)))


def _wanted_model(name_or_folder: str) -> Model:
    """A model that is ready, or one of the catalogue that can be fetched."""
    model = look_up(name_or_folder)
    return find_model(name_or_folder) if model.folder or not model.repo else model


def _check_precision(spec: JobSpec, model: Model | None) -> None:
    """Raises JobError where the precision that is wanted, or the model's own, cannot be had."""
    precision = spec.precision or (model.precision if model else None)
    if precision and (problem := precision_problem(precision)):
        raise JobError(problem)


def _check_wishes(spec: JobSpec, model: Model | None) -> None:
    """Raises JobError where the options make no layout for the model, whatever the devices are."""
    footprint = footprint_of(model) if model else None
    Wishes(spec.layout, spec.replicas, spec.shards).check(len(footprint.blocks) if footprint else None)


def _check_licence(spec: JobSpec, model: Model | None) -> None:
    """Raises JobError where the model's licence has to be accepted and is not, now or when the job was created."""
    if model is None or not model.non_commercial or spec.accept_license:
        return
    if recorded_licence(open_store(spec.out)) != model.licence:
        where = f": read it at {model.licence_url}" if model.licence_url else ", which its maker can give you"
        raise JobError(
            f"The model {model.name} is under the {model.licence}, which does not allow commercial use{where} and, if "
            "you accept it, give --accept-license (from Python: accept_license=True)."
        )


def _odd_options(spec: JobSpec) -> Iterator[str]:
    if spec.format not in FORMATS:
        yield f"--format {spec.format} is not a picture format; choose one of {', '.join(FORMATS)}."
    yield from Limits(spec.limit, spec.max_images, spec.max_minutes).problems()


class Work:
    """The rows that still need something: their references looked at, each as an `Item`, all of them as units. Rows of
    `again` have a picture, which repeats another's."""

    def __init__(
        self,
        order: Order,
        pending: np.ndarray,
        references: References,
        again: Mapping[int, Repetition] | None = None,
    ) -> None:
        self._order = order
        self._again, self._survey = again or {}, references
        self._requests = order.manifest.table.select(REQUEST_SCHEMA.names).combine_chunks()
        self.failures: list[Outcome] = []
        check = order.finishing.check("policy")
        self._policy = Policy(check, order.manifest.table["prompt"].combine_chunks()) if check else None
        pending = self._without_barred(pending)
        named = Mentions(order.manifest.table, pending)
        self._references = references.look(named.uris)
        self._tokens = np.zeros(order.rows, np.int64)
        self.rows = self._without_unusable(pending, named)

    def again(self, rows: np.ndarray, repetitions: Mapping[int, Repetition]) -> "Work":
        """The work of trying rows with their next seeds."""
        return Work(self._order, rows, self._survey, repetitions)

    def item(self, row: int) -> Item:
        """One row as what travels to the cluster."""
        [item] = self.items([row])
        return item

    def items(self, rows: Sequence[int]) -> Iterator[Item]:
        """Some rows as what travels to the cluster."""
        order, places = self._order, pa.array(rows, pa.int64())
        paths, asked = order.paths.take(places).to_pylist(), requests(self._requests.take(places))
        silent, digest = order.captions.silent, order.job.finishing_digest
        unsaid, key_of = finish_key(digest, SILENCE.given), RenderKeys(order.job.model_digest, order.job.precision)
        said = repeat(SILENCE, len(rows)) if silent else order.captions.each(order.manifest.table.take(places))
        for row, request, path, words in zip(rows, asked, paths, said, strict=True):
            references = tuple(self._usable(uri) for uri in request.references)
            digests = [reference.sha256 for reference in references]
            size = request.width, request.height
            key = key_of(request.prompt, *size, request.steps, request.guidance, request.seed, digests)
            finish = unsaid if silent else finish_key(digest, words.given)
            found = (self._policy.finding(row),) if self._policy else ()
            item = Item(row, request, path, key, finish, references, words.provenance)
            more = words.required_text or words.words or found
            if more:
                item = replace(item, required_text=words.required_text, findings=found, words=words.words)
            if row in self._again:
                item = self._again[row].tried_again(item, order.job.model_digest, order.job.precision)
            yield item

    def plan(self, rows: np.ndarray, device: str) -> Plan:
        """`rows` in units for a kind of device ("cpu", "cuda"), costliest first."""
        model, precision = self._order.model, self._order.job.precision
        sizes = Sizes(device, throughput(model.name, device, precision))
        return plan_units(group_by_shape(self._order.manifest.table, model, rows, self._tokens[rows]), sizes)

    def units(self, plan: Plan, pace: Pace) -> Iterator[Unit]:
        """The plan's units with their items, as large as `pace` wants them, made when they are asked for."""
        planned = pace.units(plan)
        while some := list(islice(planned, UNITS_AT_ONCE)):
            items = self.items([row for unit in some for row in unit.rows])
            for unit in some:
                own = tuple(islice(items, len(unit.rows)))
                yield Unit(unit.index, unit.shape, own, unit.cost, plan.sizes.rows(unit.shape))

    def _without_barred(self, pending: np.ndarray) -> np.ndarray:
        """The pending rows whose prompts the job's policy allows; the others are rejected."""
        if self._policy is None:
            return pending
        barred = self._policy.rejected[pending]
        ids = self._order.manifest.table["custom_id"]
        for row in pending[barred].tolist():
            found = self._policy.finding(row)
            told = Outcome(row, ids[row].as_py(), "rejected", error_code=found.check, error_message=found.message)
            self.failures.append(replace(told, findings=(found,)))
        return pending[~barred]

    def _without_unusable(self, pending: np.ndarray, named: Mentions) -> np.ndarray:
        """The pending rows all of whose references can be used; the others become failures, each with its first."""
        found = [self._references[uri] for uri in named.uris]
        tokens = np.array([0 if isinstance(one, RequestError) else math.prod(one.grid) for one in found], np.int64)
        np.add.at(self._tokens, named.rows, tokens[named.codes])
        wrong = np.array([isinstance(one, RequestError) for one in found], bool)[named.codes]
        rows, first = np.unique(named.rows[wrong], return_index=True)
        ids = self._order.manifest.table["custom_id"]
        for row, code in zip(rows.tolist(), named.codes[wrong][first].tolist(), strict=True):
            error = found[code]
            assert isinstance(error, RequestError)
            outcome = Outcome(row, ids[row].as_py(), "failed", error_code=error.code, error_message=error.message)
            self.failures.append(outcome)
        return np.setdiff1d(pending, rows)

    def _usable(self, uri: str) -> Reference:
        found: Surveyed = self._references[uri]
        if isinstance(found, RequestError):
            raise found
        return found
