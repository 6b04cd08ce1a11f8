"""What becomes of a unit when a device runs out of memory over it: an actor's code, and memory that is short."""

import time
from typing import Any

import torch

from pressrun.cluster.protocol.batch_limits import BatchLimits
from pressrun.cluster.protocol.unit import Item, Unit
from pressrun.pipeline.memory import release
from tests.bench.gpu_measurements import Bench
from tests.bench.gpu_rates import synchronise


def measure_memory(bench: Bench) -> dict[str, Any]:
    """The unit on a device that holds more than half of it and less than all: the process's share is limited so.

    `fits` is the batch that it came down to, `found` seconds with running out, `known` seconds of the next unit,
    `plain` seconds of such batches where memory is plenty; `same` whether all three have the same bits. The peaks are
    what PyTorch reserved, in bytes, for the whole unit and for half of it, weights included.
    """
    device, count = torch.device("cuda", torch.cuda.current_device()), bench.case.rows
    items = tuple(Item(row, request, "", "", "") for row, request in enumerate(bench.requests))
    unit, room = Unit(0, bench.shape, items, batch=count), BatchLimits()

    def compute(sized: Unit) -> torch.Tensor:
        rows = list(range(count))
        return torch.cat([bench.denoise(rows[i : i + sized.batch]) for i in range(0, count, sized.batch)])

    def timed(batch: int) -> tuple[torch.Tensor | None, int, float]:
        release()
        synchronise(device)
        started = time.perf_counter()
        made, fits = room.most("bench", Unit(0, bench.shape, items, batch=batch), compute)
        synchronise(device)
        return made, fits, time.perf_counter() - started

    def peak(batch: int) -> int:
        release()
        torch.cuda.reset_peak_memory_stats(device)
        bench.denoise(list(range(batch)))
        return torch.cuda.max_memory_reserved(device)

    peaks = [peak(count), peak(count // 2)]
    wanted, _, plain = timed(count // 2)
    release()
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(sum(peaks) / 2 / total, device)
    try:
        first, fits, found = timed(unit.batch)
        second, _, known = timed(unit.batch)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    same = all(made is not None and wanted is not None and torch.equal(made, wanted) for made in (first, second))
    return {"peaks": peaks, "fits": fits, "found": found, "known": known, "plain": plain, "same": same}
