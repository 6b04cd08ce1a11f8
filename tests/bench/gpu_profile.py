"""When nothing runs on a GPU although there is work, and where the host waits for it: a denoising run under profile."""

import json
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from tests.bench.gpu_rates import synchronise

ON_DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")
"""Categories of events in a trace of torch.profiler that occupy a GPU."""
TOP = 8


def profiled(work: Callable[[], Any], device: torch.device, seconds: float) -> dict[str, Any]:
    """What a run of `work` looks like on the device; without a profile it takes `seconds`.

    `gap` is the share of time, from the first kernel's start to the last one's end, in which none ran: under a profile,
    which itself slows launches down. `idle` is the share of an undisturbed run that its kernels do not fill.
    """
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as profiler:
        work()
        synchronise(device)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    kernels = [event for event in events if event.get("cat") in ON_DEVICE]
    found: dict[str, Any] = {"kernels": len(kernels), "gap": None, "idle": None, "top": {}}
    if kernels:
        busy, span = busy_and_span((event["ts"], event["dur"]) for event in kernels)
        times: Counter[str] = Counter()
        for event in kernels:
            times[event["name"][:90]] += event["dur"]
        found["gap"], found["idle"] = 1 - busy / span, max(0.0, 1 - busy / 1e6 / seconds)
        found["top"] = {name: taken / busy for name, taken in times.most_common(TOP)}
    return found | host_waits(work, device)


def busy_and_span(intervals: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Of intervals (start, length): how long at least one of them lasts, and from the first start to the last end."""
    ordered = sorted((start, start + length) for start, length in intervals)
    busy, end = 0.0, ordered[0][0]
    for start, stop in ordered:
        busy += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return busy, end - ordered[0][0]


def host_waits(work: Callable[[], Any], device: torch.device) -> dict[str, Any]:
    """How often the host waits for the GPU while it gives it work, and where (None on a CPU)."""
    if device.type != "cuda":
        return {"waits": None, "places": {}}
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waits = [one for one in caught if "called a synchronizing" in str(one.message)]
    places = Counter(f"{'/'.join(Path(one.filename).parts[-2:])}:{one.lineno}" for one in waits)
    return {"waits": len(waits), "places": dict(places.most_common(TOP))}
