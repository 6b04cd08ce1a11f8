"""A job that is open for one run: what was resolved of it, and everything that is opened or made for it, once."""

import contextlib
from collections.abc import Callable, Iterator

from pressrun.cluster.store.store import Store, never
from pressrun.jobs.decisions.decision_folder import write_decisions
from pressrun.jobs.finish.finish_file import refuse_signing
from pressrun.jobs.folder.job_file import create_job, refuse_another
from pressrun.jobs.folder.series import series_lock, unpruned
from pressrun.jobs.planning.batches import Batches
from pressrun.jobs.resolve.resolved_job import ResolvedJob, ensure_model, resolve
from pressrun.jobs.results.results import Results
from pressrun.jobs.reuse.carrying import decisions_of
from pressrun.jobs.reuse.refinishing import finishing_of
from pressrun.jobs.spec.context import Context
from pressrun.jobs.spec.failure_budget import FailureBudget
from pressrun.jobs.spec.job_spec import JobSpec
from pressrun.jobs.spec.option_types import odd_options
from pressrun.jobs.spec.progress import Progress
from pressrun.jobs.spec.run_limits import RunLimits
from pressrun.pipeline.errors import StorageError


class OpenJob:
    """`order` is what was resolved, `results` what is known of its rows, `limits` and `budget` are this run's, `fence`
    raises once somebody else has taken over. `tried` are rows that were tried with their next seeds, by how many they
    had behind them."""

    def __init__(self, spec: JobSpec, order: ResolvedJob, fence: Callable[[], None] = never) -> None:
        self.spec, self.order, self.store, self.fence = spec, order, order.store, fence
        self.limits = RunLimits(spec.limit, spec.max_images, spec.max_minutes)
        self.budget = FailureBudget.parse(spec.max_failures, order.rows)
        replaced = {row: decision.sha256 for row, decision in order.rerolls.items()}
        about = (order.manifest.table, order.manifest.customer_columns, replaced)
        self.results = Results(order.store, order.job, *about)
        self.batches = Batches(order.store)
        self.finishing = finishing_of(order, spec)
        self.tried: set[tuple[int, int]] = set()


@contextlib.contextmanager
def opened(spec: JobSpec, context: Context, events: Progress) -> Iterator[OpenJob]:
    """A job as long as it is this run's: its folder is created now, or found with this very job in it.

    Raises:
        JobError: the job is refused; nothing was written.
    """
    if odd_options(spec):
        resolve(spec, context)  # which refuses it for them, and for whatever else is wrong
    with series_lock(context.stores, spec.out, spec.since, spec.wait, events.note) as fence:
        order = resolve(spec, context)
        for note in order.manifest.notes:
            events.warn(note)
        order = ensure_model(order, events.fetching)
        store = order.store
        _refuse_folder(store, order)
        store.prepare()
        refuse_signing(spec, store)
        refuse_another(store, order.job)
        if spec.keep_pixels:
            store.stores.open(spec.keep_pixels).prepare()
        with unpruned(store, spec.since):
            create_job(store, order.job, order.frozen)
            decisions, carried = decisions_of(order)
            if carried:
                write_decisions(store, carried)
            yield OpenJob(spec, order.decided(decisions), fence)


def _refuse_folder(store: Store, order: ResolvedJob) -> None:
    """Refuse a folder that is not the job's before even temporaries are made in it; a bucket has none."""
    if not store.uri.startswith("s3://"):
        with contextlib.suppress(StorageError):  # `prepare` says better what is in the way
            refuse_another(store, order.job)
