"""What Ray takes of a driver: the real dispatcher over real actors that do nothing but sleep.

    python -m tests.bench.calls [--units 600] [--replicas 16] [--json FILE]

Prints milliseconds of CPU of the driver's process for one call (Ray's own threads in it included), what of them the
dispatcher's own thread spends, and how long `ray.wait` takes over a number of outstanding calls. `scale.py` adds the
difference to every simulated call (`RayCosts`).
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from threading import Event
from typing import Any

import numpy as np
import ray

from pressrun.cluster.placement.layout import Layout, Role
from pressrun.cluster.protocol.unit import Item, Outcome, Report, Unit
from pressrun.cluster.runtime.ray_runtime import ray_runtime
from pressrun.cluster.scheduling.dispatcher import Dispatcher
from pressrun.cluster.scheduling.worker import DENOISE_SLOTS, FINISH_SLOTS, Worker
from pressrun.cluster.scheduling.worker_pool import WorkerPool
from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.request import RenderRequest

SHAPE = Shape(128, 128, 8, 1.0, 0, 48, False)
ITEMS = 8
STAGES = ("encode", "denoise", "decode")


class Sleeper:
    """A model actor and a finisher without a model."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def ready(self) -> tuple[str, str]:
        return "cpu", ""

    def encode_prompts(self, prompts: list[str]) -> tuple[Any, ...]:
        return (*[np.zeros(4) for _ in prompts], self._report("encode", sizes=(32,) * len(prompts)))

    def denoise(self, unit: Unit, *inputs: Any) -> tuple[Any, Report]:
        time.sleep(self._seconds)
        return np.zeros(4), self._report("denoise")

    def decode(self, unit: Unit, latents: Any) -> tuple[Any, Report]:
        return np.zeros(4), self._report("decode")

    def finish(self, unit: Unit, device: str, pixels: Any) -> Report:
        done = tuple(Outcome(item.row, item.request.custom_id, "succeeded") for item in unit.items)
        return self._report("finish", outcomes=done)

    def _report(self, stage: str, **more: Any) -> Report:
        now = time.time()
        return Report(stage, now, now, "cpu", os.getpid(), **more)


def units(count: int) -> Iterator[Unit]:
    """Units of eight rows with a prompt each."""
    for number in range(count):
        rows = range(number * ITEMS, (number + 1) * ITEMS)
        requests = [RenderRequest(f"row-{row}", f"prompt {row}", 128, 128, 8, 1.0, row) for row in rows]
        items = [
            Item(row, one, f"images/{row}.png", "0" * 64, "0" * 64) for row, one in zip(rows, requests, strict=True)
        ]
        yield Unit(number, SHAPE, tuple(items), batch=ITEMS)


def measure(replicas: int, count: int, seconds: float) -> dict[str, float]:
    """One run; seconds of a call."""
    actor = ray.remote(Sleeper).options(num_cpus=0, max_concurrency=2)
    layout = Layout("whole", replicas, (Role(STAGES, replicas, 0.0),), "cpu")
    workers = [Worker(f"replica-{n}", STAGES, DENOISE_SLOTS, lambda: actor.remote(seconds)) for n in range(replicas)]
    finisher = ray.remote(Sleeper).options(num_cpus=0, max_concurrency=FINISH_SLOTS)
    workers.append(Worker("finish-0", ("finish",), FINISH_SLOTS, lambda: finisher.remote(seconds)))
    crew = WorkerPool(layout, workers)
    ray.get([worker.ready_ref for worker in crew.workers])
    dispatcher = Dispatcher(crew)
    process, thread, wall = time.process_time(), time.thread_time(), time.perf_counter()
    done = sum(len(outcomes) for outcomes in dispatcher.run(units(count), Event()))
    spent = time.process_time() - process, time.thread_time() - thread, time.perf_counter() - wall
    for worker in crew.workers:
        crew.kill(worker)
    if done != count * ITEMS:
        raise SystemExit(f"{done} of {count * ITEMS} rows came back")
    calls = 4 * count
    return {"process": spent[0] / calls, "thread": spent[1] / calls, "units_per_second": count / spent[2]}


def waiting(outstanding: int) -> float:
    """Seconds of one `ray.wait` over so many calls of which none has ended."""
    actor = ray.remote(Sleeper).options(num_cpus=0, max_concurrency=1).remote(3600.0)
    refs = [actor.denoise.remote(None) for _ in range(outstanding)]
    times = []
    for _ in range(20):
        started = time.perf_counter()
        ray.wait(refs, num_returns=1, timeout=0, fetch_local=False)
        times.append(time.perf_counter() - started)
    ray.kill(actor)
    return median(times)


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description="What Ray takes of a driver for a call.")
    parser.add_argument("--units", type=int, default=600)
    parser.add_argument("--replicas", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.05, help="that a unit takes")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with ray_runtime():
        found = measure(options.replicas, options.units, options.seconds)
        waits = {count: waiting(count) for count in (64, 1024, 4096)}
    print(
        f"a call: {1000 * found['process']:.2f} ms of the driver's process, {1000 * found['thread']:.2f} of its thread"
    )
    print(f"{found['units_per_second']:.0f} units/s of {ITEMS} rows, load {os.getloadavg()[0]:.1f}")
    print("ray.wait over " + ", ".join(f"{count}: {1000 * seconds:.2f} ms" for count, seconds in waits.items()))
    if options.json:
        options.json.write_text(json.dumps({**found, "waits": waits}, indent=2) + "\n")


if __name__ == "__main__":
    main()
