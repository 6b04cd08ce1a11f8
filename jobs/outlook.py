"""Where a plan would be rendered: the layout for the devices that there are, and what each of its actors holds."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cluster.choice import choose_layout, holdings
from cluster.devices import Devices, devices_here
from cluster.layout import Holding, Layout, Wishes
from cluster.needs import STAGES, Needs, StageSeconds, needs_of
from jobs.job import JobSpec
from jobs.order import Order
from jobs.plan import Plan

ENOUGH = 8
"""Pictures after which a job's own seconds say more of its stages than their arithmetic."""


@dataclass(frozen=True)
class Outlook:
    """A layout as a person reads it, why it was chosen, and its actors."""

    layout: str
    why: str
    actors: Sequence[Holding]


def layout_for(spec: JobSpec, order: Order, plan: Plan, results: pa.Table, devices: Devices) -> tuple[Layout, Needs]:
    """The layout for a plan on these devices, and what it was chosen by; `results` are what the job has so far.

    Raises:
        JobError: the model does not fit them.
    """
    shapes = [(shape, plan.sizes.rows(shape), rows) for shape, rows in plan.rows_by_shape()]
    needs = needs_of(order.model, order.job.precision, shapes, measured_seconds(results))
    return choose_layout(Wishes(spec.layout, spec.replicas, spec.shards), devices, needs, len(plan)), needs


def outlook(spec: JobSpec, order: Order, plan: Plan, results: pa.Table) -> Outlook:
    """The layout that a plan would get now. A cluster is joined to ask what it has; on this machine Ray stays asleep.

    Raises:
        JobError: as `layout_for`, or the cluster does not answer.
    """
    devices = _devices()
    layout, needs = layout_for(spec, order, plan, results, devices)
    return Outlook(layout.describe(), layout.why, list(holdings(layout, devices, needs)))


def likely_device() -> str:
    """The kind of device that a plan will run on, as far as it is known before a cluster was joined."""
    return "cuda" if os.environ.get("RAY_ADDRESS") else devices_here().kind


def measured_seconds(results: pa.Table) -> StageSeconds | None:
    """Seconds that each stage took for one of a job's pictures, on average; None after too few of them."""
    done = results.filter(pc.is_valid(results["seconds_denoise"]))
    if done.num_rows < ENOUGH:
        return None
    encode, denoise, decode = ((pc.sum(done[f"seconds_{one}"]).as_py() or 0.0) / done.num_rows for one in STAGES)
    return StageSeconds(encode, denoise, decode, "this job's earlier pictures")


def _devices() -> Devices:
    if not os.environ.get("RAY_ADDRESS"):
        return devices_here()
    from cluster.devices import devices_of_cluster
    from cluster.runtime import ray_runtime

    with ray_runtime():
        return devices_of_cluster()
