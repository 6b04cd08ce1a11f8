"""Executors: whatever renders a job's units. Ray workers that hold weights are one; the seam is for others."""

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol

from pressrun.cluster.protocol.job_context import JobContext
from pressrun.cluster.protocol.spec import ModelSpec
from pressrun.cluster.protocol.unit import Outcome, Unit
from pressrun.cluster.runtime.scratch import Scratch
from pressrun.jobs.planning.placement_forecast import growth, layout_for
from pressrun.jobs.planning.unit_sizing import UnitSizer
from pressrun.jobs.reuse.refinishing import travelling
from pressrun.jobs.run.open_job import OpenJob
from pressrun.jobs.run.settling import Settled
from pressrun.jobs.spec.progress import Progress
from pressrun.jobs.text.wording import several

if TYPE_CHECKING:  # Ray is imported only when there is something to render
    from pressrun.cluster.scheduling.actor_pool import ActorPool


class Session(Protocol):
    """One job's rendering, from its first unit to its last.

    `todo` is what it begins with, planned for where it is rendered; `pace` says how large its units are, `layout` where
    they are rendered, in words. `rendered` counts the pictures that were denoised.
    """

    todo: Settled
    pace: UnitSizer
    layout: str

    @property
    def rendered(self) -> int: ...

    @property
    def loaded(self) -> tuple[int, int]:
        """How many of how many that render have loaded what they need."""

    def run(self, units: Iterator[Unit]) -> Iterator[list[Outcome]]:
        """Yield outcomes as they come, at least twice a second (then perhaps none), until all are in or it is stopped.

        Raises:
            StorageError: the store failed although it was asked again; what is in flight is given up.
            JobError: workers cannot be started.
        """

    def busy(self) -> Mapping[str, float]:
        """Each stage's busy share so far."""

    def trace(self) -> dict[str, Any]:
        """When and where every call ran, in the Trace Event Format."""


class Executor(Protocol):
    """Renders units of jobs."""

    def session(
        self, job: OpenJob, todo: Settled, scratch: Scratch, events: Progress, stop: Event
    ) -> contextlib.AbstractContextManager[Session]:
        """Everything that one job needs to be rendered, until the context ends.

        Raises:
            JobError: it cannot be rendered here, or what it runs on does not answer.
        """


class RayExecutor:
    """Ray workers that hold the model: started for one job, or the actors of a `pool` that several jobs share."""

    def __init__(self, pool: "ActorPool | None" = None) -> None:
        self._pool = pool

    @contextlib.contextmanager
    def session(
        self, job: OpenJob, todo: Settled, scratch: Scratch, events: Progress, stop: Event
    ) -> Iterator["RaySession"]:
        """As `Executor.session`; Ray runs, or is joined, as long as the context lasts."""
        context = _context(job, scratch)
        if self._pool is not None:
            yield RaySession(job, todo, self._pool, context, None, stop)
            return
        from pressrun.cluster.placement.devices import devices_of_cluster
        from pressrun.cluster.runtime.ray_runtime import Interrupt, joined, ray_runtime
        from pressrun.cluster.scheduling.actor_pool import ActorPool

        events.note("Joining the Ray cluster …" if joined() else "Starting Ray on this machine …")
        with Interrupt(stop) as interrupt, ray_runtime(scratch):
            interrupt.install()
            devices = devices_of_cluster()
            todo = todo.planned_for(devices.kind)
            layout, needs = layout_for(job.spec, job.order, todo.plan, job.results.last, devices)
            pictures, units = several(len(todo.plan.rows), "picture"), several(len(todo.plan), "unit")
            events.note(f"{pictures} in {units}; {layout.describe()} ({layout.why})")
            if job.spec.compile and layout.device == "cpu":
                events.note("`compile` is for GPUs: nothing is compiled here.")
            grow = growth(job.spec, layout, needs, len(todo.plan)) if joined() else None
            with contextlib.closing(ActorPool(layout, model_spec(job), devices)) as pool:
                patience = needs.patience_sec(layout.device)
                yield RaySession(job, todo, pool, context, grow, stop, patience)


class RaySession:
    """As `Session`, by a dispatcher over workers of a pool."""

    def __init__(
        self,
        job: OpenJob,
        todo: Settled,
        pool: "ActorPool",
        context: JobContext,
        grow: Any,
        stop: Event,
        patience_sec: float | None = None,
    ) -> None:
        from pressrun.cluster.scheduling.dispatcher import Dispatcher

        more = {} if patience_sec is None else {"patience_sec": patience_sec}
        self.todo, self._stop = todo, stop
        self._dispatcher: Dispatcher = Dispatcher(pool.lease(context, grow), room=job.batches.room, **more)
        together = all(role.shards == 1 for role in pool.layout.roles)
        self.pace = UnitSizer(pool.layout.replicas, self._dispatcher.unit_seconds, together)
        self.layout = pool.layout.describe()

    @property
    def rendered(self) -> int:
        """Pictures that were denoised."""
        return self._dispatcher.rendered

    @property
    def loaded(self) -> tuple[int, int]:
        """As `Session.loaded`."""
        return self._dispatcher.loaded

    def run(self, units: Iterator[Unit]) -> Iterator[list[Outcome]]:
        """As `Session.run`."""
        return self._dispatcher.run(units, self._stop)

    def busy(self) -> dict[str, float]:
        """As `Session.busy`."""
        return self._dispatcher.busy()

    def trace(self) -> dict[str, Any]:
        """As `Session.trace`."""
        return self._dispatcher.timeline.trace()


def model_spec(job: OpenJob) -> ModelSpec:
    """What the actors load that render a job."""
    folder, wanted = Path(job.spec.model), job.order.job
    name = str(folder.resolve()) if folder.is_dir() else job.spec.model  # the workers run elsewhere
    return ModelSpec(name, wanted.model_digest, wanted.precision, compile=job.spec.compile)


def _context(job: OpenJob, scratch: Scratch) -> JobContext:
    """What the actors are told of a job that fetch and finish for it."""
    order = job.order
    return JobContext(
        key=secrets.token_hex(8),
        finishing=job.finishing,
        web=order.web,
        stores=travelling(order.context.stores),
        references=str(scratch.references) if scratch.used else "",
        reference_pixels=order.model.reference_pixels,
    )
