"""`pressrun variants`: a campaign becomes a manifest."""

import argparse
from dataclasses import asdict
from typing import Any

from pressrun.jobs.campaign.campaign import read_campaign
from pressrun.jobs.campaign.named_pictures import check_addresses
from pressrun.jobs.campaign.preview import Preview, make_preview
from pressrun.jobs.campaign.variants import MAX_ROWS, Count, Variants
from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import say
from pressrun.jobs.finish.finish_file import read_finish
from pressrun.jobs.folder.named_file import write_named
from pressrun.jobs.manifest.writer import check_manifest_path, write_manifest
from pressrun.jobs.spec.job_spec import JobSpec
from pressrun.jobs.text.wording import first_of, several, shortened
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import find_model


def add(commands: Any) -> None:
    """The options of `pressrun variants`."""
    command = add_command(commands, "variants", "a campaign's combinations as a manifest that render takes", _variants)
    command.add_argument("campaign", metavar="SPEC", help="a campaign in TOML, a path or s3://…")
    command.add_argument("--out", metavar="FILE", help="the manifest, Parquet or JSONL, a path or s3://…")
    command.add_argument(
        "--max-rows", type=int, default=MAX_ROWS, metavar="N", help="refuse more combinations (default: %(default)s)"
    )
    command.add_argument("--dry-run", action="store_true", help="check everything, count, and write no manifest")
    command.add_argument(
        "--preview", metavar="FILE.html", help="write a page with prompts, texts, sizes and layout; renders nothing"
    )
    command.add_argument("--finish", metavar="SPEC.toml", help="with --preview: set the words as this spec does")
    command.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="AXIS=VALUE",
        help="with --preview: only these; repeatable: one of an axis's values, and every axis",
    )


def _variants(options: argparse.Namespace) -> int:
    _check(options)
    stores = options.context.stores
    variants = Variants(read_campaign(stores, options.campaign))
    count = variants.count(options.max_rows)
    if options.out:
        check_addresses(variants.pictures, options.out)
    missing = variants.pictures.missing(stores)
    if not options.json:
        say("\n".join([str(count), *variants.notes, *variants.pictures.told(missing)]), False)
    preview = _preview(variants, count, missing, options) if options.preview else None
    if options.out and not options.dry_run:
        write_manifest(stores, variants.schema, variants.tables(), options.out)
    if options.json:
        said = {**asdict(count), "notes": variants.notes, "missing": missing, "out": _written(options)}
        shown = {"preview": options.preview, "shown": preview.shown, "problems": preview.problems} if preview else {}
        say({**said, **shown}, True)
    elif _written(options):
        say(f"{count.rows:,} rows: {options.out}", False)
    wrong = missing or (preview and preview.problems)
    return 1 if wrong and not _written(options) else 0  # where rows are written, render fails the bad ones alone


def _check(options: argparse.Namespace) -> None:
    problems = []
    if options.out:
        check_manifest_path(options.out)
    elif not (options.dry_run or options.preview):
        problems.append("Give --out FILE, where the manifest is to be written, or --dry-run to only count.")
    if not options.preview and (options.finish or options.where):
        problems.append("--finish and --where are about the page of --preview; name that as well.")
    problems += [f"--where {shortened(each)} wants AXIS=VALUE." for each in options.where if "=" not in each]
    if problems:
        raise JobError(*problems, code="bad_option")


def _written(options: argparse.Namespace) -> str | None:
    return None if options.dry_run else options.out


def _preview(variants: Variants, count: Count, missing: list[str], options: argparse.Namespace) -> Preview:
    """The page, written and told."""
    stores = options.context.stores
    spec = JobSpec(manifest=options.campaign, out="", finish=options.finish)
    finishing = read_finish(stores, spec) if options.finish else None
    where: dict[str, tuple[str, ...]] = {}
    for name, value in (condition.split("=", 1) for condition in options.where):
        where[name] = (*where.get(name, ()), value)
    title = options.campaign.rstrip("/").rpartition("/")[2]
    preview = make_preview(variants, count, title, find_model(spec.model), finishing, where, tuple(missing))
    write_named(stores, options.preview, [preview.data], "text/html; charset=utf-8")
    if not options.json:
        for sentence, ids in preview.problems.items():
            say(f"  {several(len(ids), 'row')}, e.g. {first_of(ids, 3)}: {sentence}", False)
        say(f"{preview}: {options.preview}", False)
    return preview
