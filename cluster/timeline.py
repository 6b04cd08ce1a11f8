"""When and where every call ran: busy shares for the summary, and a trace to look at."""

from dataclasses import dataclass

from cluster.unit import Report

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


class Timeline:
    """Sums for the whole run, spans for its first 20,000 calls."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.busy: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self._first: float | None = None
        self._last = 0.0

    def add(self, report: Report, worker: str, unit: int | None) -> None:
        """Take note of one call."""
        self.busy[report.stage] += report.seconds
        if report.stage == "denoise":
            self._first = report.started if self._first is None else min(self._first, report.started)
            self._last = max(self._last, report.ended)
        if len(self.spans) >= _KEPT:
            return
        if report.calls:
            lanes = [(f"{worker} shard {call.shard}", call.started, call.ended) for call in report.calls]
        else:
            lanes = [(worker, report.started, report.ended)]
        self.spans += [Span(report.stage, lane, unit, started, ended) for lane, started, ended in lanes]

    def shares(self, workers: dict[str, int]) -> dict[str, float]:
        """Busy share of each stage's `workers` (calls that can run at once) between the first denoise call's start and
        the last one's end."""
        wall = self._last - (self._first or 0.0)
        if self._first is None or wall <= 0:
            return {}
        return {stage: round(self.busy[stage] / (wall * max(1, workers.get(stage, 1))), 3) for stage in STAGES}

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
