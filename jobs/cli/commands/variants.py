"""`pressrun variants`: a campaign becomes a manifest."""

import argparse
from dataclasses import asdict
from typing import Any

from pressrun.jobs.campaign.campaign import read_campaign
from pressrun.jobs.campaign.variants import MAX_ROWS, Variants
from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import say
from pressrun.jobs.manifest.writer import check_manifest_path, write_manifest
from pressrun.pipeline.errors import JobError


def add(commands: Any) -> None:
    """The options of `pressrun variants`."""
    command = add_command(commands, "variants", "a campaign's combinations as a manifest that render takes", _variants)
    command.add_argument("campaign", metavar="SPEC", help="a campaign in TOML, a path or s3://…")
    command.add_argument("--out", metavar="FILE", help="the manifest, Parquet or JSONL, a path or s3://…")
    command.add_argument(
        "--max-rows", type=int, default=MAX_ROWS, metavar="N", help="refuse more combinations (default: %(default)s)"
    )
    command.add_argument("--dry-run", action="store_true", help="check everything, count, and write nothing")


def _variants(options: argparse.Namespace) -> int:
    if options.out:
        check_manifest_path(options.out)
    elif not options.dry_run:
        raise JobError(
            "Give --out FILE, where the manifest is to be written, or --dry-run to only count.", code="bad_option"
        )
    variants = Variants(read_campaign(options.context.stores, options.campaign))
    count = variants.count(options.max_rows)
    if not options.json:
        say(str(count), False)
    if not options.dry_run:
        write_manifest(options.context.stores, variants.schema, variants.tables(), options.out)
    if options.json:
        say({**asdict(count), "out": None if options.dry_run else options.out}, True)
    elif not options.dry_run:
        say(f"{count.rows:,} rows: {options.out}", False)
    return 0
