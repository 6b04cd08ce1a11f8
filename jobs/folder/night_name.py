"""The name of a night: which day it is of, and which of two nights is the later one.

A name begins with a date, written 2026-11-21, 2026_11_21, 2026.11.21 or 20261121; nights of two days are in the order
of their days, whatever the form. What follows tells the runs of one day apart: a time (T0200, T02:00:30) or a number
(-2, -run2, a single letter). Of two names that do not tell which is later, nobody guesses: see `earlier_than`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, time

from pressrun.jobs.text.wording import first_of

_DATED = re.compile(
    r"(?P<year>[0-9]{4})[-_.]?(?P<month>[0-9]{2})[-_.]?(?P<day>[0-9]{2})"
    r"(?:|(?P<digits>[0-9]{4}|[0-9]{6})|(?P<rest>[^0-9].*))",
    re.DOTALL,
)
_TIME = re.compile(r"[Tt _-]([0-9]{2})[:.h-]?([0-9]{2})(?:[:.m-]?([0-9]{2}))?[Zz]?")
_RUN = re.compile(r"(?P<label>[-_. ]?[A-Za-z]*[-_. ]?)(?P<number>[0-9]{1,9})")
_LETTER = re.compile(r"([-_. ]?)([A-Za-z])")
_YEAR, _MORE = r"(?:19|20)[0-9]{2}", r"[-_. ]?[0-9]{1,2}"
_LIKE_A_DATE = re.compile(
    rf"(?:{_YEAR}[-_. ][0-9]{{1,2}}[-_. ][0-9]{{1,2}}|{_YEAR}[0-9]{{4}}|[0-9]{{1,2}}{_MORE}[-_. ]{_YEAR}"
    rf"|[0-3][0-9][01][0-9]{_YEAR}|[01][0-9][0-3][0-9]{_YEAR}|[0-9]{{2}}([-_.])[0-9]{{2}}\1[0-9]{{2}})(?![0-9])"
)


@dataclass(frozen=True)
class NightName:
    """A job's name that begins with a date. `run` tells the runs of one day apart: a kind, and a place among those of
    that kind; None where that is not understood."""

    name: str
    day: date
    run: tuple[str, int] | None

    @classmethod
    def parse(cls, name: str) -> "NightName | None":
        """Read a name; None if it begins with no date."""
        match = _DATED.fullmatch(name)
        if match is None:
            return None
        try:
            day = date(int(match["year"]), int(match["month"]), int(match["day"]))
        except ValueError:
            return None
        return cls(name, day, _run(match["rest"] or "", match["digits"] or ""))

    def earlier_than(self, other: "NightName") -> bool | None:
        """Whether this night is earlier than another one; None where their names do not tell."""
        if self.day != other.day:
            return self.day < other.day
        if self.name == other.name:
            return False
        if self.run is None or other.run is None or self.run == other.run:
            return None
        if self.run[0] == other.run[0]:
            return self.run[1] < other.run[1]
        kinds = {self.run[0], other.run[0]}
        return self.run[0] == "" if "" in kinds and "time" not in kinds else None

    @property
    def order(self) -> tuple[date, str, int, str]:
        """A key that sorts nights as `earlier_than` does, and in some order those of which it says None."""
        kind, place = self.run or ("~", 0)
        return self.day, kind, place, self.name


def _run(rest: str, digits: str) -> tuple[str, int] | None:
    """What tells a run from others of its day: nothing, a time in seconds, or a number under some label."""
    if not rest and not digits:
        return "", 0
    if found := _TIME.fullmatch(rest or f"T{digits}"):
        hour, minute, second = (int(part or 0) for part in found.groups())
        try:
            time(hour, minute, second)
            return "time", 3600 * hour + 60 * minute + second
        except ValueError:
            return None
    if found := _RUN.fullmatch(rest):
        return f"run {found['label']}", int(found["number"])
    if found := _LETTER.fullmatch(rest):
        return f"letter {found[1]}", ord(found[2].lower())
    return None


def doubtful(names: Iterable[str]) -> Iterator[str]:
    """Those of some names that look like a date and cannot be read as one."""
    return (name for name in names if NightName.parse(name) is None and _LIKE_A_DATE.match(name))


def doubtful_names(odd: Iterable[str]) -> str:
    """A sentence about names that are `doubtful`; "" if there are none."""
    cases = list(odd)
    if not cases:
        return ""
    return f"Which day is meant by {first_of(cases)}? Name nights YYYY-MM-DD, or move what is none to another place."
