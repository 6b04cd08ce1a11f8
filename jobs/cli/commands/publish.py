"""`pressrun publish`: a job's pictures into the place that a shop serves, back, and out of it for good."""

import argparse
import sys
from dataclasses import asdict
from typing import Any

from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import say
from pressrun.jobs.delivery.publishing import Published, publish
from pressrun.jobs.delivery.undo import Undone, last_publication, undo
from pressrun.jobs.purge.purging import Purged, purge
from pressrun.jobs.text.wording import first_of, several
from pressrun.pipeline.errors import JobError

_LATEST = "latest"
_LEFT = "were changed by somebody else, or lie behind a link, and are left alone"


def add(commands: Any) -> None:
    """The options of `pressrun publish`."""
    command = add_command(
        commands,
        "publish",
        "put the pictures under their stable names, only what changed; undo that; or purge pictures for good",
        _publish,
        True,
    )
    command.add_argument("uri", metavar="URI", nargs="?", help="a job's --out; with --purge, also where nights stand")
    command.add_argument("--to", metavar="PLACE", help="a folder or s3://bucket/prefix")
    command.add_argument(
        "--remove", action="store_true", help="also remove what was published and is in the job no more"
    )
    command.add_argument("--approved", action="store_true", help="only pictures that are approved (pressrun decide)")
    command.add_argument(
        "--records", metavar="URI", help="where the place's records shall lie (default: beside the job, .published)"
    )
    command.add_argument(
        "--undo", metavar="FILE|latest", help="put a place back as it was before a publication, or the last one --to it"
    )
    command.add_argument(
        "--purge",
        nargs="+",
        metavar="NAME",
        help="remove pictures, by their names there, with their renditions from the place, its records and all nights",
    )
    command.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def _publish(options: argparse.Namespace) -> int:
    if options.undo:
        return _undo(options)
    if options.purge:
        return _purge(options)
    if not options.uri or not options.to:
        raise JobError("Say what is published where: pressrun publish JOB --to PLACE.", code="bad_option")
    done = publish(
        options.context.stores,
        options.uri,
        options.to,
        records=options.records,
        remove=options.remove,
        approved=options.approved,
        dry_run=options.dry_run,
    )
    done = options.flags.named_in(done, "warnings")
    for warning in done.warnings:
        print(f"pressrun: {warning}", file=sys.stderr)
    say(asdict(done) if options.json else _words(done), options.json)
    return 1 if done.missing or done.damaged or done.left else 0


def _undo(options: argparse.Namespace) -> int:
    stores, file = options.context.stores, options.undo
    others = ["uri", "remove", "approved", "dry_run", "purge", *([] if file == _LATEST else ["to", "records"])]
    if any(getattr(options, other) for other in others):
        raise JobError(
            "--undo FILE stands alone: the file says of which place and publication it is; --undo latest wants --to.",
            code="bad_option",
        )
    if file == _LATEST:
        if not options.to:
            raise JobError("Say where: pressrun publish --undo latest --to PLACE.", code="bad_option")
        file = last_publication(stores, options.to, options.records)
    undone = undo(stores, file)
    say(asdict(undone) if options.json else _undone_words(undone), options.json)
    return 1 if undone.left or undone.lost else 0


def _purge(options: argparse.Namespace) -> int:
    if not options.to or options.remove or options.approved:
        raise JobError(
            "Say where from, and leave out --remove and --approved: "
            "pressrun publish [NIGHTS] --to PLACE --purge NAME …",
            code="bad_option",
        )
    done = purge(
        options.context.stores, options.purge, options.to, options.uri, records=options.records, dry_run=options.dry_run
    )
    done = options.flags.named_in(done, "left", "busy", "refers", "unchecked")
    say(asdict(done) if options.json else _purged_words(done), options.json)
    return 1 if done.left or done.busy or done.unknown else 0


def _words(done: Published) -> str:
    counts = f"{done.added} added, {done.replaced} replaced, {done.removed} removed, {done.unchanged} unchanged"
    lines = [f"{done.place}: {counts}{' (nothing is done yet)' if done.dry_run else ''}."]
    if done.foreign:
        lines.append(f"{done.foreign} of the replaced were not known to be Pressrun's.")
    if done.superfluous:
        lines.append(f"{done.superfluous} are in the job no more and stay; --remove removes them.")
    if done.not_ready:
        lines.append(f"{done.not_ready} rows have no picture; what was published of them stays.")
    if done.missing:
        lines.append(f"{len(done.missing)} pictures of the job are gone: {first_of(done.missing)}; render it again.")
    if done.damaged:
        more = "have other bytes than were written and are not published"
        lines.append(f"{len(done.damaged)} pictures of the job {more}: {first_of(done.damaged)}; see pressrun verify.")
    if done.left:
        lines.append(f"{len(done.left)} {_LEFT}: {first_of(done.left)}.")
    if done.undo:
        lines.append(f"To undo it: pressrun publish --undo {done.undo}")
    return "\n".join(lines)


def _undone_words(undone: Undone) -> str:
    lines = [f"{undone.place}: {undone.restored} put back, {undone.taken_away} taken away."]
    if undone.left:
        lines.append(f"{len(undone.left)} {_LEFT}: {first_of(undone.left)}.")
    if undone.lost:
        lines.append(f"{len(undone.lost)} are not in the records and stay as they are: {first_of(undone.lost)}.")
    return "\n".join(lines)


def _purged_words(done: Purged) -> str:
    nights = len({job for job, _ in done.rows})
    counts = f"{several(len(done.served), 'file')} removed, {len(done.undo_copies)} kept for undoing"
    yet = " (nothing is done yet)" if done.dry_run else ""
    lines = [f"{done.place}: {counts}, {len(done.files)} in nights; {several(nights, 'job')} changed{yet}."]
    if done.unknown:
        lines.append(f"Nothing is known of {first_of(done.unknown)}.")
    if done.busy:
        lines.append("Not purged yet; run the same command again when the night is done:")
        lines += [f"  {each}" for each in done.busy]
    if done.left:
        lines += ["Left:", *(f"  {each}" for each in done.left)]
    if done.refers:
        lines += ["What refers to it:", *(f"  {each}" for each in done.refers)]
    return "\n".join([*lines, done.unchecked])
