"""Where a plan would be rendered: the layout for the devices that there are, and what each of its actors holds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.placement.autoscaling import posts_for
from pressrun.cluster.placement.choice import choose_layout, holdings
from pressrun.cluster.placement.devices import Devices, devices_here, devices_of_cluster
from pressrun.cluster.placement.layout import ActorMemory, Layout, PlacementRequest
from pressrun.cluster.placement.requirements import STAGES, Requirements, StageSeconds, requirements_of
from pressrun.cluster.runtime.ray_runtime import joined, ray_runtime
from pressrun.jobs.planning.plan import Plan
from pressrun.jobs.resolve.resolved_job import ResolvedJob
from pressrun.jobs.spec.job_spec import JobSpec

ENOUGH = 8
"""Pictures after which a job's own seconds say more of its stages than their arithmetic."""


@dataclass(frozen=True)
class PlacementForecast:
    """A layout as a person reads it, why it was chosen, and its actors."""

    layout: str
    why: str
    actors: Sequence[ActorMemory]


def layout_for(
    spec: JobSpec, order: ResolvedJob, plan: Plan, results: pa.Table, devices: Devices
) -> tuple[Layout, Requirements]:
    """The layout for a plan on these devices, and what it was chosen by; `results` are what the job has so far.

    Raises:
        JobError: the model does not fit them.
    """
    shapes = [(shape, plan.sizes.rows(shape), rows) for shape, rows in plan.rows_by_shape()]
    needs = requirements_of(order.model, order.job.precision, shapes, measured_seconds(results))
    return choose_layout(_wishes(spec), devices, needs, len(plan)), needs


def growth(spec: JobSpec, layout: Layout, needs: Requirements, units: int) -> Callable[[Devices], dict[str, int]]:
    """How many workers of a layout there are to be on the devices that a cluster has by then."""
    return partial(posts_for, layout, _wishes(spec), needs=needs, units=units)


def outlook(spec: JobSpec, order: ResolvedJob, plan: Plan, results: pa.Table) -> PlacementForecast:
    """The layout that a plan would get now. A cluster is joined to ask what it has; on this machine Ray stays asleep.

    Raises:
        JobError: as `layout_for`, or the cluster does not answer.
    """
    devices = _devices()
    layout, needs = layout_for(spec, order, plan, results, devices)
    return PlacementForecast(layout.describe(), layout.why, list(holdings(layout, devices, needs)))


def likely_device() -> str:
    """The kind of device that a plan will run on, as far as it is known before a cluster was joined."""
    return "cuda" if joined() else devices_here().kind


def measured_seconds(results: pa.Table) -> StageSeconds | None:
    """Seconds that each stage took for one of a job's pictures, on average; None after too few of them."""
    done = results.filter(pc.is_valid(results["seconds_denoise"]))
    if done.num_rows < ENOUGH:
        return None
    encode, denoise, decode = ((pc.sum(done[f"seconds_{one}"]).as_py() or 0.0) / done.num_rows for one in STAGES)
    return StageSeconds(encode, denoise, decode, "this job's earlier pictures")


def _devices() -> Devices:
    if not joined():
        return devices_here()
    with ray_runtime():
        return devices_of_cluster()


def _wishes(spec: JobSpec) -> PlacementRequest:
    return PlacementRequest(spec.layout, spec.replicas, spec.shards)
