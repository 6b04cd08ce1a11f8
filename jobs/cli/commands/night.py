"""`pressrun night`: a night from its manifest to what a shop serves, as a file says."""

import argparse
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pressrun.cluster.runtime.ray_runtime import joined
from pressrun.cluster.runtime.supervisor import guarded
from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import change_words, say
from pressrun.jobs.cli.flags import FlaggedProgress, Flags
from pressrun.jobs.night.night import run_night
from pressrun.jobs.night.night_file import NightFile, read_night_file
from pressrun.jobs.night.plan import NightPlan, plan_night
from pressrun.jobs.night.report_text import report_text
from pressrun.jobs.night.words import in_file
from pressrun.jobs.spec.progress import Terse, duration, progress_for
from pressrun.jobs.tables.row_errors import described
from pressrun.jobs.text.wording import first_of, several
from pressrun.pipeline.errors import ClusterError


def add(commands: Any) -> None:
    """The options of `pressrun night`."""
    command = add_command(
        commands, "night", "render, publish, compare, prune and tell, as a file says; or go on", _night, resumable=True
    )
    command.add_argument("file", metavar="NIGHT.toml", help="what is done every night (docs/nights.md), or s3://…")
    command.add_argument("--night", metavar="NAME", help="tonight's name (default: the date when it starts)")
    command.add_argument("--quiet", action="store_true", help="say nothing while it goes on, as cron wants it")
    command.add_argument("--dry-run", action="store_true", help="say what each phase would do, and do nothing")


def _night(options: argparse.Namespace) -> int:
    started = datetime.now(UTC)
    if options.dry_run:
        return _planned(options, started)
    cluster = joined()
    if not cluster:
        return _run(options, started)
    try:
        return guarded(lambda: _run(options, started), cluster)
    except ClusterError as error:  # what is ready is published, and everybody told, by this process
        return _run(options, started, str(error))


def _run(options: argparse.Namespace, started: datetime, lost: str = "") -> int:
    file = read_night_file(options.context.stores, options.file)
    named = _words(options.flags)
    quiet = options.json or options.quiet
    events = FlaggedProgress(Terse(sys.stderr) if quiet else progress_for(sys.stderr), options.flags)
    report = run_night(
        file, options.context, name=options.night, started=started, events=events, lost=lost, named=named
    )
    say(report.to_dict() if options.json else report_text(report, file.local, named).rstrip(), options.json)
    return report.exit_code


def _words(flags: Flags) -> Any:
    return lambda sentence: flags.named(in_file(sentence))


def _planned(options: argparse.Namespace, started: datetime) -> int:
    file = read_night_file(options.context.stores, options.file)
    plan = plan_night(file, options.context, name=options.night, started=started)
    named = _words(options.flags)
    if options.json:
        say(asdict(plan) | {"notes": [*map(named, plan.notes)]}, True)
    else:
        say("\n".join([*_plan_words(plan, file), *map(named, plan.notes)]), False)
    render = plan.render
    return 0 if not render.bad else 1 if render.done or render.pending else 2


def _plan_words(plan: NightPlan, file: NightFile) -> list[str]:
    render, rule = plan.render, file.publication
    lines = [f"Tonight is {plan.job}{', which goes on' if plan.goes_on else ''}. Nothing is done yet."]
    if file.before:
        lines.append(f"Before:   {file.before} would be run; what follows is of the manifest as it is now.")
    counts = f"{render.done} done already ({render.cached} cached), {render.bad} bad, {render.pending} to render"
    known = f", {duration(render.seconds)} ({render.based_on})" if render.pending and render.seconds is not None else ""
    lines.append(f"Render:   {render.rows} rows: {counts}{known}.")
    lines += [f"          {line}" for line in change_words(render.changes)]
    if rule:
        how = {"ready": "what is ready", "finished": "a finished night", "complete": "a night without a gap"}[rule.when]
        lines.append(f"Publish:  {how}{', if approved,' if rule.approved else ''} to {rule.to}.")
        if rule.remove:
            most = rule.max_removed
            lines.append(f"          What the manifest has no more is withdrawn by a finished night, {most} at most.")
    if plan.published:
        done = plan.published
        counts = f"{done.added} added, {done.replaced} replaced, {done.removed} removed, {done.unchanged} unchanged"
        lines.append(f"          Of what is ready by now: {counts}.")
    if file.diff_page:
        lines.append(f"Diff:     {f'against {plan.before}' if plan.before else 'none, for no night is before it'}.")
    if file.keep is not None:
        names = plan.pruned.pruned if plan.pruned else ()
        went = f"{several(len(names), 'night')} would go ({first_of(names)})" if names else "no night would go"
        lines.append(f"Prune:    {went}; {file.keep} finished ones are kept.")
    if tell := [each for each in (file.report, file.metrics, file.public, file.on_finish, file.webhook) if each]:
        lines.append(f"Tell:     {', '.join(each if isinstance(each, str) else 'a webhook' for each in tell)}.")
    return [*lines, *render.notes, *described(render.problems, render.rows)]
