"""When and where every call ran: busy shares for the summary, and a trace to look at."""

import math
from dataclasses import dataclass

from pressrun.cluster.protocol.unit import Report

STAGES = ("encode", "denoise", "decode", "finish")
_KEPT = 20_000


@dataclass(frozen=True)
class Span:
    """One call on a worker; times in epoch seconds."""

    stage: str
    worker: str
    unit: int | None
    started: float
    ended: float


@dataclass
class _Window:
    """What a denoise replica has computed since its first unit."""

    started: float
    shards: int = 1
    busy: float = 0.0


class Timeline:
    """Sums for the whole run (`computed` seconds by stage), spans for its first 20,000 calls.

    What counts for the busy shares is steady state: from the first denoise call's start to the moment when no unit was
    left to send after those under way; in a run that is too short for one, to the last decode call's end. Loading and
    the last units' end, in which workers run dry one by one, are told by other figures.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.computed: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self._busy: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self._workers: dict[str, _Window] = {}
        self._early: list[tuple[str, str, float, float]] = []
        self._first, self._last, self._dry = math.inf, 0.0, math.inf

    def ran_dry(self, now: float) -> None:
        """No unit is left to send after those under way, since `now` (epoch seconds)."""
        self._dry = min(self._dry, now)

    def add(self, report: Report, worker: str, unit: int | None) -> None:
        """Take note of one call."""
        if report.stage not in STAGES:  # whoever fetches computes nothing
            return
        self.computed[report.stage] += report.seconds
        calls = [(f"{worker} shard {call.shard}", call.started, call.ended) for call in report.calls]
        calls = calls or [(worker, report.started, report.ended)]
        if report.stage in ("denoise", "decode"):
            self._last = max(self._last, report.ended)
        if report.stage == "denoise":
            window = self._workers.setdefault(worker, _Window(report.started))
            window.shards = max(window.shards, 1 + max((call.shard for call in report.calls), default=0))
            if self._first == math.inf:
                self._first = report.started
                for early in self._early:
                    self._count(*early)
                self._early.clear()
        for _, started, ended in calls:
            if self._first == math.inf:
                self._early.append((report.stage, worker, started, ended))
            else:
                self._count(report.stage, worker, started, ended)
        if len(self.spans) < _KEPT:
            self.spans += [Span(report.stage, lane, unit, started, ended) for lane, started, ended in calls]

    def _count(self, stage: str, worker: str, started: float, ended: float) -> None:
        ended = min(ended, self._end)
        self._busy[stage] += max(0.0, ended - max(started, self._first))
        window = self._workers.get(worker)
        if window is not None:
            window.busy += max(0.0, ended - max(started, window.started))

    @property
    def _end(self) -> float:
        """Of steady state, as far as it is known; a run may run dry before it has begun."""
        return self._dry if self._dry > self._first else math.inf

    def shares(self, workers: dict[str, int]) -> dict[str, float]:
        """Busy share of each stage's `workers` (calls that can run at once) in steady state, and as "replica" how much
        of it the denoise replicas computed anything at all: where they hold the whole model, they encode and decode as
        well. Empty before the first denoise call."""
        end = min(self._end, self._last)
        wall = end - self._first
        if wall <= 0:
            return {}
        shares = {stage: self._busy[stage] / (wall * max(1, workers.get(stage, 1))) for stage in STAGES}
        windows = [window for window in self._workers.values() if window.started < end]
        there = sum((end - window.started) * window.shards for window in windows)
        shares["replica"] = sum(window.busy for window in windows) / there
        return {name: round(min(1.0, share), 3) for name, share in shares.items()}

    def trace(self) -> dict[str, list[dict[str, object]]]:
        """The spans in the Trace Event Format, which chrome://tracing and Perfetto show: one lane per worker."""
        start = min((span.started for span in self.spans), default=0.0)
        return {
            "traceEvents": [
                {
                    "name": span.stage if span.unit is None else f"{span.stage} {span.unit}",
                    "cat": span.stage,
                    "ph": "X",
                    "pid": "pressrun",
                    "tid": span.worker,
                    "ts": round((span.started - start) * 1e6),
                    "dur": round((span.ended - span.started) * 1e6),
                }
                for span in self.spans
            ]
        }
