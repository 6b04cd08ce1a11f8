"""`pressrun diff`: two jobs beside each other."""

import argparse
from typing import Any

from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import say
from pressrun.jobs.folder.named_file import write_named
from pressrun.jobs.reports.diff import Difference, diff, rows_of
from pressrun.jobs.reports.diff_sheet import write_diff_sheet
from pressrun.jobs.text.wording import shortened

_LISTED = 20


def add(commands: Any) -> None:
    """The options of `pressrun diff`."""
    command = add_command(commands, "diff", "what two jobs have that differs: added, changed, removed", _diff)
    command.add_argument("before", metavar="BEFORE", help="a job's --out")
    command.add_argument("after", metavar="AFTER", help="another job's --out")
    command.add_argument(
        "--sheet", metavar="FILE", help="write a page with before and after side by side (.html, s3:// too)"
    )


def _diff(options: argparse.Namespace) -> int:
    difference = diff(options.context.stores, options.before, options.after)
    if options.sheet:
        write_named(
            options.context.stores,
            options.sheet,
            [write_diff_sheet(difference, options.sheet)],
            "text/html; charset=utf-8",
        )
    say(difference.to_dict() if options.json else _words(difference, options.sheet), options.json)
    return 0


def _words(difference: Difference, sheet: str | None) -> str:
    names = ("added", "changed", "removed", "unchanged")
    counts = ", ".join(f"{getattr(difference, name):,} {name}" for name in names)
    why = ", ".join(f"{count:,} {name}" for name, count in difference.reasons.items())
    lines = [f"{difference.before} → {difference.after}: {counts}.", *([f"Changed: {why}."] if why else [])]
    for row in rows_of(difference, _LISTED):
        reasons = f"  ({', '.join(row['reasons'])})" if row["reasons"] else ""
        lines.append(f"  {row['change']:<8} {shortened(row['custom_id'])}{reasons}")
    more = difference.rows.num_rows - _LISTED
    lines += [f"  and {more:,} more"] if more > 0 else []
    lines += [f"Side by side: {sheet}"] if sheet else []
    return "\n".join(lines)
