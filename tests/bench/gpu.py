"""What a GPU does with FLUX.2's exact shapes, random weights and our own renderer, beside diffusers' pipeline.

    python -m tests.bench.gpu --json FILE [--budget SECONDS] [--only PART …] [--done FILE] [--load] [--list]
    python -m tests.bench.gpu --predict [DEVICE …]         what should come out, by formula; needs no GPU
    python -m tests.bench.gpu --show FILE                  a file's tables again
    python -m tests.bench.gpu --device cpu --tiny          whether the benchmark itself works, in seconds

Nothing is downloaded: weights are drawn on the device. Cases run in the order of their value; after each of them the
JSON file is written, so that a run that is killed leaves what it had, and `--done` goes on from it. A case that runs
out of memory or fails is a line of the report. docs/gpus.md says what to send us.
"""

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.families.flux2.kernels import compile_blocks
from pressrun.pipeline.families.flux2.renderer import Renderer
from tests.bench.gpu_cases import COMPILING, MAKING, Case, cases, chosen, tiny_cases
from tests.bench.gpu_loading import measure_loading
from tests.bench.gpu_measurements import Bench, measure_end, measure_picture, measure_pixels, measure_profile
from tests.bench.gpu_memory import measure_memory
from tests.bench.gpu_rates import PEAKS, Rates, measured_rates, predicted_seconds, synchronise
from tests.bench.gpu_report import line, predictions, tables
from tests.bench.operations import work_of
from tests.bench.random_model import embedding_width, model_named, random_renderer

PACKAGES = ("torch", "diffusers", "transformers", "torchao", "triton", "ray", "numpy", "pillow")
END_ROWS = 32


class Run:
    """One run of the benchmark: what it has found so far, and the model that it holds."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.device = torch.device(options.device)
        self.tiny, self.budget, self.file = options.tiny, options.budget, options.json
        self.started = time.perf_counter()
        self.found: dict[str, Any] = {"cases": {}, "skipped": [], **about(self.device, options.deterministic)}
        self._held: tuple[tuple[Any, ...], Renderer] | None = None
        self._compiled: set[tuple[Any, ...]] = set()
        self._compiling = COMPILING
        self.rates = Rates(1e10, None, 1e10, 1e10)

    def measure_rates(self) -> None:
        """What the device can do at most: every achieved figure is held against it."""
        self.rates = measured_rates(self.device, *((256, 128, 0.05) if self.tiny else (8192, 4608, 0.5)))
        self.found["rates"] = asdict(self.rates)
        self.write()

    def take(self, case: Case) -> None:
        """Measure a case, or skip it where the budget does not reach."""
        held = self._holds(case)
        fresh = bool(case.compiles) and not (held and case.compiles in self._compiled)
        compiling = self._compiling if fresh else 0.0
        expected = case.expected(self._unit_seconds(case), compiling) + (0.0 if held else MAKING)
        elapsed = time.perf_counter() - self.started
        if self.budget is not None and not self.tiny and elapsed + expected > self.budget:
            self.found["skipped"].append(case.name)
            print(f"{case.name}: skipped, needs about {expected:.0f} s of {max(0.0, self.budget - elapsed):.0f}")
        else:
            begun = time.perf_counter()
            self.found["cases"][case.name] = figures = {**asdict(case), **self._measured(case)}
            figures["wall"] = time.perf_counter() - begun
            if fresh and "first" in figures:
                self._compiling = 1.2 * figures["first"]
            print(line(case.name, figures), flush=True)
        self.write()

    def write(self) -> None:
        """The file, whole or not at all."""
        if self.file:
            part = self.file.with_suffix(".part")
            part.write_text(json.dumps(self.found, indent=1) + "\n")
            part.replace(self.file)

    def _unit_seconds(self, case: Case) -> float:
        model = model_named(case.model)
        work = work_of(model, embedding_width(model), case.shape(model), case.rows)
        return 1.5 * predicted_seconds(work, self.rates, case.precision, case.compiled)

    def _measured(self, case: Case) -> dict[str, Any]:
        try:
            return self._figures(case)
        except torch.OutOfMemoryError as error:
            self._held = None
            return {"failed": "out of memory", "why": str(error).partition("\n")[0][:300]}
        except Exception as error:  # whatever a device or a compiler makes of a case, the next one has its turn
            self._held = None
            return {"failed": type(error).__name__, "why": " ".join(str(error).split())[:500]}
        finally:
            self._tidy()

    def _figures(self, case: Case) -> dict[str, Any]:
        if case.kind == "repeat":
            self._held = None
            self._tidy()
            return repeated(case, self.device, self.tiny)
        bench = Bench(self._renderer(case), case, self.device, self.rates, **({"often": 0.2} if self.tiny else {}))
        if case.kind == "picture":
            return measure_picture(bench)
        if case.kind == "profile":
            return measure_profile(bench)
        if case.kind == "pixels":
            return measure_pixels(bench)
        if case.kind == "memory":
            return measure_memory(bench)
        if case.kind == "end":
            return measure_end(bench, 4 if self.tiny else END_ROWS)
        return measure_loading(bench, 4 if self.tiny else END_ROWS)

    def _tidy(self) -> None:
        """Give back what nobody holds any more, to the device as well."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _holds(self, case: Case) -> bool:
        """Whether the renderer at hand does for a case."""
        if self._held is None or self._held[0] != (case.model, case.precision, case.compiled):
            return False
        return self._held[1].text_encoder is not None or not case.encodes

    def _renderer(self, case: Case) -> Renderer:
        if self._held is None or not self._holds(case):
            self._held = None  # before the next one is made: two of them may not fit
            self._tidy()
            renderer = random_renderer(model_named(case.model), case.precision, self.device, case.encodes)
            if case.compiled:
                assert renderer.transformer
                torch.compiler.reset()
                compile_blocks(renderer.transformer.network)
            synchronise(self.device)
            self._held, self._compiled = ((case.model, case.precision, case.compiled), renderer), set()
        self._compiled.add(case.compiles)
        return self._held[1]


def repeated(case: Case, device: torch.device, tiny: bool) -> dict[str, Any]:
    """The case's pixels in a process of its own, in which PyTorch takes deterministic algorithms only."""
    with tempfile.TemporaryDirectory() as folder:
        file, name = Path(folder) / "found.json", case.name.replace("repeat/", "pixels/")
        command = [sys.executable, "-m", "tests.bench.gpu", "--deterministic", "--only", name, "--json", str(file)]
        command += ["--device", str(device), *(["--tiny"] if tiny else [])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if not file.exists():
            return {"failed": "no answer", "why": done.stderr[-500:]}
        figures = json.loads(file.read_text())["cases"].get(name, {"failed": "no answer", "why": done.stderr[-500:]})
    return figures | asdict(case)


def about(device: torch.device, deterministic: bool) -> dict[str, Any]:
    """Device, versions and date."""
    found: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "deterministic": deterministic}
    found["load"] = os.getloadavg()[0]
    found["device"] = platform.processor() or platform.machine()
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {"device": properties.name, "memory": properties.total_memory, "cuda": torch.version.cuda}
        found |= {"multiprocessors": properties.multi_processor_count, "cudnn": torch.backends.cudnn.version()}
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return found | {"python": platform.python_version(), "versions": versions}


def read_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; ends the process where it cannot be followed."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="small widths: seconds on a CPU")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where figures go, after each case")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="skip cases that would take longer in all")
    parser.add_argument("--only", nargs="+", default=[], metavar="PART", help="cases with one of these in their name")
    parser.add_argument("--done", type=Path, metavar="FILE", help="an earlier run's: its cases are kept, not repeated")
    parser.add_argument("--load", action="store_true", help="also from a file, and with Ray through the command")
    parser.add_argument("--deterministic", action="store_true", help="PyTorch's deterministic algorithms only")
    parser.add_argument("--list", action="store_true", help="the cases' names, in order")
    parser.add_argument("--predict", nargs="*", metavar="DEVICE", help=f"of {', '.join(PEAKS)}; all, if none is named")
    parser.add_argument("--show", type=Path, metavar="FILE", help="the tables of a file that --json wrote")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.predict or [] if name not in PEAKS]:
        parser.error(f"no published figures of {', '.join(unknown)} here; there are those of {', '.join(PEAKS)}")
    try:
        every = tiny_cases(options.load) if options.tiny else cases(options.load)
        earlier = json.loads(options.done.read_text())["cases"] if options.done else {}
        options.cases = chosen(every, options.only, [name for name, one in earlier.items() if "failed" not in one])
        options.earlier = {name: earlier[name] for name in earlier if name not in {one.name for one in options.cases}}
    except (OSError, ValueError, KeyError) as error:
        parser.error(str(error))
    return options


def main() -> None:
    """Measure, or say what would be."""
    options = read_options()
    if options.show:
        print(tables(json.loads(options.show.read_text())))
    elif options.predict is not None:
        print(predictions(options.predict or list(PEAKS)))
    elif options.list:
        print("\n".join(case.name for case in options.cases))
    else:
        measure(options)


def measure(options: argparse.Namespace) -> None:
    """All cases that were chosen, each as a line when it is done, and tables at the end."""
    if options.deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # what cuBLAS wants for it; read when it starts
        torch.use_deterministic_algorithms(True)
    torch.set_grad_enabled(False)
    run = Run(options)
    if options.done and (other := json.loads(options.done.read_text()).get("device")) != run.found["device"]:
        raise SystemExit(f"{options.done} was measured on {other}, not on {run.found['device']}; give it no --done.")
    run.found["cases"] |= options.earlier
    print(json.dumps({key: run.found[key] for key in ("device", "date", "versions")}), flush=True)
    try:
        run.measure_rates()
    except (RuntimeError, JobError) as error:
        raise SystemExit(f"The device {options.device} cannot be used: {str(error).partition(chr(10))[0]}") from None
    print(json.dumps(run.found["rates"]), flush=True)
    for case in options.cases:
        run.take(case)
    print("\n" + tables(run.found))


if __name__ == "__main__":
    main()
