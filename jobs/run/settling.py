"""Settling: which rows need no rendering, and in which units the others are rendered."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from pressrun.cluster.runtime.scratch import Scratch
from pressrun.jobs.dedup.reseeding import COLUMNS, repetitions
from pressrun.jobs.folder.job_file import SUMMARY
from pressrun.jobs.planning.pending_rows import PendingRows
from pressrun.jobs.planning.placement_forecast import likely_device
from pressrun.jobs.planning.plan import Plan
from pressrun.jobs.references.references import References
from pressrun.jobs.results.changes import Changes
from pressrun.jobs.results.summary import count_statuses
from pressrun.jobs.reuse.cache import CacheLookup
from pressrun.jobs.reuse.recovery import Pictures
from pressrun.jobs.reuse.refinishing import Refinishing
from pressrun.jobs.run.open_job import OpenJob


@dataclass(frozen=True)
class Settled:
    """What a run has to do: `rows` still need something, and `plan` renders them.

    `done` counts the rows that needed nothing when this was settled, `cached` those whose picture was kept from another
    job, those included that would be; `changes` is why others were not.
    """

    rows: PendingRows
    plan: Plan
    done: int
    cached: int
    changes: Changes

    def planned_for(self, device: str) -> "Settled":
        """The same for a kind of device ("cpu", "cuda")."""
        return self if device == self.plan.sizes.device else replace(self, plan=self.rows.plan(self.plan.rows, device))


def settle(
    job: OpenJob, scratch: Scratch | None = None, watch: Callable[[int, int], None] | None = None, write: bool = True
) -> Settled:
    """Settle what needs no rendering (with `write`, into the results) and plan the rest; `watch` is told how many of
    how many references were looked at."""
    order, results, pictures = job.order, job.results, Pictures(job.store)
    whole = pictures.whole(order)
    results.discard_missing(whole)
    results.forget(_decided_against(job))
    pending = np.flatnonzero(~results.settled)
    settled = order.rows - len(pending)
    pending = job.limits.within(pending)
    bad = np.isin(pending, order.bad["row"].to_numpy())
    keeping = CacheLookup(order, job.fence)
    references = References(order.model, order.web, order.context.stores, scratch, watch, keeping.known, noting=write)
    kept = keeping.keep(pending[~bad], references, results if write else None)
    rows = PendingRows(order, np.setdiff1d(pending[~bad], kept.rows), references)
    found = pictures.unaccounted(order, rows.rows, whole)
    again = Refinishing(job.finishing, rows, np.setdiff1d(rows.rows, found))
    finished = again.into(results) if write else again.rows
    left = np.setdiff1d(rows.rows, np.concatenate([found, finished]))
    plan = rows.plan(job.limits.affordable(left), likely_device())
    if write:
        references.note(job.store)
        failures = map(job.budget.counted, chain(order.refusals(pending), rows.failures))
        results.add_new(chain(failures, pictures.recover(order, rows, found)))
        if len(plan) or results.changed:
            job.store.delete(SUMMARY)  # it is the last word, and more is to come
    cached = count_statuses(results.last)["cached"] + (0 if write else len(kept.rows))
    return Settled(rows, plan, settled + len(found) + len(kept.rows) + len(finished), cached, kept.changes)


def _decided_against(job: OpenJob) -> np.ndarray:
    """The rows that are to be rendered again: those whose picture that counts is the one that was decided against."""
    rerolls = job.order.rerolls
    if not rerolls:
        return np.zeros(0, np.int64)
    rows, pictures = job.results.pictures(("sha256",))
    digests = zip(rows.tolist(), pictures["sha256"].to_pylist(), strict=True)
    return np.array([row for row, sha in digests if row in rerolls and rerolls[row].sha256 == sha], np.int64)


def next_round(job: OpenJob, settled: Settled, rendered: int = 0) -> Settled:
    """When every row has an outcome: those whose picture repeats another's and that are to be tried with their next
    seed, after `rendered` pictures of this run; each once in a run for each seed."""
    none = replace(settled, plan=settled.rows.plan(settled.rows.rows[:0], likely_device()))
    check, results = job.order.finishing.check("duplicate"), job.results
    if check is None or check.action != "reseed" or job.limits.cut_short:
        return none
    results.flush()  # `last` knows nothing of what waits
    if results.last.num_rows < job.order.rows or not results.changed:
        return none
    found = repetitions(*results.pictures(COLUMNS), check, job.tried)
    if not found:
        return none
    job.tried.update((row, one.reseeds) for row, one in found.items())
    again = settled.rows.again(np.array(sorted(found), np.int64), found)
    # Where the pixels of their next seeds were kept, there may be another round before anything is rendered.
    finished = Refinishing(job.finishing, again, again.rows)
    left = np.setdiff1d(again.rows, finished.into(results))
    if not len(left):
        return next_round(job, settled, rendered)
    return replace(settled, rows=again, plan=again.plan(job.limits.affordable(left, rendered), likely_device()))
