"""Layouts: who holds what on which devices, for every model that the catalogue counts, and what is refused."""

from dataclasses import replace
from typing import Any

import pytest

from pressrun.cluster.placement.candidates import GPU_SHARE
from pressrun.cluster.placement.choice import choose_layout, holdings
from pressrun.cluster.placement.devices import Devices, Node
from pressrun.cluster.placement.layout import Layout, PlacementRequest
from pressrun.cluster.placement.requirements import (
    CONTEXT_BYTES,
    PATIENCE_SEC,
    Requirements,
    StageSeconds,
    requirements_of,
)
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.models.catalogue import catalogue

GPUS = {24: 23_034, 48: 46_068, 80: 81_559}
"""MiB of an L4, an L40S and an H100, as their driver says."""

NOTHING = Requirements(None, "fp32", ())


def gpus(count: int, size: int = 80) -> Devices:
    return Devices((Node(gpus=(GPUS[size] << 20,) * count),))


def cores(*counts: float, memory: float = 0.0) -> Devices:
    return Devices(tuple(Node(count, memory) for count in counts))


def needs(name: str, side: int = 1024, **more: Any) -> Requirements:
    model = catalogue()[name]
    shape = Shape(side, side, model.steps, model.guidance, 0, model.text_length, False)
    return requirements_of(model, more.pop("precision", "bf16"), [(shape, 1, 1000)], **more)


def said(layout: Layout) -> str:
    """A layout as the table below writes it."""
    if layout.name == "whole":
        return f"{layout.replicas} whole"
    words = {"encode+decode": "pool", "encode": "encode", "decode": "decode"}
    parts = []
    for role in layout.roles:
        kind = "+".join(role.stages)
        cut = f"{role.count} x {role.shards}" if role.shards > 1 else f"{role.count}"
        parts.append(f"{cut} denoise" if kind == "denoise" else f"{role.count} {words[kind]}")
    return " + ".join(parts)


TABLE = {
    ("flux2-klein-4b", 24): {n: f"{n} whole" for n in (1, 2, 3, 4, 8, 16)},
    ("flux2-klein-4b", 48): {n: f"{n} whole" for n in (1, 2, 3, 4, 8, 16)},
    ("flux2-klein-4b", 80): {n: f"{n} whole" for n in (1, 2, 3, 4, 8, 16)},
    ("flux2-klein-9b", 24): {
        1: "refused",
        2: "1 pool + 1 denoise",
        3: "1 pool + 2 denoise",
        4: "1 pool + 3 denoise",
        8: "1 pool + 7 denoise",
        16: "1 encode + 13 denoise + 2 decode",
    },
    ("flux2-klein-9b", 48): {n: f"{n} whole" for n in (1, 2, 3, 4, 8, 16)},
    ("flux2-klein-9b", 80): {n: f"{n} whole" for n in (1, 2, 3, 4, 8, 16)},
    ("flux2-dev", 24): dict.fromkeys((1, 2, 3, 4, 8, 16), "refused"),  # its text encoder is 33 GiB in one piece
    ("flux2-dev", 48): {
        1: "refused",
        2: "refused",
        3: "1 pool + 1 x 2 denoise",
        4: "1 encode + 1 x 2 denoise + 1 decode",
        8: "1 encode + 3 x 2 denoise + 1 decode",
        16: "1 encode + 7 x 2 denoise + 1 decode",
    },
    ("flux2-dev", 80): {
        1: "refused",
        2: "1 pool + 1 denoise",
        3: "1 pool + 2 denoise",
        4: "1 pool + 3 denoise",
        8: "1 pool + 7 denoise",
        16: "1 pool + 15 denoise",
    },
}
"""What `auto` chooses for pictures of 1024 x 1024 in bf16; docs/sizing-a-cluster.md has it for people."""


@pytest.mark.parametrize(("model", "size"), TABLE, ids=lambda value: str(value))
def test_a_model_gets_the_layout_that_its_bytes_allow(model: str, size: int) -> None:
    for count, wanted in TABLE[model, size].items():
        try:
            layout = choose_layout(PlacementRequest(), gpus(count, size), needs(model), units=1000)
        except JobError:
            assert wanted == "refused", (count, wanted)
            continue
        assert said(layout) == wanted, count
        for holding in holdings(layout, gpus(count, size), needs(model)):
            held = holding.weights_bytes + holding.activations_bytes
            assert held + CONTEXT_BYTES <= GPU_SHARE * (GPUS[size] << 20), holding


@pytest.mark.parametrize("model", ["flux2-klein-4b", "flux2-klein-9b", "flux2-dev"])
@pytest.mark.parametrize("size", GPUS)
def test_more_gpus_never_render_less(model: str, size: int) -> None:
    replicas = []
    for count in range(1, 17):
        try:
            layout = choose_layout(PlacementRequest(), gpus(count, size), needs(model), units=1000)
        except JobError:
            assert not replicas, f"{count} GPUs are refused and fewer are not"
            continue
        assert sum(role.count * role.gpus * role.shards for role in layout.roles) <= count
        replicas.append(layout.replicas)
    assert replicas == sorted(replicas)


@pytest.mark.parametrize(
    ("model", "devices", "wishes", "sentence"),
    [
        pytest.param("flux2-dev", gpus(1), PlacementRequest(), "2 such GPUs or a GPU of 141 GB", id="one GPU too few"),
        pytest.param(
            "flux2-dev", gpus(2, 48), PlacementRequest(), "3 such GPUs or 2 GPUs of 80 GB", id="two GPUs too small"
        ),
        pytest.param(
            "flux2-dev",
            gpus(16, 24),
            PlacementRequest(),
            "with `precision` fp8 or 16 GPUs of 40 GB.",
            id="a text encoder too large",
        ),
        pytest.param("flux2-dev", gpus(4), PlacementRequest("whole"), "`layout` auto", id="whole where it must not be"),
        pytest.param("flux2-dev", gpus(8, 48), PlacementRequest(shards=1), "no `shards`", id="one shard too few"),
        pytest.param(
            "flux2-klein-9b", gpus(2, 24), PlacementRequest(replicas=2), "fewer `replicas`", id="too many replicas"
        ),
    ],
)
def test_a_model_that_cannot_fit_is_refused_with_what_would_make_it_fit(
    model: str, devices: Devices, wishes: PlacementRequest, sentence: str
) -> None:
    with pytest.raises(JobError, match=f"{model} in bf16 does not fit") as refused:
        choose_layout(wishes, devices, needs(model))
    [told] = refused.value.problems
    assert sentence in told


def test_dev_in_eight_bits_fits_one_gpu_that_it_does_not_fit_in_sixteen() -> None:
    with pytest.raises(JobError, match=r"It would fit with `precision` fp8, "):
        choose_layout(PlacementRequest(), gpus(1), needs("flux2-dev"))
    for precision in ("fp8", "int8"):
        assert said(choose_layout(PlacementRequest(), gpus(1), needs("flux2-dev", precision=precision))) == "1 whole"


def test_a_machine_without_gpus_is_advised_what_is_nearest() -> None:
    with pytest.raises(JobError, match=r"It would fit with `precision` int8 or "):
        choose_layout(PlacementRequest(), cores(8, memory=80 << 30), needs("flux2-dev"))


def test_fewer_pixels_or_a_smaller_precision_are_advised_where_they_help() -> None:
    with pytest.raises(JobError, match=r"`precision` bf16.* pictures of \d+ x \d+ at most"):
        choose_layout(PlacementRequest(), gpus(1, 48), needs("flux2-klein-4b", 4096, precision="fp32"))


def test_pools_are_sized_by_the_seconds_that_stages_were_seen_to_take() -> None:
    slow = StageSeconds(encode=0.5, denoise=1.0, decode=0.5)
    assert said(choose_layout(PlacementRequest("staged"), gpus(8), needs("flux2-klein-4b"), 1000)) == (
        "1 encode + 6 denoise + 1 decode"
    )
    layout = choose_layout(PlacementRequest("staged"), gpus(8), needs("flux2-klein-4b", measured=slow), 1000)
    assert said(layout) == "2 encode + 4 denoise + 2 decode"


@pytest.mark.parametrize(
    ("devices", "shards", "wanted"),
    [
        pytest.param(cores(2), None, "1 encode + 1 denoise + 1 decode", id="fewer cores than actors"),
        pytest.param(cores(8), None, "1 encode + 5 denoise + 2 decode", id="eight cores"),
        pytest.param(cores(8), 2, "1 encode + 2 x 2 denoise + 2 decode", id="eight cores and shards"),
        pytest.param(cores(8, 8), 4, "1 encode + 2 x 4 denoise + 3 decode", id="two machines and shards"),
    ],
)
def test_staged_on_cpus_takes_the_cores_that_there_are(devices: Devices, shards: int | None, wanted: str) -> None:
    seconds = StageSeconds(encode=0.05, denoise=1.0, decode=0.35)
    layout = choose_layout(PlacementRequest("staged", shards=shards), devices, replace(NOTHING, seconds=seconds), 99)
    assert said(layout) == wanted


def test_a_gpu_whose_memory_is_not_known_is_trusted() -> None:
    layout = choose_layout(PlacementRequest(), Devices((Node(gpus=(0, 0)),)), needs("flux2-dev"), 1000)
    assert said(layout) == "2 whole"


def test_the_smallest_gpu_decides() -> None:
    mixed = Devices((*gpus(1, 24).nodes, *gpus(3, 80).nodes))
    assert said(choose_layout(PlacementRequest(), mixed, needs("flux2-klein-9b"), 1000)) == "1 pool + 3 denoise"


@pytest.mark.parametrize(
    ("name", "devices", "units", "roles"),
    [
        pytest.param("auto", cores(2), 9, [("encode+denoise+decode", 2, 0)], id="two cores, two replicas"),
        pytest.param("auto", cores(64), 99, [("encode+denoise+decode", 8, 0)], id="many cores, eight replicas"),
        pytest.param("auto", cores(2, 2, 4), 99, [("encode+denoise+decode", 8, 0)], id="three machines"),
        pytest.param("auto", cores(2), 1, [("encode+denoise+decode", 1, 0)], id="one unit, one replica"),
        pytest.param("auto", gpus(4), 99, [("encode+denoise+decode", 4, 1)], id="a replica for each GPU"),
        pytest.param("staged", gpus(4), 99, [("encode+decode", 1, 1), ("denoise", 3, 1)], id="one GPU set apart"),
        pytest.param(
            "staged", cores(2), 9, [("encode", 1, 0), ("denoise", 1, 0), ("decode", 1, 0)], id="staged on a CPU"
        ),
    ],
)
def test_a_layout_uses_the_devices_that_there_are(
    name: str, devices: Devices, units: int, roles: list[tuple[str, int, float]]
) -> None:
    layout = choose_layout(PlacementRequest(name), devices, NOTHING, units)
    assert [("+".join(role.stages), role.count, role.gpus) for role in layout.roles] == roles


@pytest.mark.parametrize("name", ["whole", "staged"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("replicas", [1, 2, 3, 4, 8])
def test_every_actor_finds_a_place_on_one_gpu(name: str, count: int, replicas: int) -> None:
    layout = choose_layout(PlacementRequest(name, replicas), gpus(count), NOTHING)
    free = [1.0] * count
    for share in sorted((role.gpus for role in layout.roles for _ in range(role.count)), reverse=True):
        place = next(place for place, left in enumerate(free) if left >= share - 1e-9)
        free[place] -= share


@pytest.mark.parametrize(
    ("devices", "shards", "roles"),
    [
        pytest.param(cores(2), 3, [(1, 0.0, 1), (1, 0.0, 3), (1, 0.0, 1)], id="on a CPU"),
        pytest.param(gpus(8), 2, [(1, 1.0, 1), (3, 1.0, 2), (1, 1.0, 1)], id="three replicas of two GPUs"),
        pytest.param(gpus(4), 4, [(1, 0.5, 1), (1, 0.5, 4), (1, 0.5, 1)], id="no GPU to spare"),
    ],
)
def test_shards_make_a_chain_of_devices_beside_encode_and_decode(
    devices: Devices, shards: int, roles: list[tuple[int, float, int]]
) -> None:
    layout = choose_layout(PlacementRequest(shards=shards), devices, NOTHING, 99)
    assert [(role.count, role.gpus, role.shards) for role in layout.roles] == roles


def test_a_worker_may_be_silent_for_as_long_as_its_longest_call_takes_on_a_slow_device() -> None:
    assert needs("flux2-klein-4b").patience_sec("cuda") == PATIENCE_SEC
    assert needs("flux2-klein-4b").patience_sec("cpu") > 1500 * 10, "a picture takes a core of today 1,500 s"
    assert 2 * PATIENCE_SEC < needs("flux2-dev", 2048).patience_sec("cuda") < 3 * 3600
    assert NOTHING.patience_sec("cpu") == PATIENCE_SEC


def test_a_machine_with_little_memory_gets_fewer_replicas() -> None:
    layout = choose_layout(PlacementRequest(), cores(8, memory=40e9), needs("flux2-klein-4b"), 99)
    assert layout.replicas == 2


def test_a_model_that_fits_no_machine_whole_is_cut_over_several() -> None:
    layout = choose_layout(PlacementRequest(), cores(4, 4, 4, 4, memory=48e9), needs("flux2-dev"), 99)
    assert said(layout) == "1 encode + 1 x 2 denoise + 1 decode"
    with pytest.raises(JobError, match="128 GiB free on one machine"):
        choose_layout(PlacementRequest(), cores(4, memory=48e9), needs("flux2-dev"))


def test_the_table_of_a_layout_says_what_every_actor_holds() -> None:
    wanted = needs("flux2-dev")
    layout = choose_layout(PlacementRequest(), gpus(4, 48), wanted, 99)
    rows = [
        (row.actor, row.holds, round(row.weights_bytes / 2**30, 1), row.device)
        for row in holdings(layout, gpus(4, 48), wanted)
    ]
    assert rows == [
        ("encode-0", "text encoder, autoencoder", 32.5, "GPU 1 of 4"),
        ("denoise-0 shard 0", "blocks 1 to 28 of the transformer", 34.3, "GPU 2 of 4"),
        ("denoise-0 shard 1", "blocks 29 to 56 of the transformer", 26.9, "GPU 3 of 4"),
        ("decode-0", "autoencoder", 0.2, "GPU 4 of 4"),
    ]


def test_the_table_names_a_single_block_as_one() -> None:
    wanted = needs("flux2-klein-4b")
    layout = choose_layout(PlacementRequest(shards=25), cores(2), wanted, 99)
    said = [row.holds for row in holdings(layout, cores(2), wanted)]
    assert said[1] == "block 1 of the transformer" and said[25] == "block 25 of the transformer"


def test_all_that_is_wrong_with_a_layout_is_said_at_once() -> None:
    with pytest.raises(JobError) as refused:
        choose_layout(PlacementRequest("sideways", 0, 0), cores(2), NOTHING)
    assert len(refused.value.problems) == 3


def test_more_shards_than_blocks_and_shards_of_a_whole_are_no_layout() -> None:
    with pytest.raises(JobError, match="the transformer has 25 blocks"):
        choose_layout(PlacementRequest(shards=26), cores(2), needs("flux2-klein-4b"))
    with pytest.raises(JobError, match="`layout` whole keeps whole"):
        choose_layout(PlacementRequest("whole", shards=2), gpus(2), replace(NOTHING, precision="bf16"))
