"""`pressrun bundle`: a job's pictures as one zip for each value of a column."""

import argparse
from dataclasses import asdict
from typing import Any

from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import say
from pressrun.jobs.delivery.bundle import Bundles
from pressrun.jobs.text.wording import several, shortened


def add(commands: Any) -> None:
    """The options of `pressrun bundle`."""
    command = add_command(commands, "bundle", "the pictures as one zip for each value of a column", _bundle)
    command.add_argument("uri", metavar="URI", help="a job's --out")
    command.add_argument("--by", required=True, metavar="COLUMN", help="the manifest's column that tells zips apart")
    command.add_argument("--name", metavar="TEMPLATE", help="names in the zip, over columns (default: as in the job)")
    command.add_argument("--rendition", default="", metavar="NAME", help="take this rendition of every picture")
    command.add_argument("--approved", action="store_true", help="only pictures that are approved (pressrun decide)")
    command.add_argument("--out", metavar="URI", help="a folder or s3:// prefix (default: bundles/ in the job's own)")


def _bundle(options: argparse.Namespace) -> int:
    store = options.context.stores.open(options.uri)
    bundles = Bundles(store, options.by, options.name, options.rendition, options.approved)
    written = []
    for bundle in bundles.write(options.out):
        written.append(bundle)
        if not options.json:
            say(f"{bundle.pictures:>6} pictures {bundle.bytes / 1e6:>9.1f} MB  {bundle.path}", False)
    outdated = bundles.outdated(options.out)
    if options.json:
        counts = {"left_out": bundles.left_out, "unapproved": bundles.unapproved, "outdated": outdated}
        say({"bundles": [asdict(bundle) for bundle in written], **counts}, True)
        return 1 if bundles.left_out else 0
    if bundles.unapproved:
        say(f"{several(bundles.unapproved, 'picture')} not approved, and in none of them.", False)
    for path in outdated:
        say(f"{path} is from before, and has no picture left that could be in it: remove it.", False)
    if bundles.left_out:
        say(f"{bundles.left_out} rows have no picture, or no {shortened(options.by)}, and are in none of them.", False)
    return 1 if bundles.left_out else 0
