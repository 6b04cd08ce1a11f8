"""Which of two nights is later: by their dates, whatever the form, and never by a guess."""

from datetime import date

import pytest

from pressrun.jobs.folder.night_name import NightName, doubtful


def named(name: str) -> NightName:
    night = NightName.parse(name)
    assert night is not None, name
    return night


@pytest.mark.parametrize(
    "name",
    [
        *("2026-11-21", "20261121", "2026_11_21", "2026.11.21", "2026-1121", "2026-11-21T0200", "20261121T020000Z"),
        *("202611210200", "20261121020000", "2026-11-21-2", "2026-11-21 run 3", "2026-11-21b", "2026-11-21-eu"),
    ],
)
def test_a_date_is_read_in_every_form(name: str) -> None:
    assert named(name).day == date(2026, 11, 21)


@pytest.mark.parametrize(
    "name", ["trial", "2026-13-40", "20261340", "2026-1-5", "٢٠٢٦-١١-٢١", "run-20261121", "2026-11-210"]
)
def test_what_begins_with_no_date_is_no_night(name: str) -> None:
    assert NightName.parse(name) is None


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("20260921", "2026-11-21"),
        ("2026-09-21", "20261121"),
        ("2026_12_31", "2027.01.01"),
        ("2026-11-20T2359", "2026-11-21T0001"),
        ("2026-11-21T0200", "20261121T020030"),
        ("2026-11-21T09:00", "2026-11-21T1000"),
        ("2026-11-21", "2026-11-21-2"),
        ("2026-11-21-2", "2026-11-21-10"),
        ("2026-11-21a", "2026-11-21B"),
        ("2026-11-21", "2026-11-21b"),
    ],
)
def test_the_earlier_night_is_known(earlier: str, later: str) -> None:
    assert named(earlier).earlier_than(named(later)) is True
    assert named(later).earlier_than(named(earlier)) is False
    assert named(earlier).order < named(later).order


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-11-21", "20261121"),
        ("2026-11-21", "2026-11-21T0200"),
        ("2026-11-21-eu", "2026-11-21-us"),
        ("2026-11-21-2", "2026-11-21-b"),
        ("2026-11-21-run2", "2026-11-21-v3"),
    ],
)
def test_where_names_do_not_tell_nobody_guesses(one: str, other: str) -> None:
    assert named(one).earlier_than(named(other)) is None
    assert named(other).earlier_than(named(one)) is None


def test_names_that_only_look_like_dates_are_told_from_others() -> None:
    odd = ["2026-1-5", "2026-13-40", "21.11.2026", "21112026", "11-21-2026", "26-11-21"]
    assert [*doubtful([*odd, "trial", "1024x1024", "v1.2.3", "12345678", "2026-11-21", "winter 2026"])] == odd
