"""`pressrun failures`: the rows that failed, as a manifest that render takes."""

import argparse
from typing import Any

from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import say
from pressrun.jobs.manifest.writer import check_manifest_path, rows_of, write_manifest
from pressrun.jobs.results.failures import failed_rows
from pressrun.jobs.text.public_text import public_table
from pressrun.jobs.text.wording import shortened


def add(commands: Any) -> None:
    """The options of `pressrun failures`."""
    command = add_command(commands, "failures", "the failed rows as a manifest that render takes", _failures)
    command.add_argument("uri", metavar="URI", help="a job's --out")
    command.add_argument(
        "--out", metavar="FILE", help="write them to this Parquet or JSONL file instead of listing them"
    )


def _failures(options: argparse.Namespace) -> int:
    if options.out:
        check_manifest_path(options.out)
    table = failed_rows(options.context.stores.open(options.uri))
    if options.out:
        write_manifest(options.context.stores, table.schema, [table], options.out)
        say(
            {"rows": table.num_rows, "out": options.out} if options.json else f"{table.num_rows} rows: {options.out}",
            options.json,
        )
    elif options.json:
        say(list(rows_of(public_table(table))), True)
    else:
        for row in rows_of(table.select(["custom_id", "prompt"])):
            print(f"{shortened(row['custom_id'])}\t{shortened(row['prompt'] or '')}")
    return 0
