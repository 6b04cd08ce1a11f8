"""Who gets the next call: the least-loaded worker that may, kept up to date call by call."""

from collections.abc import Sequence

from pressrun.cluster.scheduling.flight import Call, EncodeTask
from pressrun.cluster.scheduling.free_slots import SlotIndex
from pressrun.cluster.scheduling.worker import Worker


def worker(name: str, held: Sequence[str] = (), suspect: bool = False, **more: object) -> Worker:
    made = Worker(name, ("encode", "denoise", "decode"), 2, lambda: None, **more)  # type: ignore[arg-type]
    made.calls = [Call(stage, made, [], EncodeTask([], suspect)) for stage in held]
    return made


def roster(*workers: Worker) -> SlotIndex:
    made = SlotIndex()
    for one in workers:
        made.update(one)
    return made


def test_the_least_loaded_worker_is_free_first_and_a_full_one_never() -> None:
    idle, loaded, full = worker("a"), worker("b", ["denoise"]), worker("c", ["denoise"] * 2)
    crew = roster(full, loaded, idle)
    assert crew.free("denoise") is idle
    idle.calls = list(full.calls)
    crew.update(idle)
    assert crew.free("denoise") is loaded
    loaded.calls += full.calls[:1]
    crew.update(loaded)
    assert crew.free("denoise") is None
    assert crew.free("decode") is not None, "slots are counted by stage"


def test_who_could_compute_at_once_comes_before_who_would_let_it_wait() -> None:
    computing, decoding = worker("a", ["denoise"]), worker("b", ["decode", "decode"])
    crew = roster(computing, decoding)
    assert crew.free("denoise") is decoding
    crew.remove(decoding)
    assert crew.free("denoise") is computing
    assert crew.free("denoise", ahead=False) is None


def test_a_suspect_gets_a_worker_of_its_own_and_nothing_joins_it_there() -> None:
    crew = roster(worker("a", ["denoise"]), worker("b", ["decode"], suspect=True))
    assert crew.free("denoise", alone=True) is None
    free = crew.free("denoise")
    assert free is not None and free.name == "a"


def test_nothing_goes_to_a_worker_that_has_not_loaded() -> None:
    assert roster(worker("a", ready_ref="awaited")).free("denoise") is None
