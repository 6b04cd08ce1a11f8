"""The GPU benchmark where there is no GPU: what it counts, what it chooses, and that nothing it found is lost."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import Flux2Transformer2DModel
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from pressrun.pipeline.families.flux2.transformer import PerSampleRope, Positions, StepConditioning, Transformer
from tests.bench import gpu, gpu_profile
from tests.bench.gpu_cases import Case, cases, chosen
from tests.bench.gpu_measurements import Bench
from tests.bench.gpu_profile import busy_and_span
from tests.bench.gpu_rates import PEAKS, Rates, predicted_seconds, reached
from tests.bench.operations import EAGER_KERNELS, EAGER_NUMBERS, work_of
from tests.bench.random_model import embedding_width, model_named, random_renderer

CPU = torch.device("cpu")
RATES = Rates(1e12, 2e12, 1e12, 1e12)


@pytest.fixture(scope="module")
def renderer() -> Any:
    return random_renderer(model_named("tiny"), "fp32", CPU)


@pytest.mark.parametrize("case", [Case("picture", "tiny", side=64), Case("picture", "tiny", side=48, references=2)])
def test_operations_are_those_that_pytorch_counts(renderer: Any, case: Case) -> None:
    bench = Bench(renderer, case, CPU, RATES)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        bench.denoise()
    assert bench.work.operations == counter.get_total_flops()


def test_operations_grow_with_the_rows_but_for_what_a_unit_shares() -> None:
    model = model_named("flux2-klein-4b")
    shape = Case("picture", model.name).shape(model)
    one, four = (work_of(model, embedding_width(model), shape, rows) for rows in (1, 4))
    assert four.blocks == 4 * one.blocks
    assert 3.99 < four.operations / one.operations < 4


class Moved(TorchDispatchMode):
    """Counts kernels and the bytes that all but matrix products read and write."""

    kernels = bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        name = func.name().removeprefix("aten::").partition(".")[0]
        if not func.is_view and name not in ("empty", "empty_like", "_unsafe_view", "detach"):
            self.kernels += 1
            tensors = [one for one in tree_leaves((args, kwargs, made)) if isinstance(one, torch.Tensor)]
            self.bytes += 0 if name in ("mm", "bmm") else sum(one.nbytes for one in tensors)
        return made


def test_what_moves_beside_matrix_products_is_what_a_pass_dispatches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", lambda query, **_: query.clone())
    moved = {blocks: _moved(*blocks) for blocks in ((1, 1), (2, 1), (1, 2))}
    for place, more in enumerate([(2, 1), (1, 2)]):
        numbers = (moved[more][1] - moved[1, 1][1]) / 2 / ((4096 + 512) * 3072) - 2  # attention's clone
        assert numbers == pytest.approx(EAGER_NUMBERS[place], rel=0.02)
        assert moved[more][0] - moved[1, 1][0] == EAGER_KERNELS[place] + 1


def _moved(doubles: int, singles: int) -> tuple[int, int]:
    """Kernels and bytes of one row's pass at 1024 x 1024, on the meta device."""
    meta = torch.device("meta")
    with meta:
        network = Flux2Transformer2DModel(
            num_layers=doubles, num_single_layers=singles, num_attention_heads=24, joint_attention_dim=7680
        )
        tables = PerSampleRope(torch.empty(1, 4608, 128)), PerSampleRope(torch.empty(1, 4608, 128))
        network = network.to(torch.bfloat16)
        stream = tuple(torch.empty(1, *sizes, dtype=torch.bfloat16) for sizes in ((4096, 128), (512, 7680)))
        transformer = Transformer(network)
        transformer._rotary[Positions(512, (64, 64), ((),))] = tables
        with Moved() as moved:
            transformer.run(stream, StepConditioning(Positions(512, (64, 64), ((),)), 0.5, 4.0))
    return moved.kernels, moved.bytes


def test_a_faster_device_is_predicted_to_be_faster_and_fp8_helps_where_it_is_in_hardware() -> None:
    model = model_named("flux2-klein-4b")
    work = work_of(model, embedding_width(model), Case("picture", model.name).shape(model), 1)
    seconds = {
        (device, precision): predicted_seconds(work, reached(peak), precision, compiled=True)
        for device, peak in PEAKS.items()
        for precision in ("bf16", "fp8")
    }
    assert seconds["B200", "bf16"] < seconds["H200", "bf16"] < seconds["H100", "bf16"] < seconds["A100", "bf16"]
    assert seconds["H100", "fp8"] < seconds["H100", "bf16"]
    assert seconds["A100", "fp8"] == seconds["A100", "bf16"]
    assert predicted_seconds(work, reached(PEAKS["H100"]), "bf16", compiled=False) > seconds["H100", "bf16"]


def test_the_time_that_kernels_take_counts_once_where_they_overlap() -> None:
    assert busy_and_span([(10, 5), (0, 4), (2, 4), (11, 1)]) == (11, 15)


def test_a_profile_tells_gaps_and_what_takes_longest(renderer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_profile, "ON_DEVICE", ("cpu_op",))  # as if a GPU's kernels were a CPU's operations
    found = gpu_profile.profiled(Bench(renderer, Case("profile", "tiny", side=32), CPU, RATES).denoise, CPU, 60.0)
    assert found["kernels"] > 100
    assert 0 < found["gap"] < 1
    assert 0.9 < found["idle"] < 1
    assert "aten::linear" in found["top"]


def test_cases_are_chosen_by_parts_of_their_names_and_those_done_before_are_left_out() -> None:
    every = cases(load=False)
    assert len({case.name for case in every}) == len(every)
    pixels = chosen(every, ["pixels/"])
    assert pixels and all(case.kind == "pixels" for case in pixels)
    assert pixels[0] not in chosen(every, ["pixels/"], [pixels[0].name])
    with pytest.raises(ValueError, match="no case has 'pixel5'"):
        chosen(every, ["pixels/", "pixel5"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--only", "nothing"], "no case has 'nothing' in its name", id="no such case"),
        pytest.param(["--predict", "ZX81"], "no published figures of ZX81", id="no such device"),
        pytest.param(["--done", "/nowhere.json"], "/nowhere.json", id="no such file"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(arguments: list[str], words: str, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        gpu.read_options(arguments)
    assert words in capsys.readouterr().err


def test_a_case_that_fails_or_does_not_fit_the_budget_is_a_line_and_the_next_has_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: gpu.Run, case: Case) -> dict[str, Any]:
        if case.rows == 1:
            raise torch.OutOfMemoryError("CUDA out of memory.\nmore")
        if case.rows == 2:
            raise RuntimeError("no kernel")
        return {"ways": {}, "kind": "pixels"}

    file = tmp_path / "found.json"
    options = gpu.read_options(["--device", "cpu", "--json", str(file), "--budget", "1000"])
    run = gpu.Run(options)
    run.rates = Rates(1e15, 1e15, 1e15, 1e15)
    monkeypatch.setattr(gpu.Run, "_figures", fails)
    for rows in (1, 2, 3):
        run.take(Case("pixels", "tiny", rows=rows))
    run.rates = Rates(1e9, 1e9, 1e9, 1e9)
    run.take(Case("picture", "flux2-dev"))
    found = json.loads(file.read_text())
    failed = [one.get("failed") for one in found["cases"].values()]
    assert failed == ["out of memory", "RuntimeError", None]
    assert found["skipped"] == [Case("picture", "flux2-dev").name]


@pytest.mark.slow  # 25 seconds
def test_the_tiny_run_measures_every_kind_of_case(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    command = [sys.executable, "-m", "tests.bench.gpu", "--device", "cpu", "--tiny", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(file.read_text())
    assert {one["kind"] for one in found["cases"].values()} == {"picture", "profile", "pixels", "repeat", "end"}
    assert not [one for one in found["cases"].values() if "failed" in one]
    pixels = next(one for one in found["cases"].values() if one["kind"] == "pixels")
    assert all(way["same"] for way in pixels["ways"].values())
    assert "| tiny bf16 eager 64² |" in done.stdout
