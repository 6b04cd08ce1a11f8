"""The layout of a run, chosen before an actor starts, and what each of its actors will hold: the table of a dry run."""

from collections.abc import Iterator

from pressrun.cluster.placement.candidates import first_layout
from pressrun.cluster.placement.devices import Devices
from pressrun.cluster.placement.fit_advice import refusal
from pressrun.cluster.placement.layout import ActorMemory, Layout, PlacementRequest, Role
from pressrun.cluster.placement.requirements import Requirements
from pressrun.pipeline.errors import JobError

_HOLDS = {"encode": "text encoder", "denoise": "transformer", "decode": "autoencoder"}


def choose_layout(wishes: PlacementRequest, devices: Devices, needs: Requirements, units: int = 1) -> Layout:
    """The layout for the devices that there are and the units that are to come.

    Raises:
        JobError: wishes that make no layout, or nothing that fits the devices; the sentence says what would.
    """
    wishes.check(needs.blocks)
    layout = first_layout(wishes, devices, needs, max(1, units))
    if layout is None:
        raise JobError(refusal(wishes, devices, needs), code="does_not_fit")
    return layout


def holdings(layout: Layout, devices: Devices, needs: Requirements) -> Iterator[ActorMemory]:
    """What every model actor of a layout holds; GPUs are counted as they are handed out, Ray decides which is which."""
    taken = 0.0
    for name, role in layout.members():
        for number, blocks in enumerate(needs.ranges(role.shards)):
            actor = name if role.shards == 1 else f"{name} shard {number}"
            device = f"GPU {int(taken + 1e-6) + 1} of {devices.gpus}" if role.gpus else "CPU"
            part = f", 1/{round(1 / role.gpus)} of it" if 0 < role.gpus < 1 else ""
            weights, activations = needs.weights(role.stages, blocks), needs.activations(role.stages)
            yield ActorMemory(actor, _holds(role, blocks), weights, activations, device + part)
            taken += role.gpus


def _holds(role: Role, blocks: range | None) -> str:
    parts = [_HOLDS[stage] for stage in role.stages]
    if "encode" in role.stages and "decode" not in role.stages:
        parts.append(_HOLDS["decode"])  # which makes latents of references
    if blocks is None:
        return ", ".join(dict.fromkeys(parts))
    if len(blocks) == 1:
        return f"block {blocks.stop} of the transformer"
    return f"blocks {blocks.start + 1} to {blocks.stop} of the transformer"
