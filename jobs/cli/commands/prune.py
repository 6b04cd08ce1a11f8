"""`pressrun prune`: old nights go, and what later ones refer to stays."""

import argparse
from dataclasses import asdict
from typing import Any

from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import say
from pressrun.jobs.delivery.retention import Pruned, prune
from pressrun.jobs.text.wording import first_of, several


def add(commands: Any) -> None:
    """The options of `pressrun prune`."""
    command = add_command(
        commands, "prune", "remove old nights, but not what later ones refer to", _prune, resumable=True
    )
    command.add_argument("uri", metavar="PREFIX", help="the place under which the dated jobs stand")
    command.add_argument("--keep", type=int, required=True, metavar="N", help="the last N finished nights stay")
    command.add_argument("--dry-run", action="store_true", help="say what would be removed, and do nothing")


def _prune(options: argparse.Namespace) -> int:
    done = prune(options.context.stores, options.uri, options.keep, dry_run=options.dry_run)
    say(asdict(done) if options.json else _words(done), options.json)
    return 0


def _words(done: Pruned) -> str:
    which = f" ({first_of(done.pruned)})" if done.pruned else ""
    yet = " (nothing is done yet)" if done.dry_run else ""
    lines = [f"{done.prefix}: {several(len(done.kept), 'night')} kept, {len(done.pruned)} pruned{which}{yet}."]
    if done.referred_to:
        lines.append(f"{done.referred_to} of their pictures stay: later nights refer to them.")
    if done.left:
        many = several(len(done.left), "file")
        lines.append(f"{many} in them are not Pressrun's, or lie behind a link, and stay: {first_of(done.left)}.")
    if done.linked:
        lines.append(f"{several(len(done.linked), 'night')} are links and were left alone: {first_of(done.linked)}.")
    if done.busy:
        lines.append(f"{several(len(done.busy), 'night')} are being rendered and stay: {first_of(done.busy)}.")
    return "\n".join(lines)
