"""How long a place is waited for, once references that lie there cannot be had in a row.

A server that is down shall not hold up a job for a minute with each of its pictures, and a few bad pictures shall not
fail the good ones beside them. So only silence puts a place in doubt (no connection, no answer, nothing in time), never
an answer, whatever it says. In doubt every reference is tried all the same, each with half the time of the one before
down to a few seconds, and the first answer gives all of it back. Only while a host takes no connection at all do the
others fail at once, until one of them tries again some seconds later. So which rows are tried does not depend on which
others failed, and a rerun, or the rest of the run, gets past a host that is back.

A thousand references, four at a time as the survey reads them with 60 s for each, take some seconds on a host that
refuses connections, about a minute on one that never answers to them, a quarter of an hour on one that takes them and
stalls, and ten minutes on one that answers each with an error that may pass.
"""

import threading
import time
from collections import defaultdict
from dataclasses import dataclass

from pressrun.cluster.net.url import shown

LOST_AFTER = 5
"""References of one place that fail in a row, for want of an answer, before it is in doubt."""

_RESTS = 3 * LOST_AFTER
"""Answers in a row that want a rest, three for a picture, before none is granted any more."""

_GONE_SEC = 5.0
_LEAST_SEC = 2.0
_LEAST_SHARE = 1 / 20


@dataclass
class _Place:
    unheard: int = 0
    rests: int = 0
    unconnected_at: float = float("-inf")


class Patience:
    """One process's with all places; safe for threads."""

    def __init__(self) -> None:
        self._places: defaultdict[str, _Place] = defaultdict(_Place)
        self._lock = threading.Lock()

    def seconds(self, place: str, full: float) -> float:
        """What the next reference gets of the `full` seconds: less than all of them where the place is in doubt."""
        with self._lock:
            halvings = self._places[place].unheard - LOST_AFTER + 1
        return min(full, max(full * 0.5 ** max(halvings, 0), full * _LEAST_SHARE, _LEAST_SEC))

    def is_gone(self, place: str) -> bool:
        """Whether a place in doubt took no connection a few seconds ago, so that it is not asked again yet."""
        with self._lock:
            known = self._places[place]
            return known.unheard >= LOST_AFTER and time.monotonic() - known.unconnected_at < _GONE_SEC

    def may_rest(self, place: str) -> bool:
        """Whether to wait as long as the place asks for, which is in vain where it asks for it again and again."""
        with self._lock:
            return self._places[place].rests < _RESTS

    def heard(self, place: str, rest: bool = False) -> None:
        """It answered something, if only that it wants a `rest`."""
        with self._lock:
            self._places[place] = _Place(rests=self._places[place].rests + 1 if rest else 0)

    def unheard(self, place: str, connected: bool = True) -> None:
        """A reference was given up because it did not answer, or not in time."""
        with self._lock:
            known = self._places[place]
            known.unheard += 1
            if not connected:
                known.unconnected_at = time.monotonic()


def unasked(place: str) -> str:
    """Why a reference at a place that is gone was not tried: the rest of a sentence."""
    why = f"was not asked for: {LOST_AFTER} others in a row could not be had from {shown(place)}"
    return f"{why}, which takes no connection; see that it is up, and render again"


def late(seconds: float, doubted: str = "") -> str:
    """That a reference did not come: the rest of a sentence, with the place where one `doubted` cut the time short."""
    why = f"did not arrive within {seconds:g} s"
    if not doubted:
        return why
    others = f"{LOST_AFTER} others in a row could not be had from {shown(doubted)}"
    return f"{why}, the time left to each after {others}; see to it, and render again"
