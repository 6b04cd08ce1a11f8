"""A night's report as a plain text that can be mailed: the first line is the subject, then what a person acts on."""

from collections.abc import Callable, Iterator
from datetime import datetime

from pressrun.jobs.folder.job_file import SHEET
from pressrun.jobs.night.report import NightReport
from pressrun.jobs.spec.progress import duration
from pressrun.jobs.text.wording import first_of, several, shortened

_SENTENCE = 400
"""Characters of an error's sentence that are repeated."""


def report_text(report: NightReport, local: Callable[[datetime], datetime], named: Callable[[str], str]) -> str:
    """The text. `local` gives moments by the shop's clock; `named` gives our sentences in the words of whoever asked
    for the night, who may know fields as flags."""
    sections = [_about(report, local), [*_figures(report, named)], [*_causes(report, named)]]
    if report.problems:
        title = {0: "Besides", 1: "Left undone", 2: "Why it was refused", 3: "Why it stopped"}[report.exit_code]
        sections.append([f"{title}:", *(f"  - {problem}" for problem in report.problems)])
    if report.exit_code == 3:
        sections.append(["The same command goes on."])
    text = "\n\n".join("\n".join(lines) for lines in sections if lines)
    return f"{subject(report)}\n\n{text}\n"


def subject(report: NightReport) -> str:
    """One line: which night, and how it went."""
    return f"Pressrun night {report.night}: {_outcome(report)}"


def _outcome(report: NightReport) -> str:
    summary, published = report.summary, report.published
    if report.exit_code == 2:
        return "refused, nothing was done"
    if summary is None:
        return "stopped, the same command goes on"
    ready = f"{summary.succeeded + summary.cached:,} of {several(summary.rows, 'picture')} ready"
    if report.exit_code == 3:
        return f"stopped, {ready}"
    moved = published.added + published.replaced + published.removed if published else 0
    sent = f", {moved:,} published" if published and moved else ", nothing new to publish" if published else ""
    without = summary.failed + summary.rejected
    if without:
        return f"{several(without, 'row')} without a picture, {ready}{sent}"
    return f"{'partly done' if report.exit_code else 'done'}, {ready}{sent}"


def _about(report: NightReport, local: Callable[[datetime], datetime]) -> list[str]:
    started, ended = local(report.started), local(report.ended)
    same_day = started.date() == ended.date()
    until = f"{ended:%H:%M}" if same_day else f"{ended:%Y-%m-%d %H:%M}"
    took = duration((report.ended - report.started).total_seconds())
    lines = [_line("Job", report.job), _line("When", f"{started:%Y-%m-%d %H:%M} to {until} {ended:%Z}, {took}")]
    return [*lines, _line("Ended", f"{report.state} (exit code {report.exit_code})")]


def _figures(report: NightReport, named: Callable[[str], str]) -> Iterator[str]:
    summary, published, changed, pruned = report.summary, report.published, report.difference, report.pruned
    if summary:
        names = ("succeeded", "cached", "failed", "rejected", "pending", "flagged")
        counts = ", ".join(f"{getattr(summary, name):,} {name}" for name in names if getattr(summary, name))
        yield _line("Rows", f"{summary.rows:,}: {counts or 'none'}")
        if summary.seconds:  # of a run that was lost that is not known
            speed = f" ({summary.images_per_second:.2f} images/s)" if summary.rendered else ""
            yield _line("Rendered", f"{several(summary.rendered, 'picture')} in {duration(summary.seconds)}{speed}")
    if published:
        words = ("added", "replaced", "removed", "unchanged")
        yield _line("Published", ", ".join(f"{getattr(published, word):,} {word}" for word in words))
        yield _line("", f"to {published.place}")
        if published.not_ready:
            yield _line("", f"{several(published.not_ready, 'row')} had nothing to publish; what was there stays")
        if published.undo:
            yield _line("", named(f"undo: pressrun publish `undo` {published.undo}"))
    if changed:
        counts = ", ".join(f"{getattr(changed, word):,} {word}" for word in ("changed", "added", "removed"))
        why = ", ".join(f"{count:,} {name}" for name, count in changed.reasons.items())
        yield _line("Changed", f"since {changed.before.rpartition('/')[2]}: {counts}{f' ({why})' if why else ''}")
        yield _line("", report.page)
    if pruned:
        went = f"{several(len(pruned.pruned), 'night')} ({first_of(pruned.pruned)})" if pruned.pruned else "nothing"
        yield _line("Pruned", f"{went}; {several(len(pruned.kept), 'night')} kept")


def _causes(report: NightReport, named: Callable[[str], str]) -> Iterator[str]:
    summary = report.summary
    if summary is None or not summary.causes:
        return
    yield "Rows without a picture:"
    for cause in summary.causes:
        example = shortened(cause.example, _SENTENCE)
        yield f"  - {cause.rows:,} x {cause.code}, such as {first_of(cause.custom_ids)}: {example}"
    if summary.failed:
        yield named(f"The failed rows as a manifest: pressrun failures {report.job} `out` again.parquet")
    if not summary.stopped:
        yield f"All pictures: {report.job}/{SHEET}"


def _line(title: str, text: str) -> str:
    return f"{title:<12}{text}".rstrip()
