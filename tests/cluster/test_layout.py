"""Layouts: who holds what on which devices."""

import pytest

from cluster.layout import choose_layout
from pipeline.errors import JobError


@pytest.mark.parametrize(
    ("name", "cpus", "gpus", "units", "roles"),
    [
        pytest.param("auto", 2, 0, 9, [("encode+denoise+decode", 2, 0)], id="two cores, two replicas"),
        pytest.param("auto", 64, 0, 99, [("encode+denoise+decode", 8, 0)], id="many cores, eight replicas"),
        pytest.param("auto", 2, 0, 1, [("encode+denoise+decode", 1, 0)], id="one unit, one replica"),
        pytest.param("auto", 16, 4, 99, [("encode+denoise+decode", 4, 1)], id="a replica for each GPU"),
        pytest.param(
            "staged", 16, 4, 99, [("encode", 1, 0.5), ("denoise", 3, 1), ("decode", 1, 0.5)], id="one GPU set apart"
        ),
        pytest.param("staged", 2, 0, 9, [("encode", 1, 0), ("denoise", 1, 0), ("decode", 1, 0)], id="staged on a CPU"),
    ],
)
def test_a_layout_uses_the_devices_that_there_are(
    name: str, cpus: float, gpus: float, units: int, roles: list[tuple[str, int, float]]
) -> None:
    layout = choose_layout(name, None, None, cpus=cpus, gpus=gpus, units=units)
    assert [("+".join(role.stages), role.count, role.gpus) for role in layout.roles] == roles
    assert sum(role.count * role.gpus for role in layout.roles) <= gpus


@pytest.mark.parametrize("name", ["whole", "staged"])
@pytest.mark.parametrize("gpus", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("replicas", [1, 2, 3, 4, 8])
def test_every_actor_finds_a_place_on_one_gpu(name: str, gpus: int, replicas: int) -> None:
    layout = choose_layout(name, replicas, None, cpus=64, gpus=gpus)
    free = [1.0] * gpus
    for share in sorted((role.gpus for role in layout.roles for _ in range(role.count)), reverse=True):
        place = next(place for place, left in enumerate(free) if left >= share - 1e-9)
        free[place] -= share


@pytest.mark.parametrize(
    ("gpus", "shards", "roles"),
    [
        pytest.param(0, 3, [(1, 0.0, 1), (1, 0.0, 3), (1, 0.0, 1)], id="on a CPU"),
        pytest.param(8, 2, [(1, 1.0, 1), (3, 1.0, 2), (1, 1.0, 1)], id="three replicas of two GPUs"),
        pytest.param(4, 4, [(1, 0.5, 1), (1, 0.5, 4), (1, 0.5, 1)], id="no GPU to spare"),
    ],
)
def test_shards_make_a_chain_of_devices_beside_encode_and_decode(
    gpus: float, shards: int, roles: list[tuple[int, float, int]]
) -> None:
    layout = choose_layout("auto", None, shards, cpus=2, gpus=gpus, units=99)
    assert [(role.count, role.gpus, role.shards) for role in layout.roles] == roles
    assert sum(role.count * role.gpus * role.shards for role in layout.roles) <= gpus


def test_a_whole_layout_has_no_shards() -> None:
    with pytest.raises(JobError, match="--layout whole keeps whole"):
        choose_layout("whole", None, 2, cpus=2, gpus=2)


def test_a_machine_with_little_memory_gets_fewer_replicas() -> None:
    layout = choose_layout("auto", None, None, cpus=8, gpus=0, units=99, memory=16e9, model_bytes=int(6e9))
    assert layout.replicas == 2


def test_all_that_is_wrong_with_a_layout_is_said_at_once() -> None:
    with pytest.raises(JobError) as refused:
        choose_layout("sideways", 0, 0, cpus=2, gpus=0)
    assert len(refused.value.problems) == 3
