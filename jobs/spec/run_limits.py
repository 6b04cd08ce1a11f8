"""Where a run stops although there is more to render: after so many rows, pictures or minutes, so that it can go on."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from pressrun.cluster.protocol.unit import Unit


@dataclass
class RunLimits:
    """`rows` are the manifest's first, `images` and `minutes` this run's, counted from its start. None: no limit."""

    rows: int | None = None
    images: int | None = None
    minutes: float | None = None
    started: float = field(default_factory=time.monotonic)
    _late: bool = False
    _cut: bool = False

    def problems(self) -> Iterator[str]:
        """What is wrong with them, a sentence each."""
        if self.rows is not None and self.rows < 1:
            yield f"`limit` {self.rows} leaves nothing to render; give a number from 1 on."
        if self.images is not None and self.images < 1:
            yield f"`max_images` {self.images} leaves nothing to render; give a number from 1 on."
        if self.minutes is not None and not self.minutes > 0:
            yield f"`max_minutes` {self.minutes:g} leaves no time to render; give a number above 0."

    def within(self, pending: np.ndarray) -> np.ndarray:
        """Of the manifest's rows that need something, those that are looked at."""
        return pending if self.rows is None else pending[pending < self.rows]

    def affordable(self, rows: np.ndarray, rendered: int = 0) -> np.ndarray:
        """Of the rows that have to be rendered, those that are, after `rendered` pictures of this run."""
        left = None if self.images is None else max(0, self.images - rendered)
        self._cut = left is not None and len(rows) > left
        return rows[:left] if self._cut else rows

    def spared(self, pending: int, further: int) -> int:
        """Of so many pictures that may follow the pending ones, those that the run may render."""
        return further if self.images is None else min(further, max(0, self.images - pending))

    @property
    def cut_short(self) -> bool:
        """Whether pictures or minutes were too few."""
        return self._late or self._cut

    def in_time(self, units: Iterator[Unit]) -> Iterator[Unit]:
        """Units until the time is up: what is under way then is still finished."""
        for unit in units:
            if self.minutes is not None and time.monotonic() - self.started > 60 * self.minutes:
                self._late = True
                return
            yield unit

    def reached(self) -> str | None:
        """Why a run that went to its end has left rows."""
        if self._late:
            return f"`max_minutes` {self.minutes:g} are over."
        if self._cut:
            return f"`max_images` {self.images} is reached."
        return None if self.rows is None else f"`limit` {self.rows} is reached."
