"""What would make a model fit that does not: tried out, not guessed, so that what the sentence says works."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from pressrun.cluster.placement.candidates import first_layout
from pressrun.cluster.placement.devices import Devices, Node
from pressrun.cluster.placement.layout import PlacementRequest
from pressrun.cluster.placement.requirements import STAGES, Requirements, gib
from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.models.precision import WEIGHT_BYTES
from pressrun.pipeline.request import MULTIPLE

T = TypeVar("T")

GPU_SIZES = {24: 23_034, 32: 32_607, 40: 40_960, 48: 46_068, 80: 81_559, 96: 97_887, 141: 143_771, 180: 183_359}
"""GB that GPUs are sold with, and the MiB that their driver says they have (L4, 5090, A100, L40S, H100, …)."""
MOST_GPUS = 64
_PARTS = {"encode": "text encoder", "denoise": "transformer", "decode": "decoder"}


def refusal(wishes: PlacementRequest, devices: Devices, needs: Requirements) -> str:
    """The sentence for a model that does not fit."""
    parts = ", ".join(f"its {_PARTS[stage]} {gib(needs.bytes((stage,)))}" for stage in STAGES)
    shape, batch = max(needs.shapes, key=lambda one: one[0].tokens * one[1])
    size = f"{shape.width} x {shape.height}" + (f", {batch} at once" if batch > 1 else "")
    asked = _asked(wishes)
    found = list(_remedies(wishes, devices, needs))
    advice = f"It would fit with {_listed(found)}." if found else "No number or size of GPUs that is sold holds it."
    return (
        f"{needs.model} in {needs.precision} does not fit {devices.describe()}{asked}: with what it computes in at "
        f"{size} it takes {gib(needs.bytes(STAGES))} ({parts}). {advice}"
    )


def _remedies(wishes: PlacementRequest, devices: Devices, needs: Requirements) -> Iterator[str]:
    free = PlacementRequest(replicas=wishes.replicas)
    if wishes != free and fits(free, devices, needs):
        yield "`layout` auto and no `shards`"
    elif wishes.shards is not None:
        more = range(wishes.shards + 1, (needs.blocks or 0) + 1)
        deeper = (replace(wishes, layout="auto", shards=shards) for shards in more)
        yield from (f"`shards` {one.shards}" for one in _first(deeper, lambda one: fits(one, devices, needs)))
    if wishes.replicas and fits(replace(wishes, replicas=1), devices, needs):
        yield "fewer `replicas`"
    # The one that changes pictures least comes first; fp8 is what GPUs are fast in, int8 is nearer to bf16.
    for precision in ("bf16", "fp8" if devices.gpus else "int8"):
        if WEIGHT_BYTES[precision] < WEIGHT_BYTES[needs.precision]:
            smaller = replace(needs, precision=precision)
            if fits(wishes, devices, smaller):
                yield f"`precision` {precision}"
                break
    yield from _fewer_pixels(wishes, devices, needs)
    yield from _more_devices(wishes, devices, needs)


def _more_devices(wishes: PlacementRequest, devices: Devices, needs: Requirements) -> Iterator[str]:
    if not devices.gpus:
        sizes = (
            size for size in (16, 32, 64, 128, 256, 512) if size << 30 > max(node.memory for node in devices.nodes)
        )
        nodes = (Devices((replace(devices.nodes[0], memory=float(size << 30)),)) for size in sizes)
        yield from (
            f"{one.nodes[0].memory / 2**30:.0f} GiB free on one machine"
            for one in _first(nodes, lambda one: fits(wishes, one, needs))
        )
        return
    size = devices.gpu_bytes
    numbers = (_gpus(count, size) for count in range(devices.gpus + 1, MOST_GPUS + 1))
    yield from (f"{one.gpus} such GPUs" for one in _first(numbers, lambda one: fits(wishes, one, needs)))
    larger = (sold for sold, mib in GPU_SIZES.items() if mib << 20 > size * 1.1)
    many = "a GPU" if devices.gpus == 1 else f"{devices.gpus} GPUs"
    yield from (
        f"{many} of {sold} GB"
        for sold in _first(larger, lambda sold: fits(wishes, _gpus(devices.gpus, GPU_SIZES[sold] << 20), needs))
    )


def _fewer_pixels(wishes: PlacementRequest, devices: Devices, needs: Requirements) -> Iterator[str]:
    """The largest square picture that would do, if one does: sides are tried from large to small."""
    shapes = [shape for shape, _ in needs.shapes]
    model = max(shapes, key=lambda shape: shape.tokens)
    largest = int((model.width * model.height) ** 0.5) // MULTIPLE * MULTIPLE
    smaller = (_square(model, side) for side in range(largest, 4 * MULTIPLE, -MULTIPLE))

    def enough(shape: Shape) -> bool:
        return fits(wishes, devices, replace(needs, shapes=[(shape, 1)]))

    yield from (f"pictures of {one.width} x {one.height} at most, one at a time" for one in _first(smaller, enough))


def _square(shape: Shape, side: int) -> Shape:
    return replace(shape, width=side, height=side)


def fits(wishes: PlacementRequest, devices: Devices, needs: Requirements) -> bool:
    """Whether there is a layout at all."""
    return first_layout(wishes, devices, needs) is not None


def _first(candidates: Iterator[T], good: Callable[[T], bool]) -> list[T]:
    """The first that is good, alone, or nothing."""
    return [one for one in [next(filter(good, candidates), None)] if one is not None]


def _gpus(count: int, size: int) -> Devices:
    return Devices((Node(gpus=(size,) * count),))


def _asked(wishes: PlacementRequest) -> str:
    fields = (("layout", wishes.layout), ("replicas", wishes.replicas), ("shards", wishes.shards))
    given = [f"`{name}` {value}" for name, value in fields if value not in (None, "auto")]
    return f" with {' '.join(given)}" if given else ""


def _listed(found: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(found[:-1]), found[-1]]))
