"""The driver: the product's story from a manifest to finished pictures.

    from pressrun import JobSpec, render
    summary = render(JobSpec(manifest="catalog.parquet", out="s3://bucket/run-1"))

Whatever ends a run, the same call again goes on where it stopped: a picture that is there is never rendered again.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from pressrun.cluster.placement.layout import Layout
from pressrun.cluster.protocol.spec import Finishing, ModelSpec
from pressrun.cluster.protocol.unit import Outcome
from pressrun.cluster.runtime.scratch import Scratch
from pressrun.cluster.store.opening import aws_environment, open_store
from pressrun.cluster.store.store import Store, never
from pressrun.jobs.dedup.reseeding import COLUMNS, further_pictures, repetitions
from pressrun.jobs.finish.finish_file import refuse_signing
from pressrun.jobs.folder.causes import group_causes
from pressrun.jobs.folder.job_file import SUMMARY, open_job, refuse_another
from pressrun.jobs.folder.series import alone, unpruned
from pressrun.jobs.planning.batches import Batches
from pressrun.jobs.planning.estimate import estimate
from pressrun.jobs.planning.pending_rows import Work
from pressrun.jobs.planning.placement_forecast import Outlook, growth, layout_for, likely_device, outlook
from pressrun.jobs.planning.plan import Plan
from pressrun.jobs.planning.unit_sizing import Pace
from pressrun.jobs.references.references import References
from pressrun.jobs.resolve.resolved_job import Order, bring_model, take_order
from pressrun.jobs.results.changes import NOTHING, Changes, read_changes
from pressrun.jobs.results.results import Results
from pressrun.jobs.results.summary import Summary, count_flagged, count_statuses
from pressrun.jobs.reuse.cache import Keeping
from pressrun.jobs.reuse.recovery import Pictures
from pressrun.jobs.reuse.refinishing import Refinishing, finishing_of
from pressrun.jobs.run.closing import cause_of, close_job, is_closed
from pressrun.jobs.spec.failure_budget import FailureBudget
from pressrun.jobs.spec.job_spec import JobSpec
from pressrun.jobs.spec.progress import Progress, Silent
from pressrun.jobs.spec.run_limits import Limits
from pressrun.jobs.tables.row_errors import Problem, described
from pressrun.jobs.text.wording import several
from pressrun.pipeline.errors import JobError, StorageError

if TYPE_CHECKING:  # Ray is imported only when there is something to render
    from pressrun.cluster.scheduling.dispatcher import Dispatcher


def render(spec: JobSpec, progress: Progress | None = None) -> Summary:
    """Run a job, or go on with it, and say what became of it.

    Raises:
        JobError: the job is refused; nothing was rendered.
    """
    progress = progress or Silent()
    with alone(spec.out, spec.since, spec.wait, progress.note) as fence:
        return _render(spec, progress, fence)


def _render(spec: JobSpec, progress: Progress, fence: Callable[[], None]) -> Summary:
    started = time.monotonic()
    # 1. Everything that can be wrong with the order is found before anything is written or started.
    order = take_order(spec)
    for note in order.manifest.notes:
        progress.warn(note)
    store = open_store(spec.out)
    order = bring_model(order, store, progress.fetching)
    _refuse_folder(store, order)
    store.prepare()
    refuse_signing(spec, store)
    refuse_another(store, order.job)
    if spec.keep_pixels:
        open_store(spec.keep_pixels).prepare()
    with unpruned(store, spec.since):
        # 2. The job's folder: created now, or found with this very job in it.
        open_job(store, order.job, order.frozen)
        return _go_on(spec, order, store, progress, fence, started)


def _go_on(
    spec: JobSpec, order: Order, store: Store, progress: Progress, fence: Callable[[], None], started: float
) -> Summary:
    run = Run(spec, order, store, fence)
    # 3. What is done already: results, and pictures that no result names.
    stopped = None
    with Scratch() as scratch:
        try:
            work, plan = run.find_work(scratch, progress.looking)
            for line in described(order.problems(work.failures), order.rows):
                progress.warn(line)
            # 4. The rest is rendered.
            if not len(plan):
                work, plan = run.find_repetitions(work)
            if len(plan):
                stopped = run.over_budget() or run.render(work, plan, progress, scratch)
        except StorageError as error:
            stopped = str(error)
    # 5. Results in manifest order, contact sheet, summary; of a run that stopped, the results so far.
    return run.close(time.monotonic() - started, stopped)


def _refuse_folder(store: Store, order: Order) -> None:
    """Refuse a folder that is not the job's before even temporaries are made in it; a bucket has none."""
    if not store.uri.startswith("s3://"):
        with contextlib.suppress(StorageError):  # `prepare` says better what is in the way
            refuse_another(store, order.job)


@dataclass(frozen=True)
class Forecast:
    """What `--dry-run` tells: rows in all, done already (`cached` of them kept from another job), bad and to come (up
    to the spec's limit), in which units and shapes, for how long; the bad ones in groups. `fetch` is the repository
    that the model would be fetched from first, if it is not on this machine. `outlook` is where it would be
    rendered now, `changes` why rows are not kept, `further` how many pictures may be rendered besides at most, where
    checks try other seeds, `notes` what is to be said of the manifest's columns."""

    rows: int
    done: int
    cached: int
    bad: int
    pending: int
    units: int
    shapes: dict[str, int]
    seconds: float | None
    based_on: str
    problems: tuple[Problem, ...]
    fetch: str = ""
    fetch_bytes: int = 0
    outlook: Outlook | None = None
    changes: Changes = NOTHING
    further: int = 0
    notes: tuple[str, ...] = ()


def forecast(spec: JobSpec) -> Forecast:
    """What a run would do; nothing is written.

    Raises:
        JobError: as `render`.
    """
    order = take_order(spec)
    store = open_store(spec.out)
    refuse_another(store, order.job)
    run = Run(spec, order, store)
    work, plan = run.find_work(None, write=False)
    shapes: dict[str, int] = {}
    for unit in plan:
        name = f"{unit.shape.width} x {unit.shape.height}, {unit.shape.steps} steps"
        shapes[name] = shapes.get(name, 0) + len(unit.rows)
    pending = sum(shapes.values())
    bad = order.bad.num_rows + len(work.failures)
    missing = order.model if order.model.folder is None else None
    fetch = (f"{missing.repo} at {missing.revision[:8]}", missing.bytes) if missing else ("", 0)
    expected = (
        *run.estimate(plan),
        order.problems(work.failures),
        *fetch,
        run.outlook(plan),
        run.changes,
        run.further(pending, bad),
        order.manifest.notes,
    )
    return Forecast(order.rows, run.done, run.cached, bad, pending, len(plan), shapes, *expected)


class Run:
    """One go at a job; `done` counts the rows that needed nothing when their work was found, `kept` those of them
    that were kept from other jobs just then, and `changes` is why the others were not."""

    def __init__(self, spec: JobSpec, order: Order, store: Store, fence: Callable[[], None] = never) -> None:
        self._spec, self._order, self._store, self._fence = spec, order, store, fence
        self._limits = Limits(spec.limit, spec.max_images, spec.max_minutes)
        self._budget = FailureBudget.parse(spec.max_failures, order.rows)
        self._results = Results(store, order.job, order.manifest.table, order.manifest.customer_columns)
        self._batches = Batches(store)
        self.done = self.kept = 0
        self._on_paper = False
        self.changes = NOTHING
        self._rendered = self._stored = self._planned = 0
        self._tried: set[tuple[int, int]] = set()
        self._megapixels = 0.0
        self._layout = ""
        self._busy: dict[str, float] = {}
        self._trace: dict[str, Any] | None = None

    def find_work(
        self, scratch: Scratch | None, watch: Callable[[int, int], None] | None = None, write: bool = True
    ) -> tuple[Work, Plan]:
        """Settle what needs no rendering (with `write`, into the results) and plan the rest."""
        order, pictures = self._order, Pictures(self._store)
        self._on_paper = not write
        whole = pictures.whole(order)
        self._results.disown(whole)
        pending = np.flatnonzero(~self._results.settled)
        self.done = order.rows - len(pending)
        pending = self._limits.within(pending)
        bad = np.isin(pending, order.bad["row"].to_numpy())
        keeping = Keeping(order, self._store, self._fence)
        references = References(order.model, order.web, scratch, watch, keeping.known, noting=write)
        kept = keeping.keep(pending[~bad], references, self._results if write else None)
        self.kept, self.changes = len(kept.rows), kept.changes
        work = Work(order, np.setdiff1d(pending[~bad], kept.rows), references)
        found = pictures.unaccounted(order, work.rows, whole)
        self.done += len(found) + len(kept.rows)
        again = Refinishing(finishing_of(order, self._store, self._spec), work, np.setdiff1d(work.rows, found))
        finished = again.into(self._results) if write else again.rows
        self.done += len(finished)
        left = np.setdiff1d(work.rows, np.concatenate([found, finished]))
        plan = work.plan(self._limits.affordable(left), likely_device())
        if write:
            references.note(self._store)
            failures = chain(order.refusals(pending), work.failures)
            self._results.add_new(chain(map(self._counted, failures), pictures.recover(order, work, found)))
            if len(plan) or self._results.changed:
                self._store.delete(SUMMARY)  # it is the last word, and more is to come
        return work, plan

    def _counted(self, failure: Outcome) -> Outcome:
        self._budget.exceeded((failure,))
        return failure

    @property
    def cached(self) -> int:
        """Rows whose picture was kept from another job, those included that would be."""
        return count_statuses(self._results.last)["cached"] + (self.kept if self._on_paper else 0)

    def over_budget(self) -> str | None:
        """Why nothing is to be rendered at all: too many rows have failed before."""
        return self._budget.sentence() if self._budget.exceeded(()) else None

    def render(self, work: Work, plan: Plan, progress: Progress, scratch: Scratch) -> str | None:
        """Denoise on Ray; returns why the run stopped before its end, if it did."""
        from pressrun.cluster.placement.devices import devices_of_cluster
        from pressrun.cluster.runtime.ray_runtime import Interrupt, joined, ray_runtime
        from pressrun.cluster.scheduling.dispatcher import Dispatcher
        from pressrun.cluster.scheduling.worker_pool import Crew

        pending = len(plan.rows)
        with contextlib.ExitStack() as stack:
            interrupt = stack.enter_context(Interrupt())
            stack.enter_context(ray_runtime(scratch))
            interrupt.install()
            devices = devices_of_cluster()
            if devices.kind != plan.sizes.device:
                plan = work.plan(plan.rows, devices.kind)
            layout, needs = layout_for(self._spec, self._order, plan, self._results.last, devices)
            progress.note(
                f"{several(pending, 'picture')} in {several(len(plan), 'unit')}; {layout.describe()} ({layout.why})"
            )
            if self._spec.compile and layout.device == "cpu":
                progress.note("--compile is for GPUs: nothing is compiled here.")
            grow = growth(self._spec, layout, needs, len(plan))
            crew = Crew.assemble(layout, *self._parts(scratch), devices, grow if joined() else None)
            stack.callback(crew.close)
            dispatcher = Dispatcher(crew, patience_sec=needs.patience_sec(layout.device), room=self._batches.room)
            self._results.busy = dispatcher.busy
            together = all(role.shards == 1 for role in layout.roles)
            pace = Pace(layout.replicas, dispatcher.unit_seconds, together)
            stack.callback(self._note_use, dispatcher, layout)
            try:
                while len(plan):
                    if stopped := self._render_plan(work, plan, dispatcher, pace, interrupt.stop, progress):
                        return stopped
                    work, plan = self.find_repetitions(work, dispatcher.rendered)
            except JobError as error:  # workers that cannot be started
                if not dispatcher.rendered:
                    raise
                return str(error)
            return self._limits.reached() if self._limits.cut_short else None

    def _render_plan(
        self, work: Work, plan: Plan, dispatcher: "Dispatcher", pace: Pace, stop: Event, progress: Progress
    ) -> str | None:
        """One plan from its first unit to its last; why it stopped before that, if it did."""
        self._megapixels += plan.megapixels
        self._planned += len(plan.rows)
        total = min(self._order.rows, self._spec.limit or self._order.rows)
        progress.begin(total, total - len(plan.rows))
        try:
            for outcomes in dispatcher.run(self._limits.in_time(work.units(plan, pace)), stop):
                self._batches.keep(progress)
                self._results.add(outcomes)
                self._stored += sum(outcome.status == "succeeded" for outcome in outcomes)
                progress.update(outcomes)
                if self._budget.exceeded(outcomes):
                    return self._budget.sentence()
        finally:
            progress.end()
        return "Interrupted." if stop.is_set() else None

    def find_repetitions(self, work: Work, rendered: int = 0) -> tuple[Work, Plan]:
        """When every row has an outcome: those whose picture repeats another's and that are to be tried with their next
        seed, after `rendered` pictures of this run; each once in a run for each seed."""
        check, none = self._order.finishing.check("duplicate"), work.plan(work.rows[:0], likely_device())
        if check is None or check.action != "reseed" or self._limits.cut_short:
            return work, none
        self._results.flush()  # `last` knows nothing of what waits
        if self._results.last.num_rows < self._order.rows or not self._results.changed:
            return work, none
        found = repetitions(*self._results.pictures(COLUMNS), check, self._tried)
        if not found:
            return work, none
        self._tried.update((row, one.reseeds) for row, one in found.items())
        again = work.again(np.array(sorted(found), np.int64), found)
        # Where the pixels of their next seeds were kept, there may be another round before anything is rendered.
        finished = Refinishing(finishing_of(self._order, self._store, self._spec), again, again.rows)
        left = np.setdiff1d(again.rows, finished.into(self._results))
        if not len(left):
            return self.find_repetitions(work, rendered)
        return again, again.plan(self._limits.affordable(left, rendered), likely_device())

    def close(self, seconds: float, stopped: str | None) -> Summary:
        """Write what the run adds up to; the summary comes last, and only when every row is accounted for."""
        changes = self.changes
        try:
            changes = read_changes(self._store)
            self._results.flush()
        except StorageError as error:
            stopped = stopped or str(error)
        counts: dict[str, Any] = count_statuses(self._results.last)
        left = self._order.rows - sum(counts.values())
        if left and not stopped:
            stopped = self._limits.reached()
        summary = Summary(
            out=self._store.uri,
            model=self._order.job.model,
            rows=self._order.rows,
            **counts,
            flagged=count_flagged(self._results.last),
            pending=left,
            rendered=self._rendered,
            stored=self._stored,
            megapixels=round(self._megapixels, 3),
            seconds=round(seconds, 2),
            images_per_second=round(self._rendered / seconds, 3),
            busy=self._busy,
            layout=self._layout,
            smaller_batches=self._batches.room.fits,
            causes=group_causes(self._results.last),
            changes=changes,
            stopped=stopped,
        )
        if left and not stopped:
            raise RuntimeError(f"{left} rows have no outcome although the run went to its end")
        try:
            if not stopped and (self._results.changed or not is_closed(self._store)):
                return close_job(self._store, self._order, self._results, summary, self._trace)
        except StorageError as error:
            return replace(summary, stopped=str(error))
        except Exception as error:  # a bug of ours: whoever waits for the run's end is told, as of any other end
            why = f"The job could not be closed ({cause_of(error)}); its pictures and results are kept."
            return replace(summary, stopped=why)
        return summary

    def estimate(self, plan: Plan) -> tuple[float | None, str]:
        """Seconds that a plan takes, and by what that was judged."""
        return estimate(self._order, plan, self._results.last, self._store.uri)

    def further(self, pending: int, bad: int) -> int:
        """How many pictures may be rendered at most besides one for each pending row, where checks try other seeds."""
        ends = self.done + pending + bad == self._order.rows  # else nothing is looked for that repeats another
        news = pending or self._results.changed or self.done > np.count_nonzero(self._results.settled)
        there = self.done if ends and news else 0
        return self._limits.spared(pending, further_pictures(self._order.finishing.checks, pending, there))

    def outlook(self, plan: Plan) -> Outlook | None:
        """Where a plan would be rendered; None where nothing is left of it."""
        return outlook(self._spec, self._order, plan, self._results.last) if len(plan) else None

    def _parts(self, scratch: Scratch) -> tuple[ModelSpec, Finishing]:
        job, web, environment = self._order.job, self._order.web, aws_environment()
        folder = Path(self._spec.model)
        name = str(folder.resolve()) if folder.is_dir() else self._spec.model  # the workers run elsewhere
        kept = str(scratch.references) if scratch.used else ""
        model = ModelSpec(name, job.model_digest, job.precision, environment=environment, web=web, references=kept)
        model = replace(model, compile=self._spec.compile)
        return model, finishing_of(self._order, self._store, self._spec)

    def _note_use(self, dispatcher: "Dispatcher", layout: Layout) -> None:
        self._rendered = dispatcher.rendered
        self._megapixels *= self._rendered / max(1, self._planned)
        self._layout = layout.describe()
        self._busy = dispatcher.busy()
        self._trace = dispatcher.timeline.trace()
