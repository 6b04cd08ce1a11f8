"""What a run renders: plan after plan, until nothing is left or something ends it; and what that has cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from pressrun.cluster.runtime.scratch import Scratch
from pressrun.jobs.run.ending import DONE, EndCode, Ending
from pressrun.jobs.run.executor import Executor, Session
from pressrun.jobs.run.open_job import OpenJob
from pressrun.jobs.run.settling import Settled, next_round
from pressrun.jobs.spec.progress import Progress
from pressrun.pipeline.errors import JobError


@dataclass(frozen=True)
class Use:
    """What a run has rendered and stored, in which layout, and how busy that was. `trace` is for timeline.json."""

    rendered: int = 0
    stored: int = 0
    megapixels: float = 0.0
    layout: str = ""
    busy: Mapping[str, float] = field(default_factory=dict)
    trace: dict[str, Any] | None = None


class Execution:
    """One run's rendering; `use` tells what it has cost, also where it raised."""

    def __init__(self, job: OpenJob, executor: Executor, events: Progress, stop: Event) -> None:
        self._job, self._executor, self._events, self._stop = job, executor, events, stop
        self._stored = self._planned = 0
        self._megapixels = 0.0
        self.use = Use()

    def run(self, todo: Settled, scratch: Scratch) -> Ending:
        """Render what is to be rendered, and what follows from it.

        Raises:
            StorageError: the store failed although it was asked again.
            JobError: workers cannot be started, and nothing was rendered.
        """
        job, limits = self._job, self._job.limits
        if job.budget.exceeded(()):  # by rows that had failed before
            return Ending(EndCode.BUDGET, job.budget.sentence())
        with self._executor.session(job, todo, scratch, self._events, self._stop) as session:
            job.results.busy = lambda: dict(session.busy())
            todo = session.todo
            try:
                while len(todo.plan):
                    ending = self._render(todo, session)
                    if not ending.done:
                        return ending
                    todo = next_round(job, todo, session.rendered)
            except JobError as error:
                if not session.rendered:
                    raise
                return Ending(EndCode.WORKERS, str(error))
            finally:
                self.use = self._used(session)
        return Ending(EndCode.LIMIT, limits.reached() or "") if limits.cut_short else DONE

    def _render(self, todo: Settled, session: Session) -> Ending:
        """One plan from its first unit to its last."""
        job, plan = self._job, todo.plan
        self._megapixels += plan.megapixels
        self._planned += len(plan.rows)
        total = min(job.order.rows, job.spec.limit or job.order.rows)
        self._events.begin(total, total - len(plan.rows))
        try:
            for outcomes in session.run(job.limits.in_time(todo.rows.units(plan, session.pace))):
                job.batches.keep(self._events)
                self._events.loading(*session.loaded)
                job.results.add(outcomes)
                self._stored += sum(outcome.status == "succeeded" for outcome in outcomes)
                self._events.update(outcomes)
                if job.budget.exceeded(outcomes):
                    return Ending(EndCode.BUDGET, job.budget.sentence())
        finally:
            self._events.end()
        return Ending(EndCode.INTERRUPTED, "Interrupted.") if self._stop.is_set() else DONE

    def _used(self, session: Session) -> Use:
        share = session.rendered / max(1, self._planned)
        figures = (session.rendered, self._stored, self._megapixels * share, session.layout)
        return Use(*figures, dict(session.busy()), session.trace())
