"""Progress: what a person, or a log, is told while pictures are made."""

import io

import pytest

from pressrun.cluster.protocol.unit import Outcome
from pressrun.jobs.spec.progress import Lines, duration, progress_for


def test_a_log_gets_lines_with_counts_speed_and_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr("pressrun.jobs.spec.progress.time.monotonic", lambda: next(clock))
    stream = io.StringIO()
    lines = Lines(stream)
    lines.begin(10, 4)
    lines.update([Outcome(0, "a", "succeeded"), Outcome(1, "b", "failed")])
    assert stream.getvalue().startswith("6/10 images, 1 failed, 0.17 images/s, 24 s left")


def test_a_log_hears_of_references_that_take_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((100, 103, 106))
    monkeypatch.setattr("pressrun.jobs.spec.progress.time.monotonic", lambda: next(clock))
    stream = io.StringIO()
    lines = Lines(stream)
    for done in (200, 900, 1500, 2000):
        lines.looking(done, 2000)
    assert stream.getvalue() == "Looking at references: 200 of 2,000\nLooking at references: 1,500 of 2,000\n"


def test_a_log_hears_what_is_waited_for_and_the_same_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("pressrun.jobs.spec.progress.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    lines = Lines(stream)
    lines.begin(36, 0)
    for second in range(160):
        now[0] = 100.0 + second / 2
        lines.loading(min(2, second // 20), 2)
        lines.update([])
    lines.update([Outcome(0, "a", "succeeded")])
    assert stream.getvalue().splitlines() == [
        "Loading the model: 0 of 2 actors are ready",
        "Loading the model: 1 of 2 actors are ready",
        "The model is loaded; the first of 36 pictures are on their way",
        "The model is loaded; the first of 36 pictures are on their way (30 s so far)",
        "The model is loaded; the first of 36 pictures are on their way (50 s so far)",
        "1/36 images, 0.01 images/s, 46 min 22 s left",
    ]


def test_where_no_terminal_is_there_is_no_bar() -> None:
    assert isinstance(progress_for(io.StringIO()), Lines)


@pytest.mark.parametrize(("seconds", "words"), [(4.4, "4 s"), (75, "1 min 15 s"), (7_380, "2 h 3 min")])
def test_durations_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words
