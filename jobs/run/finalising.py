"""The end of a run: what it adds up to, and a closed job where every row is accounted for."""

from dataclasses import replace
from typing import Any

from pressrun.jobs.folder.causes import group_causes
from pressrun.jobs.results.changes import NOTHING, read_changes
from pressrun.jobs.results.summary import Summary, count_flagged, count_statuses
from pressrun.jobs.run.closing import cause_of, close_job, is_closed
from pressrun.jobs.run.ending import EndCode, Ending
from pressrun.jobs.run.execution import Use
from pressrun.jobs.run.open_job import OpenJob
from pressrun.pipeline.errors import StorageError


def finalise(job: OpenJob, ending: Ending, use: Use, seconds: float) -> Summary:
    """Write what a run adds up to; the summary comes last, and only when every row is accounted for."""
    order, results, changes = job.order, job.results, NOTHING
    try:
        changes = read_changes(job.store)
        results.flush()
    except StorageError as error:
        ending = ending if not ending.done else Ending(EndCode.STORAGE, str(error))
    counts: dict[str, Any] = count_statuses(results.last)
    left = order.rows - sum(counts.values())
    if left and ending.done:
        reached = job.limits.reached()
        if reached is None:
            raise RuntimeError(f"{left} rows have no outcome although the run went to its end")
        ending = Ending(EndCode.LIMIT, reached)
    summary = replace(_summary(job, ending, use, seconds), **counts, pending=left, changes=changes)
    try:
        if ending.done and (results.changed or not is_closed(job.store)):
            return close_job(job.store, order, results, summary, use.trace)
    except StorageError as error:
        return replace(summary, stopped=str(error), ending=EndCode.STORAGE.value)
    except Exception as error:  # a bug of ours: whoever waits for the run's end is told, as of any other end
        why = f"The job could not be closed ({cause_of(error)}); its pictures and results are kept."
        return replace(summary, stopped=why, ending=EndCode.BUG.value)
    return summary


def _summary(job: OpenJob, ending: Ending, use: Use, seconds: float) -> Summary:
    """What is known of a run without counting the rows."""
    return Summary(
        out=job.store.uri,
        model=job.order.job.model,
        rows=job.order.rows,
        flagged=count_flagged(job.results.last),
        rendered=use.rendered,
        stored=use.stored,
        megapixels=round(use.megapixels, 3),
        seconds=round(seconds, 2),
        images_per_second=round(use.rendered / seconds, 3),
        busy=dict(use.busy),
        layout=use.layout,
        smaller_batches=job.batches.room.fits,
        causes=group_causes(job.results.last),
        stopped=ending.message or None,
        ending=ending.code.value,
    )
