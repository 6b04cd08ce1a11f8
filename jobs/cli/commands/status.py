"""`pressrun status`: where a job stands, or how the nights went."""

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import busy_words, cause_words, change_words, say
from pressrun.jobs.folder.job_file import JOB
from pressrun.jobs.night.history import NightFigures, history
from pressrun.jobs.results.status import Status, read_status
from pressrun.jobs.spec.progress import duration


def add(commands: Any) -> None:
    """The options of `pressrun status`."""
    command = add_command(commands, "status", "counts, images/s, time left, errors grouped by cause", _status)
    command.add_argument("uri", metavar="URI", help="a job's --out, or the place under which nights stand")
    command.add_argument("--watch", action="store_true", help="again every few seconds until the job is done")


def _status(options: argparse.Namespace) -> int:
    store = options.context.stores.open(options.uri)
    nights = history(store) if store.head(JOB) is None else ()
    if nights:
        told = {"nights": [asdict(night) for night in nights]}
        say(told if options.json else "\n".join(_night_lines(nights)), options.json)
        return 0
    while True:
        status = read_status(store)
        say(status.to_dict() if options.json else _status_words(status), options.json)
        if not options.watch or status.finished:
            return 0
        time.sleep(3)


def _night_lines(nights: Sequence[NightFigures]) -> list[str]:
    """A table, the newest night first."""
    names = ("rows", "succeeded", "cached", "failed", "rejected", "pending", "rendered")
    width = max(8, *(len(night.night) for night in nights))
    lines = [f"{'night':<{width}}" + "".join(f"{name:>10}" for name in names) + f"{'took':>14}  published  state"]
    for night in nights:
        counts = "".join(f"{getattr(night, name):>10,}" for name in names)
        published = "yes" if night.published else "no"
        took = duration(night.seconds)
        lines.append(f"{night.night:<{width}}{counts}{took:>14}  {published:<9}  {night.state}".rstrip())
    lines += [f"{night.night}: {night.problem}" for night in nights if night.problem]
    return lines


def _status_words(status: Status) -> str:
    parts = [f"{getattr(status, name)} {name}" for name in ("succeeded", "cached", "failed", "rejected", "pending")]
    parts += [f"{status.flagged} flagged"] if status.flagged else []
    lines = [f"{status.out} ({status.model}): {status.rows} rows: {', '.join(parts)}."]
    if status.approved or status.decided_against:
        open_ = status.succeeded + status.cached - status.approved - status.decided_against
        lines.append(f"Decided: {status.approved} approved, {status.decided_against} rejected, {open_} open.")
    if status.images_per_second:
        left = f", {duration(status.seconds_left)} left" if status.seconds_left else ""
        lines.append(f"{status.images_per_second:.2f} images/s{left}.")
    lines += busy_words(status.busy)
    lines += change_words(status.changes)
    lines += cause_words(status.causes)
    if not status.finished:
        lines.append("Not finished; render again to go on.")
    return "\n".join(lines)
