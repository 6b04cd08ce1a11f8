"""Decisions that a night takes over: what was decided of a row holds for the next job that keeps from it, as long as
the row asks for the same."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.store import Store
from pressrun.jobs.decisions.decision import Decision, Decisions
from pressrun.jobs.decisions.decision_folder import read_decisions
from pressrun.jobs.folder.job_file import read_manifest_copy
from pressrun.jobs.resolve.resolved_job import ResolvedJob

_ASKED = ("custom_id", "prompt", "seed")


def decisions_of(order: ResolvedJob) -> tuple[Decisions, tuple[Decision, ...]]:
    """The decisions that hold for an order as it was resolved, and those of them that come from the jobs it keeps from
    and are not in its own folder yet.

    Raises:
        JobError: a file of decisions, or an earlier job's manifest, is damaged.
    """
    own = read_decisions(order.store)
    known = {one.id for one in own.all}
    carried: dict[str, Decision] = {}
    for uri in order.earlier:
        carried |= {one.id: one for one in _still_holding(order, order.context.stores.open(uri)) if one.id not in known}
    return Decisions([*own.all, *carried.values()]), tuple(carried.values())


def _still_holding(order: ResolvedJob, earlier: Store) -> Iterator[Decision]:
    """The earlier job's decisions on rows that have the same prompt and seed in both manifests."""
    decisions = read_decisions(earlier)
    if not decisions:
        return
    named = pa.array(sorted({one.custom_id for one in decisions.all}), pa.string())
    asked = [_asked(table, named) for table in (read_manifest_copy(earlier), order.manifest.table)]
    for one in decisions.all:
        if one.custom_id in asked[0] and asked[0][one.custom_id] == asked[1].get(one.custom_id):
            yield one


def _asked(manifest: pa.Table, custom_ids: pa.Array) -> dict[str, tuple[str, int]]:
    some = manifest.select(_ASKED).filter(pc.is_in(manifest["custom_id"], custom_ids))
    return {row["custom_id"]: (row["prompt"], row["seed"]) for row in some.to_pylist()}
