"""Busy shares: what they count, and what they leave out."""

import pytest

from pressrun.cluster.protocol.unit import Report, ShardCall
from pressrun.cluster.scheduling.timeline import Timeline

ONE_EACH = {"encode": 1, "denoise": 1, "decode": 1, "finish": 4}


def call(stage: str, started: float, ended: float, *shards: ShardCall) -> Report:
    return Report(stage, started, ended, "cpu", 1, calls=shards)


def test_a_replica_that_decodes_between_two_units_is_busy() -> None:
    timeline = Timeline()
    timeline.add(call("denoise", 100, 108), "replica-0", 0)
    timeline.add(call("decode", 108, 110), "replica-0", 0)
    timeline.add(call("denoise", 111, 120), "replica-0", 1)
    assert timeline.shares(ONE_EACH) == {"encode": 0, "denoise": 0.85, "decode": 0.1, "finish": 0, "replica": 0.95}


def test_what_was_encoded_before_the_first_unit_counts_for_nothing() -> None:
    timeline = Timeline()
    timeline.add(call("encode", 90, 100), "encode-1", None)
    timeline.add(call("encode", 104, 105), "encode-1", None)
    timeline.add(call("denoise", 100, 110), "denoise-0", 0)
    assert timeline.shares(ONE_EACH)["encode"] == 0.1


def test_the_last_units_end_in_which_workers_run_dry_is_not_steady_state() -> None:
    timeline = Timeline()
    for worker in ("replica-0", "replica-1"):
        timeline.add(call("denoise", 100, 110), worker, 0)
    timeline.ran_dry(110)
    timeline.add(call("denoise", 108, 150), "replica-0", 1)
    assert timeline.shares(ONE_EACH | {"denoise": 2})["replica"] == 1.0


def test_a_replica_counts_from_its_first_unit_on() -> None:
    timeline = Timeline()
    timeline.add(call("denoise", 100, 120), "replica-0", 0)
    timeline.add(call("denoise", 110, 120), "replica-1", 1)
    assert timeline.shares(ONE_EACH | {"denoise": 2}) == pytest.approx(
        {"encode": 0, "denoise": 0.75, "decode": 0, "finish": 0, "replica": 1.0}
    )


def test_a_replica_of_two_shards_is_busy_while_both_compute() -> None:
    timeline = Timeline()
    calls = (ShardCall(0, 100, 105), ShardCall(1, 105, 110))
    timeline.add(call("denoise", 100, 110, *calls), "denoise-0", 0)
    assert timeline.shares(ONE_EACH | {"denoise": 2})["replica"] == 0.5


def test_nothing_is_said_before_the_first_unit() -> None:
    timeline = Timeline()
    timeline.add(call("encode", 90, 100), "encode-1", None)
    assert timeline.shares(ONE_EACH) == {}
