"""The dispatcher on a real Ray with actors that misbehave on purpose: who is blamed, and who must not suffer."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pressrun.cluster.placement.layout import Layout, Role
from pressrun.cluster.protocol.batch_limits import BatchLimit, BatchLimits
from pressrun.cluster.protocol.spec import ModelSpec
from pressrun.cluster.protocol.unit import Report, Unit
from pressrun.cluster.runtime.ray_runtime import ray_runtime
from pressrun.pipeline.errors import StorageError
from tests.cluster import puppets
from tests.cluster.puppets import Puppet, PuppetsLeader, units

NO_MODEL = ModelSpec("none", "", "fp32")


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    from ray import cloudpickle

    with ray_runtime():
        cloudpickle.register_pickle_by_value(puppets)  # a run's workers import nothing from here
        yield
        cloudpickle.unregister_pickle_by_value(puppets)


@pytest.fixture
def run(ray_here: None) -> Iterator[Callable[..., dict[str, str]]]:
    """Run units given by their prompts; returns each custom_id's status or error code. `run.dispatcher` is the last."""
    import ray

    from pressrun.cluster.scheduling.dispatcher import Dispatcher
    from pressrun.cluster.scheduling.worker import Worker
    from pressrun.cluster.scheduling.worker_pool import WorkerPool

    crews = []

    def go(*prompts: list[str], sharded: bool = False, **options: Any) -> dict[str, str]:
        actor = ray.remote(Puppet).options(num_cpus=0, max_concurrency=2, max_restarts=0)
        layout = Layout("whole", 1, (Role(("encode", "denoise", "decode"), 1, 0.0),), "cpu")
        replica = [Worker("replica-0", ("encode", "denoise", "decode"), 2, actor.remote)]
        if sharded:
            leader = ray.remote(PuppetsLeader).options(num_cpus=0, max_restarts=0)
            places = ["DEFAULT"] * 2
            replica = [
                Worker("encode+decode-0", ("encode", "decode"), 2, actor.remote),
                Worker("denoise-0", ("denoise",), 4, lambda: leader.remote(NO_MODEL, 0.0, places), shards=2),
            ]
        crew = WorkerPool(layout, [*replica, Worker("finish-0", ("fetch", "finish"), 4, actor.remote)])
        crews.append(crew)
        dispatcher = Dispatcher(crew, **options)
        go.dispatcher = dispatcher  # type: ignore[attr-defined]
        outcomes = [outcome for some in dispatcher.run(units(*prompts), threading.Event()) for outcome in some]
        go.outcomes = outcomes  # type: ignore[attr-defined]
        return {outcome.custom_id: outcome.error_code or outcome.status for outcome in outcomes}

    yield go
    for crew in crews:
        for worker in crew.workers:
            crew.kill(worker)


def test_every_request_of_every_unit_comes_back_once(run: Callable[..., dict[str, str]]) -> None:
    outcomes = run(*[["a", "b", "c"]] * 40)
    assert len(outcomes) == 120
    assert set(outcomes.values()) == {"succeeded"}


def test_equal_prompts_are_encoded_once(run: Callable[..., dict[str, str]]) -> None:
    run(*[["a", "b"]] * 30)
    assert len([span for span in run.dispatcher.timeline.spans if span.stage == "encode"]) == 1  # type: ignore[attr-defined]


def test_equal_references_are_encoded_once(run: Callable[..., dict[str, str]]) -> None:
    assert set(run(*[["image 1", "image 1 and image 2"]] * 10).values()) == {"succeeded"}
    assert len([span for span in run.dispatcher.timeline.spans if span.stage == "encode"]) == 2  # type: ignore[attr-defined]


def test_equal_pictures_at_two_places_are_encoded_once(run: Callable[..., dict[str, str]]) -> None:
    assert set(run(["at a.png", "at b.png"], ["at b.png"]).values()) == {"succeeded"}
    assert len([span for span in run.dispatcher.timeline.spans if span.stage == "encode"]) == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "places", [[["at gone-a", "at b.png"]], [["at gone-a"], ["at b.png"]], [["at b.png"], ["at gone-a", "at b.png"]]]
)
def test_a_picture_that_is_gone_from_one_place_is_had_from_the_other(
    run: Callable[..., dict[str, str]], places: list[list[str]]
) -> None:
    outcomes = run(*places)
    assert {status for name, status in outcomes.items() if "b.png" in name} == {"succeeded"}


def test_what_is_gone_from_everywhere_is_told_by_each_rows_own_address(run: Callable[..., dict[str, str]]) -> None:
    assert set(run(["at gone-a", "at gone-b"], ["at gone-b"]).values()) == {"reference_missing"}
    told = {outcome.custom_id: outcome.error_message for outcome in run.outcomes}  # type: ignore[attr-defined]
    assert told == {
        "at gone-a-0": "gone-a is gone.",
        "at gone-b-1": "gone-b is gone.",
        "at gone-b-2": "gone-b is gone.",
    }


def test_a_request_that_kills_three_workers_alone_fails_and_its_neighbours_succeed(
    run: Callable[..., dict[str, str]],
) -> None:
    outcomes = run(["a", "crash", "b"], ["c"], ["d"])
    assert outcomes == {
        "a-0": "succeeded",
        "crash-1": "worker_crash",
        "b-2": "succeeded",
        "c-3": "succeeded",
        "d-4": "succeeded",
    }


@pytest.mark.slow
def test_in_a_replica_of_shards_such_a_request_fails_and_whoever_was_under_way_beside_it_succeeds(
    run: Callable[..., dict[str, str]],
) -> None:
    outcomes = run(*[["a"]] * 5, ["b", "crash", "c"], *[["d"]] * 5, sharded=True)
    assert outcomes.pop("crash-6") == "worker_crash"
    assert len(outcomes) == 12 and set(outcomes.values()) == {"succeeded"}
    attempts = {outcome.custom_id: outcome.attempts for outcome in run.outcomes}  # type: ignore[attr-defined]
    assert attempts["a-0"] == 1, "it was done when the first shard died"


def test_a_replica_of_shards_forgets_a_unit_that_failed_through_a_bug(ray_here: None) -> None:
    import ray

    leader = ray.remote(PuppetsLeader).options(num_cpus=0).remote(NO_MODEL, 0.0, ["DEFAULT"] * 2)
    internal_error_message, alone = units(["bug"], ["alone"])
    with pytest.raises(ZeroDivisionError):
        ray.get(leader.denoise.options(num_returns=2).remote(internal_error_message, []))
    ray.get(leader.denoise.options(num_returns=2).remote(alone, []))


@pytest.mark.parametrize("prompts", [["a", "large"], ["a", "too large"]], ids=lambda prompts: prompts[1])
def test_a_request_that_takes_all_memory_has_it_for_itself_before_it_fails(
    run: Callable[..., dict[str, str]], prompts: list[str]
) -> None:
    outcomes = run(prompts, ["b"])
    assert outcomes.pop(f"{prompts[1]}-1") == ("succeeded" if prompts[1] == "large" else "worker_crash")
    assert set(outcomes.values()) == {"succeeded"}


def test_a_batch_that_turned_out_too_large_is_remembered_and_recorded(run: Callable[..., dict[str, str]]) -> None:
    room = BatchLimits()
    assert set(run(["tight"] * 4, room=room).values()) == {"succeeded"}
    assert room.fits == (BatchLimit("cpu", 64, 64, 0, rows=2, wanted=4),)
    run(["a"] * 4, room=room)
    assert {outcome.batch_rows for outcome in run.outcomes} == {2}  # type: ignore[attr-defined]


@pytest.mark.parametrize("prompt", ["no room", "no room to encode", "no room to decode"])
def test_what_fits_no_memory_fails_after_a_second_try_alone_and_costs_no_worker(
    run: Callable[..., dict[str, str]], prompt: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert run([prompt], ["b", "c"]) == {f"{prompt}-0": "out_of_memory", "b-1": "succeeded", "c-2": "succeeded"}
    told = {outcome.custom_id: outcome for outcome in run.outcomes}  # type: ignore[attr-defined]
    assert told["no room-0"].attempts == 2 if prompt == "no room" else True
    assert "was lost" not in caplog.text


def test_a_prompt_without_room_beside_others_is_encoded_alone(run: Callable[..., dict[str, str]]) -> None:
    outcomes = run(["a", "no room to encode"])
    assert outcomes == {"a-0": "succeeded", "no room to encode-1": "out_of_memory"}
    told = {outcome.custom_id: outcome.error_message for outcome in run.outcomes}  # type: ignore[attr-defined]
    assert told["no room to encode-1"] == "Beside 0 others."


def test_a_replica_of_shards_halves_batches_and_forgets_what_did_not_fit(ray_here: None) -> None:
    import ray

    leader = ray.remote(PuppetsLeader).options(num_cpus=0).remote(NO_MODEL, 0.0, ["DEFAULT"] * 2)
    tight, again, none, alone = units(["tight"] * 5, ["a"] * 4, ["no room"] * 2, ["alone"])

    def denoised(unit: Unit) -> tuple[list[int] | None, Report]:
        latents, report = ray.get(leader.denoise.options(num_returns=2).remote(unit, unit.items))
        return latents and latents.data.tolist(), report

    latents, report = denoised(tight)
    assert (latents, report.batch, report.lost) == ([2, 2, 2, 2, 1], 2, None)
    assert denoised(again)[0] == [2, 2, 2, 2], "it is of the same shape"
    latents, report = denoised(none)
    assert (latents, report.batch, report.failures[0][0]) == (None, 0, "out_of_memory")
    assert denoised(alone)[0] == [1]


def test_a_prompt_that_cannot_be_encoded_fails_alone(run: Callable[..., dict[str, str]]) -> None:
    outcomes = run(["a", "long"], ["long"], ["b"])
    assert outcomes == {
        "a-0": "succeeded",
        "long-1": "prompt_too_long",
        "long-2": "prompt_too_long",
        "b-3": "succeeded",
    }


def test_a_prompt_that_kills_whoever_encodes_it_fails_alone(run: Callable[..., dict[str, str]]) -> None:
    outcomes = run(["a", "encode crash"], ["b"])
    assert outcomes == {"a-0": "succeeded", "encode crash-1": "worker_crash", "b-2": "succeeded"}


def test_a_store_that_fails_stops_the_run_after_what_is_known_was_told(run: Callable[..., dict[str, str]]) -> None:
    with pytest.raises(StorageError, match="no space"):
        run(["full disk"])


def test_an_actor_that_makes_no_progress_is_replaced_and_the_request_blamed(
    run: Callable[..., dict[str, str]],
) -> None:
    assert run(["hang"], ["a"], patience_sec=1.0) == {"hang-0": "worker_crash", "a-1": "succeeded"}


def test_a_bug_fails_its_unit_in_one_sentence_and_is_not_retried(run: Callable[..., dict[str, str]]) -> None:
    assert run(["bug", "a"], ["b"]) == {"bug-0": "internal_error", "a-1": "internal_error", "b-2": "succeeded"}


def test_a_stop_ends_the_run_between_two_units(ray_here: None, run: Callable[..., dict[str, str]]) -> None:
    assert run(["a"]) == {"a-0": "succeeded"}
    dispatcher = run.dispatcher  # type: ignore[attr-defined]
    stop = threading.Event()
    stop.set()
    assert list(dispatcher.run(units(["b"]), stop)) == []


def test_workers_are_not_blamed_for_the_time_in_which_nobody_looked(
    ray_here: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    from pressrun.cluster.scheduling import dispatcher as dispatch
    from pressrun.cluster.scheduling.worker import Worker
    from pressrun.cluster.scheduling.worker_pool import WorkerPool

    actor = ray.remote(Puppet).options(num_cpus=0, max_concurrency=2, max_restarts=0)
    stages = ("encode", "denoise", "decode")
    layout = Layout("whole", 1, (Role(stages, 1, 0.0),), "cpu")
    crew = WorkerPool(
        layout, [Worker("replica-0", stages, 2, actor.remote), Worker("finish-0", ("fetch", "finish"), 4, actor.remote)]
    )
    monkeypatch.setattr(dispatch, "_AWAY_SEC", 1.0)
    dispatcher = dispatch.Dispatcher(crew, patience_sec=3.0)
    outcomes = []
    for some in dispatcher.run(units(["six seconds"]), threading.Event()):
        outcomes += some
        if crew.workers[0].calls and crew.workers[0].calls[0].stage == "denoise" and not outcomes:
            time.sleep(3.5)  # as if the process had been stopped
    for worker in crew.workers:
        crew.kill(worker)
    assert [outcome.status for outcome in outcomes] == ["succeeded"]
    assert "was lost" not in caplog.text
