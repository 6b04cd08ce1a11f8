"""From the command's start to the first picture in the store: where the seconds go.

    python -m tests.bench.startup [--rows 16] [--repeats 1] [--shards K] [--json FILE]

Seen from outside, by the files that the command writes and the processes that it starts:

order      Python, imports, the order checked, the store prepared: until job.json is there
ray        Ray started and the actors' processes with it: until the first of them is a model actor
model      the actors import PyTorch and diffusers and load the model: until the first call of a stage
encode … finish   the first finished unit's calls (`timeline.json`), and what it waited between them
first      all of that: the first file in `images/`

and CPU seconds of every kind of process until then, which say more than wall time where others use the machine too.
`imports` and `load` are what a model actor does in `model`, measured in a process of its own.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from tests.bench.measured import ROOT, run_measured
from tests.bench.peers import write_manifest

_ALONE = """
import time
start = time.perf_counter(), time.process_time()
import pressrun.pipeline.families.flux2.renderer
middle = time.perf_counter(), time.process_time()
from pressrun.pipeline.models.catalogue import find_model
pressrun.pipeline.families.flux2.renderer.Renderer.load(find_model("mini"), precision="fp32", threads=1)
end = time.perf_counter(), time.process_time()
print([round(b - a, 3) for one, other in ((start, middle), (middle, end)) for a, b in zip(one, other)])
"""


@dataclass
class Watch:
    """What is seen of a run from outside while it goes on."""

    out: Path
    started: float
    first_actor: float = 0.0
    first_picture: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    done: bool = False

    def look(self) -> None:
        """Look at our descendants until the first picture is there."""
        seen: dict[int, tuple[str, float]] = {}
        while not self.done and not self.first_picture:
            for process in psutil.Process().children(recursive=True):
                try:
                    used = process.cpu_times()
                    seen[process.pid] = _kind(process.cmdline()), used.user + used.system
                except psutil.Error:
                    continue
            if not self.first_actor and any(kind == "ModelActor" for kind, _ in seen.values()):
                self.first_actor = time.time()
            pictures = list((self.out / "images").glob("*"))
            if pictures:
                self.first_picture = min(path.stat().st_mtime for path in pictures)
            time.sleep(0.05)
        sums: defaultdict[str, float] = defaultdict(float)
        for kind, seconds in seen.values():
            sums[kind] += seconds
        self.cpu = dict(sums)


def _kind(command: list[str]) -> str:
    line = " ".join(command)
    if line.startswith("ray::"):
        return re.split(r"[ .(]", line[5:], maxsplit=1)[0]
    known = (
        "-m pressrun",
        "gcs_server",
        "raylet",
        "dashboard/agent",
        "runtime_env/agent",
        "dashboard",
        "log_monitor",
    )
    known += ("monitor", "default_worker", "reaper")
    return next((name for name in known if name in line), "other")


def measure(rows: int, more: list[str]) -> dict[str, Any]:
    """One start."""
    with tempfile.TemporaryDirectory(prefix="pressrun-bench-") as name:
        folder = Path(name)
        write_manifest(folder / "manifest.parquet", rows)
        out = folder / "out"
        watch = Watch(out, time.time())
        watcher = threading.Thread(target=watch.look)
        watcher.start()
        try:
            command = [
                "pressrun",
                "render",
                str(folder / "manifest.parquet"),
                "--out",
                str(out),
                "--json",
                *more,
            ]
            run = run_measured([sys.executable, "-m", *command], RAY_ADDRESS="")
        finally:
            watch.done = True
            watcher.join()
        if run.code:
            raise SystemExit(run.err)
        order = (out / "job.json").stat().st_mtime
        spans = json.loads((out / "timeline.json").read_text())["traceEvents"]
    return {"seconds": _stages(watch, order, spans), "cpu_seconds": watch.cpu, "wall": run.seconds}


def _stages(watch: Watch, order: float, spans: list[dict[str, Any]]) -> dict[str, float]:
    first = min((span for span in spans if span["cat"] == "finish"), key=lambda span: span["ts"] + span["dur"])
    unit = [span for span in spans if span["name"].split()[-1] == first["name"].split()[-1]]
    seconds = {"order": order - watch.started, "ray": watch.first_actor - order}
    calls: defaultdict[str, float] = defaultdict(float)
    for span in unit:  # several, where shards share a call
        calls[span["cat"]] += span["dur"] / 1e6
    calls["encode"] = min(span["dur"] for span in spans if span["cat"] == "encode") / 1e6
    # The trace counts from its first call; the first picture is on its way through `finish` when it is stored.
    began = watch.first_picture - (first["ts"] + first["dur"]) / 1e6
    seconds["model"] = began - watch.first_actor
    seconds |= {stage: calls[stage] for stage in ("encode", "denoise", "decode", "finish")}
    seconds["first"] = watch.first_picture - watch.started
    return seconds


def main() -> None:
    """Print medians over the repeats."""
    parser = argparse.ArgumentParser(description="Where the seconds before the first picture go.")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--shards", type=int, help="of the transformer, in layout staged")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    alone = json.loads(run_measured([sys.executable, "-c", _ALONE]).out)
    more = ["--layout", "staged", "--shards", str(options.shards)] if options.shards else []
    runs = [measure(options.rows, more) for _ in range(options.repeats)]
    said: dict[str, Any] = {"load": os.getloadavg()[0], "repeats": options.repeats}
    said["alone"] = dict(zip(("imports", "imports_cpu", "load", "load_cpu"), alone, strict=True))
    for what in ("seconds", "cpu_seconds"):
        names = list(dict.fromkeys(name for run in runs for name in run[what]))
        said[what] = {name: round(median(run[what].get(name, 0.0) for run in runs), 2) for name in names}
    print(f"medians of {options.repeats}, load {said['load']:.1f} on {os.cpu_count()} cores, {ROOT.name}")
    print("wall  " + "  ".join(f"{name} {seconds:.2f}" for name, seconds in said["seconds"].items()))
    ordered = sorted(said["cpu_seconds"].items(), key=lambda pair: -pair[1])
    total = sum(seconds for _, seconds in ordered)
    print(f"CPU   all {total:.2f}: " + "  ".join(f"{name} {seconds:.2f}" for name, seconds in ordered))
    print("alone " + "  ".join(f"{name} {seconds:.2f}" for name, seconds in said["alone"].items()))
    if options.json:
        options.json.write_text(json.dumps({**said, "runs": runs}, indent=2))


if __name__ == "__main__":
    main()
