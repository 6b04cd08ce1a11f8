"""An order: a job's spec after everything that can be known before an actor starts was checked, all of it together."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.net.fetch_rules import WebRules, web_rules
from pressrun.cluster.placement.layout import PlacementRequest
from pressrun.cluster.protocol.picture_paths import rendition_suffix
from pressrun.cluster.protocol.signing import Signing, signing_of
from pressrun.cluster.protocol.unit import Outcome
from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.store import Store
from pressrun.jobs.decisions.decision import Decision, Decisions
from pressrun.jobs.decisions.rerolls import rerolled, rows_of
from pressrun.jobs.finish.finish_file import read_finish
from pressrun.jobs.finish.row_metadata import Captions
from pressrun.jobs.folder.job_file import IMAGES, Job, freeze, frozen_digest, recorded_licence, refuse_another
from pressrun.jobs.folder.series import earlier_jobs
from pressrun.jobs.manifest.manifest import CHUNK_ROWS, Manifest, normalise, read_manifest
from pressrun.jobs.manifest.output_names import NameTemplate
from pressrun.jobs.spec.context import Context
from pressrun.jobs.spec.failure_budget import FailureBudget
from pressrun.jobs.spec.job_spec import JobSpec
from pressrun.jobs.spec.option_types import odd_options, without
from pressrun.jobs.spec.run_limits import RunLimits
from pressrun.jobs.tables.in_memory import table_of
from pressrun.jobs.tables.row_errors import SCHEMA as BAD_ROWS
from pressrun.jobs.tables.row_errors import Problem, grouped, merged
from pressrun.jobs.text.wording import several
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.families.family import family_of
from pressrun.pipeline.finishing.codec import FORMATS, extension
from pressrun.pipeline.finishing.spec import FinishingSpec, finish_key
from pressrun.pipeline.models.catalogue import Model, find_model, look_up, model_digest
from pressrun.pipeline.models.precision import precision_problem

T = TypeVar("T")


@dataclass(frozen=True)
class ResolvedJob:
    """What is to be rendered: the job, how it is finished and captioned, its model, its manifest, and where every row's
    picture belongs (null: nowhere); the renditions' places follow from it.

    `bad` are the rows that fail as they stand (see `jobs.tables.row_errors.SCHEMA`). `frozen` is manifest.parquet.
    `web` are the rules for references on the web, `store` is the job's place, `context` holds its keys, `earlier` the
    jobs whose pictures may be kept, the first one first, `signing` who signs the pictures. `rerolls` has the decisions
    by which rows have another seed or prompt than `frozen` says.
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
    store: Store
    context: Context
    earlier: tuple[str, ...] = ()
    signing: Signing | None = field(default=None, repr=False)
    rerolls: Mapping[int, Decision] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return int(self.manifest.table.num_rows)

    def decided(self, decisions: Decisions) -> "ResolvedJob":
        """The same with the seeds and prompts that decisions gave to rows."""
        rerolls = decisions.rerolls()
        manifest = replace(self.manifest, table=rerolled(self.manifest.table, rerolls))
        return replace(self, manifest=manifest, rerolls=rows_of(manifest.table, rerolls))

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


def resolve(spec: JobSpec, context: Context) -> ResolvedJob:
    """Check a job's spec against its manifest and model. A model that can be fetched need not be on this machine yet.

    Raises:
        JobError: every reason why the job cannot be run as it was asked for.
    """
    odd = odd_options(spec)
    spec = without(spec, odd)
    problems = [*odd.values(), *_odd_options(spec)]
    spec = spec if spec.format in FORMATS else replace(spec, format="png")  # to find what else is wrong
    checked = partial(_checked, problems)
    checked(lambda: FailureBudget.parse(spec.max_failures, 1))
    stores = context.stores
    store = checked(lambda: stores.open(spec.out))
    web = checked(lambda: web_rules(spec.allow_hosts, context.reference_headers))
    template = checked(lambda: NameTemplate.parse(spec.name))
    earlier = checked(lambda: earlier_jobs(stores, spec.out, spec.since))
    signing = checked(lambda: signing_of(context.signing)) if spec.sign else None
    model = checked(lambda: _wanted_model(spec.model))
    checked(lambda: _check_licence(store, spec, model))
    checked(lambda: _check_precision(spec, model))
    checked(lambda: _check_wishes(spec, model))
    some = model or Model(spec.model, "flux2-klein")  # enough to find what else is wrong
    manifest = checked(lambda: _read_manifest(stores, spec, some))
    finishing = checked(lambda: read_finish(stores, spec))
    names = frozen = captions = None
    if manifest is not None:
        captions = checked(lambda: Captions.parse(finishing or FinishingSpec(), manifest.table))
        if template is not None:
            names = checked(lambda: template.names(manifest.table, extension(spec.format), _spare(finishing)))
        frozen = checked(lambda: freeze(manifest.frozen))
    if problems or not (model and manifest and names and frozen and web and store and finishing and captions):
        raise JobError(*problems, code="bad_option")
    named, unnamed = names
    job = _job(spec, model, manifest.table.num_rows, frozen, finishing)
    paths = pc.binary_join_element_wise(pa.scalar(IMAGES, pa.string()), named, pa.scalar("", pa.string()))
    bad = merged(manifest.bad, unnamed)  # what the manifest says of a row is nearer to its cause
    return ResolvedJob(
        job, finishing, captions, model, manifest, paths, bad, frozen, web, store, context, earlier or (), signing
    )


def _checked(problems: list[str], check: Callable[[], T]) -> T | None:
    """What a check gives; None where it refuses, and then its reasons are among the problems."""
    try:
        return check()
    except JobError as error:
        problems.extend(error.problems)
        return None


def _read_manifest(stores: Stores, spec: JobSpec, model: Model) -> Manifest:
    if isinstance(spec.manifest, str):
        return normalise(read_manifest(stores, spec.manifest), model, spec.manifest)
    return normalise(table_of(spec.manifest), model, os.curdir)


def _spare(finishing: FinishingSpec | None) -> int:
    """Letters that a picture's name has to leave free for its renditions' names."""
    return max((len(rendition_suffix(each)) for each in finishing.renditions), default=0) if finishing else 0


def _job(spec: JobSpec, model: Model, rows: int, frozen: bytes, finishing: FinishingSpec) -> Job:
    """The identity of what was asked for."""
    return Job(
        manifest=spec.manifest if isinstance(spec.manifest, str) else f"a table of {several(rows, 'row')}",
        rows=rows,
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


def ensure_model(order: ResolvedJob, watch: Callable[[str, int, int], None]) -> ResolvedJob:
    """`order` with its model on this machine, fetched if need be; `watch` is told its name, and bytes done and in all.

    Raises:
        JobError: it cannot be fetched, or the store holds another job, for which nothing is fetched.
    """
    if order.model.folder:
        return order
    from pressrun.pipeline.models.hub import fetch_model

    refuse_another(order.store, order.job)
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
        raise JobError(problem, code="bad_option")


def _check_wishes(spec: JobSpec, model: Model | None) -> None:
    """Raises JobError where the options make no layout for the model, whatever the devices are."""
    footprint = family_of(model).footprint(model) if model else None
    PlacementRequest(spec.layout, spec.replicas, spec.shards).check(len(footprint.blocks) if footprint else None)


def _check_licence(store: Store | None, spec: JobSpec, model: Model | None) -> None:
    """Raises JobError where the model's licence has to be accepted and is not, now or when the job was created."""
    if model is None or not model.non_commercial or spec.accept_license:
        return
    if store is None or recorded_licence(store) != model.licence:
        where = f": read it at {model.licence_url}" if model.licence_url else ", which its maker can give you"
        raise JobError(
            f"The model {model.name} is under the {model.licence}, which does not allow commercial use{where} and, if "
            "you accept it, give `accept_license`.",
            code="licence",
        )


def _odd_options(spec: JobSpec) -> Iterator[str]:
    if spec.format not in FORMATS:
        yield f"`format` {spec.format} is not a picture format; choose one of {', '.join(FORMATS)}."
    yield from RunLimits(spec.limit, spec.max_images, spec.max_minutes).problems()
