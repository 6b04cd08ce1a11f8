"""The driver: the product's story from a manifest to finished pictures.

    from pressrun import JobSpec, render
    summary = render(JobSpec(manifest="catalog.parquet", out="s3://bucket/run-1"))

Whatever ends a run, the same call again goes on where it stopped: a picture that is there is never rendered again.
"""

import time
from threading import Event

from pressrun.cluster.runtime.scratch import Scratch
from pressrun.jobs.results.summary import Summary
from pressrun.jobs.run.ending import DONE, EndCode, Ending
from pressrun.jobs.run.execution import Execution
from pressrun.jobs.run.executor import Executor, RayExecutor
from pressrun.jobs.run.finalising import finalise
from pressrun.jobs.run.open_job import OpenJob, opened
from pressrun.jobs.run.settling import next_round, settle
from pressrun.jobs.spec.context import Context
from pressrun.jobs.spec.job_spec import JobSpec
from pressrun.jobs.spec.progress import Progress, Silent
from pressrun.jobs.tables.row_errors import described
from pressrun.pipeline.errors import StorageError


def render(
    spec: JobSpec,
    events: Progress | None = None,
    stop: Event | None = None,
    *,
    context: Context | None = None,
    executor: Executor | None = None,
) -> Summary:
    """Run a job, or go on with it, and say what became of it.

    `events` is told how it goes, and setting `stop` ends it so that it can be resumed. `context` holds the job's keys,
    those of this process's environment if there is none; `executor` renders, else Ray workers that are started for it.

    Raises:
        JobError: the job is refused; nothing was rendered.
    """
    events, started = events or Silent(), time.monotonic()
    # 1. Everything that can be wrong with the job is found before anything is written or started.
    with opened(spec, context or Context.of_this_process(), events) as job:
        execution = Execution(job, executor or RayExecutor(), events, stop or Event())
        ending = _run(job, execution, events)
        # 4. Results in manifest order, contact sheet, summary; of a run that stopped, the results so far.
        return finalise(job, ending, execution.use, time.monotonic() - started)


def _run(job: OpenJob, execution: Execution, events: Progress) -> Ending:
    with Scratch() as scratch:
        try:
            # 2. What is done already: results, pictures that no result names, pictures and pixels that are kept.
            todo = settle(job, scratch, events.looking)
            for line in described(job.order.problems(todo.rows.failures), job.order.rows):
                events.warn(line)
            if not len(todo.plan):
                todo = next_round(job, todo)
            # 3. The rest is rendered.
            return execution.run(todo, scratch) if len(todo.plan) else DONE
        except StorageError as error:
            return Ending(EndCode.STORAGE, str(error))
