"""Everybody who is to know how a night went: a mail's text, metrics, public pages, a command, a webhook.

None of them changes what the night was: what cannot be told to one is a sentence for the others, and no exit code.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from pressrun.cluster.store.opening import Stores
from pressrun.jobs.delivery.hook import run_hook
from pressrun.jobs.folder.named_file import write_named
from pressrun.jobs.night.metrics import write_metrics
from pressrun.jobs.night.night_file import NIGHT, NightFile
from pressrun.jobs.night.public_pages import write_public
from pressrun.jobs.night.report import NightReport
from pressrun.jobs.night.report_text import report_text
from pressrun.jobs.night.webhook import PAUSES_SEC, keys_of
from pressrun.jobs.spec.context import Context
from pressrun.pipeline.errors import PressrunError

EVENTS = {0: "night.finished", 1: "night.finished", 2: "night.refused", 3: "night.stopped"}
"""A webhook's type by the exit code."""


def tell_everybody(
    file: NightFile, context: Context, report: NightReport, named: Callable[[str], str], hurry: bool
) -> tuple[str, ...]:
    """Tell all that the file names; a sentence for each that could not be told. In a `hurry`, once a signal has asked
    for the end, a webhook is tried once."""
    told: list[str] = []
    for what, tell in _ways(file, context, report, named, hurry):
        try:
            problem = tell()
        except (PressrunError, OSError) as error:
            problem = f"{what} could not be written: {error}"
        if problem:
            told.append(named(problem))
    return tuple(told)


def _ways(
    file: NightFile, context: Context, report: NightReport, named: Callable[[str], str], hurry: bool
) -> Iterator[tuple[str, Callable[[], str | None]]]:
    stores, webhook = context.stores, file.webhook
    if file.report:
        text = report_text(report, file.local, named).encode(errors="replace")
        where = file.report.replace(NIGHT, report.night)
        yield "The report", lambda: _write(stores, where, text)
    if file.metrics:
        yield "The metrics", lambda: write_metrics(stores, file.metrics, file.nights, report)
    if file.public:
        yield "The public pages", lambda: write_public(stores, file, report)
    if file.on_finish:
        yield "“on_finish”", lambda: _ran(run_hook(file.on_finish, report.to_dict()))
    if webhook:
        pauses = () if hurry else PAUSES_SEC
        kind, figures = EVENTS[report.exit_code], report.figures()
        yield "The webhook", lambda: webhook.deliver(kind, figures, keys_of(context.webhook_secret), pauses)


def _write(stores: Stores, where: str, text: bytes) -> None:
    if not where.lower().startswith("s3://"):
        Path(where).parent.mkdir(parents=True, exist_ok=True)
    write_named(stores, where, [text], "text/plain; charset=utf-8")


def _ran(problem: str) -> str:
    return f"“on_finish”: {problem}" if problem else ""
