"""`pressrun decide`: what people say of a job's pictures, kept in the job."""

import argparse
import getpass
from dataclasses import asdict
from typing import Any

from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import say
from pressrun.jobs.decisions.deciding import Decided, decide
from pressrun.jobs.decisions.decision import APPROVED, REJECTED, UNDECIDED
from pressrun.jobs.decisions.marks import Mark, read_marks
from pressrun.jobs.folder.job_file import find_job
from pressrun.jobs.reports.selection import read_picks
from pressrun.jobs.text.wording import first_of, several
from pressrun.pipeline.errors import JobError

_VERDICTS = {"approve": APPROVED, "reject": REJECTED, "again": REJECTED, "undecide": UNDECIDED}


def add(commands: Any) -> None:
    """The options of `pressrun decide`."""
    command = add_command(
        commands, "decide", "approve or reject pictures, comment on them, have them rendered again", _decide
    )
    command.add_argument("uri", metavar="URI", help="a job's --out")
    command.add_argument("marks", nargs="*", metavar="MARKS", help="files that a matrix or contact sheet downloaded")
    ids = "custom_ids a,b,c or @file"
    command.add_argument("--approve", action="append", default=[], metavar="IDS", help=f"approve these: {ids}")
    command.add_argument("--reject", action="append", default=[], metavar="IDS", help="reject these")
    command.add_argument(
        "--again",
        action="append",
        default=[],
        metavar="IDS",
        help="reject these, and have the next run of the job render them again with the next seed, or with --words",
    )
    command.add_argument("--undecide", action="append", default=[], metavar="IDS", help="take back what was decided")
    command.add_argument("--words", metavar="PROMPT", help="with --again: the prompt of the rows from now on")
    command.add_argument("--comment", metavar="TEXT", help="say this of the pictures that are named")
    command.add_argument("--by", metavar="NAME", help="who decides (default: this system's user)")


def _decide(options: argparse.Namespace) -> int:
    store = options.context.stores.open(options.uri)
    job, stores = find_job(store), options.context.stores
    if options.words is not None and not options.again:
        raise JobError("--words are those of rows that are rendered again: name them with --again.", code="bad_option")
    marks = [mark for path in options.marks for mark in read_marks(stores, path, str(job["fingerprint"]))]
    for what, verdict in _VERDICTS.items():
        for asked in getattr(options, what):
            prompt = options.words if what == "again" else None
            picks = read_picks(stores, asked, what)
            marks += [Mark(one, None, verdict, options.comment, what == "again", prompt) for one in picks]
    if not marks:
        raise JobError("Nothing is decided: give a file of marks, or --approve, --reject, --again …", code="bad_option")
    done = decide(store, marks, _name() if options.by is None else options.by)
    say(asdict(done) if options.json else _words(done), options.json)
    return 1 if done.stale else 0


def _name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without a name
        return ""


def _words(done: Decided) -> str:
    counts = ("approved", "rejected", "undecided", "commented", "unchanged")
    said = ", ".join(f"{getattr(done, name)} {name}" for name in counts if getattr(done, name))
    lines = [f"{done.out}: {said or 'nothing decided'}."]
    if done.again:
        lines.append(f"{several(done.again, 'row')} to be rendered again: the job's own render command does that.")
    if done.stale:
        lines.append(f"{several(len(done.stale), 'mark')} left out, of pictures that changed: {first_of(done.stale)}.")
    return "\n".join(lines)
