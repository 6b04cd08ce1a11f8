"""`pressrun verify`: the audit of a job."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pressrun.jobs.audit.audited import Discrepancy
from pressrun.jobs.audit.verify import Audit, verify
from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import say
from pressrun.jobs.cli.flags import Flags

_SHOWN = 5  # discrepancies of a kind that are told one by one


def add(commands: Any) -> None:
    """The options of `pressrun verify`."""
    help = "audit: every row accounted for, every digest right, no picture too many"
    command = add_command(commands, "verify", help, _verify)
    command.add_argument("uri", metavar="URI", help="a job's --out")
    command.add_argument(
        "--signatures", action="store_true", help="of a job rendered with --sign: read every picture's signature too"
    )


def _verify(options: argparse.Namespace) -> int:
    audit = _flagged(verify(options.context.stores.open(options.uri), options.signatures), options.flags)
    if options.json:
        say(audit.to_dict(), True)
    else:
        for line in _grouped(audit.discrepancies):
            print(line)
        count = len(audit.discrepancies)
        verdict = f"{count:,} discrepanc{'y' if count == 1 else 'ies'}" if count else "all is as it should be"
        print(f"{audit.rows} rows, {audit.pictures} pictures: {verdict}.")
        for sentence in audit.unchecked:
            print(f"not checked: {sentence}")
    return 1 if audit.discrepancies else 0


def _flagged(audit: Audit, flags: Flags) -> Audit:
    discrepancies = tuple(flags.named_in(wrong, "message") for wrong in audit.discrepancies)
    return replace(flags.named_in(audit, "unchecked"), discrepancies=discrepancies)


def _grouped(discrepancies: Sequence[Discrepancy]) -> Iterator[str]:
    """The first few of each kind, in words, and how many more there are."""
    kinds: dict[str, list[Discrepancy]] = {}
    for wrong in discrepancies:
        kinds.setdefault(wrong.kind, []).append(wrong)
    for kind, cases in kinds.items():
        shown = cases if len(cases) <= _SHOWN + 1 else cases[:_SHOWN]
        yield from (f"{kind}: {wrong.message}" for wrong in shown)
        if len(cases) > len(shown):
            yield f"{kind}: … and {len(cases) - len(shown):,} more; --json lists all."
