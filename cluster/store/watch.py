"""Watching what somebody writes, by a clock of one's own: no machine's time of day has to be right."""

import time
from typing import Any


class Watch:
    """Watches somebody's lease, by a clock of its own, until nobody has written it for too long."""

    def __init__(self, ttl_sec: float, beat_sec: float) -> None:
        self._ttl, self._beat = ttl_sec, beat_sec
        self._state: tuple[int, Any] | None = None
        self._first = self._changed = time.monotonic()
        self._doubted = False

    def sees(self, state: tuple[int, Any]) -> bool:
        """Look at it; whether it was written since the last look, and its holder lives."""
        if state == self._state:
            return False
        written = self._state is not None
        self._state, self._changed, self._doubted = state, time.monotonic(), False
        return written

    def over(self) -> bool:
        """Whether its time is over, at two looks a beat apart: a machine that was paused, or a container that was
        frozen, stopped the one who watches together with the one who writes.
        """
        if time.monotonic() - self._changed < self._ttl:
            return False
        doubted, self._doubted = self._doubted, True
        return doubted

    def pause(self) -> float:
        """Seconds until the next look, short ones at first."""
        if self._doubted:
            return self._beat
        return min(1.0, self._beat / 2, max(0.05, time.monotonic() - self._first))
