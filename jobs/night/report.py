"""What became of a night: the one record that is printed, mailed, sent, measured and kept in the night's folder."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from pressrun.jobs.delivery.publishing import Published
from pressrun.jobs.delivery.retention import Pruned
from pressrun.jobs.reports.diff import Difference
from pressrun.jobs.results.summary import Summary

STATES = {0: "done", 1: "partly done", 2: "refused", 3: "stopped"}
"""What an exit code means."""

_ROWS = ("rows", "succeeded", "cached", "failed", "rejected", "pending", "flagged")
_PUBLISHED = ("added", "replaced", "removed", "unchanged", "not_ready")
_CHANGED = ("added", "changed", "removed", "unchanged")


@dataclass(frozen=True)
class NightReport:
    """One go at a night, by the names of its parts.

    `seconds` are those of each phase. `summary`, `published`, `difference` and `pruned` are None for what was not done;
    `page` is where the difference can be looked at. `problems` are sentences: why the night was refused or stopped, or
    what is left undone, in the order in which it happened.
    """

    night: str
    job: str
    started: datetime
    ended: datetime
    exit_code: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    summary: Summary | None = None
    published: Published | None = None
    difference: Difference | None = None
    page: str = ""
    pruned: Pruned | None = None
    problems: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """The exit code in words."""
        return STATES[self.exit_code]

    @property
    def rows(self) -> dict[str, int]:
        """How many rows came to what; empty where nothing is known."""
        return {name: getattr(self.summary, name) for name in _ROWS} if self.summary else {}

    def figures(self) -> dict[str, Any]:
        """What everybody may know: names and numbers, no place and no sentence."""
        told: dict[str, Any] = {
            "night": self.night,
            "state": self.state,
            "exit_code": self.exit_code,
            "started": self.started.isoformat(timespec="seconds"),
            "ended": self.ended.isoformat(timespec="seconds"),
            "seconds": {name: round(seconds, 2) for name, seconds in self.seconds.items()},
            "rows": self.rows or None,
            "rendered": self.summary.rendered if self.summary else 0,
        }
        told["published"] = self.published and {name: getattr(self.published, name) for name in _PUBLISHED}
        changed = self.difference
        told["changed"] = changed and {name: getattr(changed, name) for name in (*_CHANGED, "reasons")}
        told["pruned"] = list(self.pruned.pruned) if self.pruned else None
        return told

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it, for the shop's own."""
        told = self.figures() | {"job": self.job, "problems": list(self.problems)}
        if self.summary:
            told |= {"stopped": self.summary.stopped, "causes": [asdict(cause) for cause in self.summary.causes]}
        if self.published:
            told["published"] = asdict(self.published)
        if self.difference:
            told["changed"] |= {"since": self.difference.before, "page": self.page}
        if self.pruned:
            told["pruned"] = asdict(self.pruned)
        return told
