"""A night's figures as Prometheus reads them from a file: node_exporter's textfile collector takes `*.prom`.

Every sample has the label `nights`, so that files of several shops on one machine do not contradict each other.
https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from pressrun.cluster.store.opening import Stores
from pressrun.jobs.folder.named_file import write_named
from pressrun.jobs.night.report import NightReport

_NAME = "pressrun_night_"
_LAST_GOOD = "last_success_timestamp_seconds"
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATUSES = ("succeeded", "cached", "failed", "rejected", "pending")
_ACTIONS = ("added", "replaced", "removed", "unchanged")

Sample = tuple[Mapping[str, str], float]


def write_metrics(stores: Stores, path: str, nights: str, report: NightReport) -> None:
    """Replace the file at once and whole. When a night last ended well is taken over from the file before.

    Raises:
        JobError: it cannot be written there.
    """
    last_good = report.ended.timestamp() if report.exit_code == 0 else _last_good(stores, path)
    lines: list[str] = []
    for name, help, samples in _metrics(report, last_good):
        if samples:
            lines += [f"# HELP {_NAME}{name} {help}", f"# TYPE {_NAME}{name} gauge"]
        lines += [f"{_NAME}{name}{_labels({'nights': nights, **labels})} {value:.15g}" for labels, value in samples]
    write_named(stores, path, ["".join(f"{line}\n" for line in lines).encode(errors="replace")], _CONTENT_TYPE)


def _metrics(report: NightReport, last_good: float | None) -> Iterator[tuple[str, str, Sequence[Sample]]]:
    published, pruned = report.published, report.pruned
    yield "success", "1 if everything was done as asked.", _one(report.exit_code == 0)
    yield "exit_code", "0 done, 1 partly done, 2 refused, 3 stopped.", _one(report.exit_code)
    yield "started_timestamp_seconds", "When the night started.", _one(_seconds(report.started))
    yield "timestamp_seconds", "When the night ended.", _one(_seconds(report.ended))
    yield _LAST_GOOD, "When a night last ended with exit code 0.", _one(last_good)
    rows = [({"status": status}, float(report.rows[status])) for status in _STATUSES if report.rows]
    yield "rows", "Rows of the manifest by what became of them.", rows
    yield "rendered", "Pictures that were rendered.", _one(report.summary.rendered if report.summary else None)
    actions = [({"action": action}, float(getattr(published, action))) for action in _ACTIONS if published]
    yield "published", "Published pictures by what was done.", actions
    yield "pruned_nights", "Old nights that were removed.", _one(len(pruned.pruned) if pruned else None)
    phases = [({"phase": name}, seconds) for name, seconds in report.seconds.items()]
    yield "duration_seconds", "How long each phase took.", phases


def _one(value: float | None) -> Sequence[Sample]:
    return [] if value is None else [({}, float(value))]


def _seconds(moment: datetime) -> float:
    return round(moment.timestamp(), 3)


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _last_good(stores: Stores, path: str) -> float | None:
    try:
        there = stores.read(path).decode(errors="replace")
    except OSError:
        return None
    found = re.search(rf"^{_NAME}{_LAST_GOOD}\{{.*\}} ([0-9.e+]+)$", there, re.MULTILINE)
    return float(found[1]) if found else None
