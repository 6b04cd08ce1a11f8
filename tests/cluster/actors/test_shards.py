"""A replica of shards: what a shard says when it cannot work, and tensors that go from device to device."""

import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from pressrun.cluster.actors.shards import IntermediateTensors, Leader, ShardActor
from pressrun.cluster.actors.transport import settle, transport_of
from pressrun.cluster.protocol.packed_tensor import pack
from pressrun.cluster.protocol.spec import ModelSpec
from pressrun.cluster.protocol.unit import Item, Report, Unit
from pressrun.cluster.runtime.ray_runtime import ray_runtime
from pressrun.pipeline.families.flux2.renderer import Renderer
from pressrun.pipeline.families.flux2.shape import shape_of
from pressrun.pipeline.models.catalogue import find_model, model_digest
from pressrun.pipeline.request import RenderRequest
from tests.cluster.cramped import cramped_shards

MINI = find_model("mini")


def test_a_shard_without_its_model_says_so_and_names_no_folder_of_its_host(tmp_path: Path) -> None:
    folder = tmp_path / "secret-project"
    (folder / "transformer").mkdir(parents=True)
    _, problem, _ = ShardActor(ModelSpec(str(folder), "", "fp32"), 0, 2).ready()
    assert "model_index.json" in problem and str(tmp_path) not in problem


@pytest.mark.parametrize(
    ("device", "gpus", "cupy", "switch", "transport"),
    [
        ("cuda", 1.0, True, "", "nccl"),
        ("cuda", 1.0, False, "", ""),
        ("cuda", 1.0, True, "off", ""),
        ("cuda", 0.5, True, "", ""),
        ("cpu", 0.0, True, "", ""),
    ],
)
def test_direct_transport_takes_a_gpu_for_each_shard_and_cupy(
    monkeypatch: pytest.MonkeyPatch, device: str, gpus: float, cupy: bool, switch: str, transport: str
) -> None:
    monkeypatch.setattr("pressrun.cluster.actors.transport.find_spec", lambda name: cupy and name == "cupy")
    monkeypatch.setenv("PRESSRUN_DIRECT_TRANSPORT", switch)
    assert transport_of(device, gpus) == transport


def test_tensors_leave_a_gpu_when_they_are_computed_and_are_used_when_they_have_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[str] = []
    monkeypatch.setattr("torch.cuda.synchronize", waited.append)
    monkeypatch.setattr(
        "pressrun.cluster.actors.shards.settle", lambda _device: settle("cuda:0")
    )  # this machine's own has no GPU
    spec = ModelSpec("mini", model_digest(MINI), "fp32", ("denoise",))
    first, last = (ShardActor(spec, number, 2) for number in range(2))
    request = RenderRequest("mug", "a mug", 64, 64, 2, 1.0, 7)
    embedding = pack(Renderer.load(MINI, "fp32", stages=("encode",)).encode_prompt(request.prompt))
    unit = Unit(0, shape_of(request, [], MINI), (Item(0, request, "images/mug.png", "k", "f"),), batch=1)
    crossing = first.begin(1, True, unit, embedding)
    assert waited == ["cuda:0"]
    last.through(crossing)
    assert waited == ["cuda:0"] * 3
    first.begin(2, False, unit, embedding)
    assert waited == ["cuda:0"] * 3, "what is packed has been waited for"


class MortalShard(ShardActor):
    """Ends with its process over pictures that are 96 wide."""

    def through(self, crossing: IntermediateTensors) -> IntermediateTensors:
        if crossing.terms.positions.grid[1] == 96 // 16:
            os._exit(1)
        return super().through(crossing)


class MortalLeader(Leader):
    shard = MortalShard


Denoise = Callable[..., tuple[bytes | None, Report]]


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., Denoise]]:
    """Start a replica of three shards of mini on CPUs, one of a kind; what denoises with it, unit after unit."""
    import ray

    encoder = Renderer.load(MINI, "fp32", stages=("encode",))
    spec = ModelSpec("mini", model_digest(MINI), "fp32", ("denoise",))

    @cache
    def begin(kind: type[Leader], transport: str) -> Denoise:
        named = type(kind.__name__, (kind,), {"transport": transport})
        leader = ray.remote(named).options(num_cpus=0).remote(spec, 0.0, ["DEFAULT"] * 3)
        assert ray.get(leader.ready.remote())[1] == ""

        def denoise(rows: int = 2, width: int = 64) -> tuple[bytes | None, Report]:
            requests = [RenderRequest(str(row), f"mug {row}", width, 64, 3, 1.0, row) for row in range(rows)]
            items = tuple(Item(row, one, f"images/{row}.png", "key", "finish") for row, one in enumerate(requests))
            embeddings = [pack(encoder.encode_prompt(one.prompt)) for one in requests]
            unit = Unit(0, shape_of(requests[0], [], MINI), items, batch=rows)
            latents, report = ray.get(leader.denoise.options(num_returns=2).remote(unit, embeddings))
            return latents and latents.data.tobytes(), report

        return denoise

    with ray_runtime():
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # a run's workers import nothing from here
        yield begin


@pytest.mark.long
def test_tensors_that_go_from_device_to_device_are_those_of_the_object_store(start: Callable[..., Denoise]) -> None:
    direct, stored = start(Leader, "gloo"), start(Leader, "")
    for rows in (1, 3):
        (latents, report), (same, _) = direct(rows), stored(rows)
        assert latents is not None and latents == same
        calls = [call.shard for call in report.calls]
        assert [calls.count(shard) for shard in range(3)] == [4, 3, 3], "three steps, the first of them begun apart"


@pytest.mark.long
def test_without_what_direct_transport_takes_tensors_go_through_the_object_store(
    start: Callable[..., Denoise],
) -> None:
    nowhere, stored = start(Leader, "nccl"), start(Leader, "")  # there is no GPU, and no CuPy
    assert nowhere()[0] == stored()[0]


def test_a_batch_that_does_not_fit_is_halved_and_nobody_is_lost_over_it(
    start: Callable[..., Denoise], tmp_path: Path
) -> None:
    direct, stored = start(cramped_shards({64: 2}, tmp_path / "log"), "gloo"), start(Leader, "")
    for _ in range(2):
        latents, report = direct(4)
        assert latents == stored(4)[0]
        assert (report.batch, report.lost) == (2, None)


def test_a_shard_that_is_lost_is_told_at_once(start: Callable[..., Denoise]) -> None:
    direct = start(MortalLeader, "gloo")
    assert direct()[1].lost is None
    latents, report = direct(width=96)
    assert latents is None and report.lost and report.lost.startswith("one of its shards")
