"""`pressrun verify`: the audit of a job."""

import argparse
from typing import Any

from cluster.store import open_store
from jobs.commands.parsing import add_command
from jobs.commands.words import say
from jobs.verify import verify


def add(commands: Any) -> None:
    """The options of `pressrun verify`."""
    help = "audit: every row accounted for, every digest right, no picture too many"
    command = add_command(commands, "verify", help, _verify)
    command.add_argument("uri", metavar="URI", help="a job's --out")


def _verify(options: argparse.Namespace) -> int:
    audit = verify(open_store(options.uri))
    if options.json:
        say(audit.to_dict(), True)
    else:
        for wrong in audit.discrepancies:
            print(f"{wrong.kind}: {wrong.message}")
        verdict = f"{len(audit.discrepancies)} discrepancies" if audit.discrepancies else "all is as it should be"
        print(f"{audit.rows} rows, {audit.pictures} pictures: {verdict}.")
    return 1 if audit.discrepancies else 0
