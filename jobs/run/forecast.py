"""What a run would do: resolved and settled as `render` does it, with nothing written."""

from dataclasses import dataclass

import numpy as np

from pressrun.jobs.dedup.reseeding import further_pictures
from pressrun.jobs.folder.job_file import refuse_another
from pressrun.jobs.planning.estimate import estimate
from pressrun.jobs.planning.placement_forecast import PlacementForecast, outlook
from pressrun.jobs.resolve.resolved_job import resolve
from pressrun.jobs.results.changes import NOTHING, Changes
from pressrun.jobs.reuse.carrying import decisions_of
from pressrun.jobs.run.open_job import OpenJob
from pressrun.jobs.run.settling import Settled, settle
from pressrun.jobs.spec.context import Context
from pressrun.jobs.spec.job_spec import JobSpec
from pressrun.jobs.tables.row_errors import Problem


@dataclass(frozen=True)
class Forecast:
    """What a dry run tells: rows in all, done already (`cached` of them kept from another job), bad and to come (up
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
    outlook: PlacementForecast | None = None
    changes: Changes = NOTHING
    further: int = 0
    notes: tuple[str, ...] = ()


def forecast(spec: JobSpec, *, context: Context | None = None) -> Forecast:
    """What a run would do; nothing is written.

    Raises:
        JobError: as `render`.
    """
    order = resolve(spec, context or Context.of_this_process())
    refuse_another(order.store, order.job)
    job = OpenJob(spec, order.decided(decisions_of(order)[0]))
    order = job.order
    todo = settle(job, write=False)
    shapes: dict[str, int] = {}
    for unit in todo.plan:
        name = f"{unit.shape.width} x {unit.shape.height}, {unit.shape.steps} steps"
        shapes[name] = shapes.get(name, 0) + len(unit.rows)
    pending, bad = sum(shapes.values()), order.bad.num_rows + len(todo.rows.failures)
    missing = order.model if order.model.folder is None else None
    seconds, based_on = estimate(order, todo.plan, job.results.last)
    return Forecast(
        rows=order.rows,
        done=todo.done,
        cached=todo.cached,
        bad=bad,
        pending=pending,
        units=len(todo.plan),
        shapes=shapes,
        seconds=seconds,
        based_on=based_on,
        problems=order.problems(todo.rows.failures),
        fetch=f"{missing.repo} at {missing.revision[:8]}" if missing else "",
        fetch_bytes=missing.bytes if missing else 0,
        outlook=outlook(spec, order, todo.plan, job.results.last) if len(todo.plan) else None,
        changes=todo.changes,
        further=_further(job, todo, pending, bad),
        notes=order.manifest.notes,
    )


def _further(job: OpenJob, todo: Settled, pending: int, bad: int) -> int:
    """How many pictures may be rendered at most besides one for each pending row, where checks try other seeds."""
    ends = todo.done + pending + bad == job.order.rows  # else nothing is looked for that repeats another
    news = pending or job.results.changed or todo.done > np.count_nonzero(job.results.settled)
    there = todo.done if ends and news else 0
    return job.limits.spared(pending, further_pictures(job.order.finishing.checks, pending, there))
