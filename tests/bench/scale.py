"""What a driver costs, from one replica to a thousand: the real plan and dispatcher over simulated replicas.

    python -m tests.bench.scale [--replicas 1,2,16,128,1024] [--rows N] [--json FILE]

Each line is a process of its own: a manifest of mixed sizes and distinct prompts is checked, planned, dispatched and
its results are written, as in a job; only Ray and the actors are not there (see `simulated.py`). Replicas hold the
whole model and take as long as mini's on a core: half a second or so for a unit.

units       that were sent, and how many rows they had
CPU ms      of the driver for one unit, what Ray takes beside (added, not counted: see `RayCosts`), both for one row
load        share of its time that the driver works
busy        share of steady state that the replicas compute
over bound  how much longer it took than the replicas' work evenly divided, from the first unit's start
peak        MiB of the process
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pressrun.cluster.scheduling.dispatcher import Dispatcher
from pressrun.jobs.planning.pending_rows import PendingRows
from pressrun.jobs.planning.unit_sizing import UnitSizer
from pressrun.jobs.references.references import References
from pressrun.jobs.resolve.resolved_job import resolve
from pressrun.jobs.results.results import Results
from pressrun.jobs.spec.context import Context
from pressrun.jobs.spec.job_spec import JobSpec
from tests.bench.measured import run_measured
from tests.bench.simulated import RayCosts, Service, SimulatedWorkerPool
from tests.opening import open_store

SIZES = np.array([(128, 128), (160, 96), (96, 160), (192, 128), (256, 256)])
MINI = Service(
    encode=0.004,
    decode=0.030,
    finish=0.010,
    spread=(0.91, 0.95, 0.97, 0.98, 0.99, 1.0, 1.02, 1.04, 1.07, 1.09),
)
"""Seconds as `throughput.py` measures them; ten quantiles of thirty denoise calls of one unit, over their mean."""


@dataclass(frozen=True)
class Line:
    """One run."""

    replicas: int
    rows: int
    units: int
    calls: int
    seconds: float
    cpu_seconds: float
    ray_seconds: float
    load: float
    busy: float
    over_bound: float
    peak_mib: float
    real_seconds: float


def simulate(replicas: int, rows: int, folder: Path, costs: RayCosts) -> Line:
    """One run in this process."""
    manifest = folder / f"{rows}.parquet"
    if not manifest.exists():
        write_manifest(manifest, rows)
    started = time.perf_counter()
    order = resolve(JobSpec(str(manifest), str(folder / f"out-{replicas}-{rows}")), Context.of_this_process())
    store = open_store(order_out := str(folder / f"out-{replicas}-{rows}"))
    store.prepare()
    results = Results(store, order.job, order.manifest.table, order.manifest.customer_columns)
    work = PendingRows(order, np.arange(rows), References(order.model, order.web, order.context.stores))
    plan = work.plan(work.rows, "cpu")
    crew = SimulatedWorkerPool(replicas, MINI, costs)
    dispatcher = Dispatcher(crew)
    results.busy = dispatcher.busy
    done = 0
    pace = UnitSizer(replicas, dispatcher.unit_seconds, together=True)
    begun = crew.now()
    for outcomes in dispatcher.run(work.units(plan, pace), Event()):
        results.add(outcomes)
        done += len(outcomes)
    results.flush()
    ended = crew.now()
    if done != rows:
        raise SystemExit(f"{done} of {rows} rows came back to {order_out}")
    wall = ended - begun
    computed = dispatcher.timeline.computed
    bound = (sum(computed.values()) - computed["finish"]) / replicas
    return Line(
        replicas,
        rows,
        dispatcher.units,
        crew.calls,
        wall,
        crew.cpu,
        crew.ray,
        1 - crew.idle / wall,
        dispatcher.busy()["replica"],
        wall / bound - 1,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        time.perf_counter() - started,
    )


def write_manifest(path: Path, rows: int) -> None:
    """Mixed sizes, every prompt another, a few columns of the customer's."""
    number = np.arange(rows)
    sides = SIZES[number % len(SIZES)]
    text = pa.array(number).cast(pa.string())
    table = {
        "custom_id": _joined("row-", text),
        "prompt": _joined("a product photo of backpack no. ", text, " on a wooden table"),
        "width": sides[:, 0],
        "height": sides[:, 1],
        **{name: _joined(name, " ", text) for name in ("sku", "season", "region")},
    }
    pq.write_table(pa.table(table), path)


def _joined(*parts: object) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")


def main() -> None:
    """Print a line for each crew."""
    parser = argparse.ArgumentParser(description="The driver's cost by the number of replicas.")
    parser.add_argument("--replicas", default="1,2,16,128,1024", help="crews, with commas between")
    parser.add_argument("--rows", type=int, help="instead of 1,000 for each replica, a million at most")
    parser.add_argument("--call", type=float, default=RayCosts.call, help="seconds of Ray for a call")
    parser.add_argument("--here", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    crews = [int(number) for number in options.replicas.split(",")]
    if options.here:
        [replicas] = crews
        print(json.dumps(asdict(simulate(replicas, options.rows, Path(options.here), RayCosts(options.call)))))
        return
    heads = ("replicas", "rows", "units", "rows/unit", "CPU ms/unit", "Ray ms/unit", "ms/row", "load", "busy")
    print("".join(f"{head:>12}" for head in (*heads, "over bound", "peak MiB", "simulated s", "real s")))
    lines = []
    with tempfile.TemporaryDirectory(prefix="pressrun-bench-") as folder:
        for replicas in crews:
            rows = options.rows or min(1_000_000, 1_000 * replicas)
            command = ["--replicas", str(replicas), "--rows", str(rows), "--call", str(options.call), "--here", folder]
            ended = run_measured([sys.executable, "-m", "tests.bench.scale", *command])
            if ended.code:
                raise SystemExit(ended.err)
            lines.append(json.loads(ended.out.splitlines()[-1]))
            print(table(Line(**lines[-1])), flush=True)
    if options.json:
        options.json.write_text(json.dumps(lines, indent=2) + "\n")


def table(line: Line) -> str:
    """For people."""
    own, ray = (1000 * seconds / line.units for seconds in (line.cpu_seconds, line.ray_seconds))
    row = (own + ray) * line.units / line.rows
    cells = [f"{line.replicas:,}", f"{line.rows:,}", f"{line.units:,}", f"{line.rows / line.units:.1f}"]
    cells += [f"{own:.2f}", f"{ray:.2f}", f"{row:.3f}", f"{line.load:.0%}", f"{line.busy:.1%}"]
    cells += [f"{line.over_bound:.1%}", f"{line.peak_mib:.0f}", f"{line.seconds:.0f}", f"{line.real_seconds:.0f}"]
    return "".join(f"{cell:>12}" for cell in cells)


if __name__ == "__main__":
    main()
