"""`pressrun sheet`: a job's pictures as a matrix, and the rows that were picked in it as a manifest."""

import argparse
from typing import Any

from pressrun.cluster.store.store import Store
from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import say
from pressrun.jobs.folder.job_file import MATRIX, find_job
from pressrun.jobs.folder.named_file import write_named
from pressrun.jobs.manifest.writer import check_manifest_path, write_manifest
from pressrun.jobs.reports.matrix import Matrix, write_matrix
from pressrun.jobs.reports.selection import picked_rows, read_picks
from pressrun.jobs.text.wording import shortened
from pressrun.pipeline.errors import JobError


def add(commands: Any) -> None:
    """The options of `pressrun sheet`."""
    command = add_command(
        commands, "sheet", "the pictures as a matrix of two columns; picked rows as a manifest", _sheet
    )
    command.add_argument("uri", metavar="URI", help="a job's --out")
    command.add_argument("--rows", dest="down", metavar="COLUMN[,…]", help="what runs down the page")
    command.add_argument("--columns", dest="across", metavar="COLUMN[,…]", help="what runs across it")
    command.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="only rows with that value; repeatable: one of a column's values, and every column",
    )
    command.add_argument("--undecided", action="store_true", help="only pictures that nobody has decided on yet")
    command.add_argument("--rendition", default="", metavar="NAME", help="show this rendition of every picture")
    command.add_argument("--pick", metavar="IDS", help="custom_ids a,b,c or @file: write these rows as a manifest")
    command.add_argument("--reseed", action="store_true", help="with --pick: give these rows new seeds")
    command.add_argument(
        "--out", metavar="FILE", help=f"the page (default: {MATRIX} in the job's place), or the manifest"
    )


def _sheet(options: argparse.Namespace) -> int:
    store = options.context.stores.open(options.uri)
    problems = _odd_options(options)
    if problems:
        find_job(store)  # where there is none, that is what to mend first
        raise JobError(*problems, code="bad_option")
    if options.pick is not None:
        return _pick(store, options)
    where: dict[str, tuple[str, ...]] = {}
    for name, value in (condition.split("=", 1) for condition in options.where):
        where[name] = (*where.get(name, ()), value)
    down, across = (tuple(names.split(",")) for names in (options.down, options.across))
    matrix = Matrix(down, across, where, options.rendition, options.undecided)
    data, pictures = write_matrix(store, matrix)
    out = options.out or f"{store.uri}/{MATRIX}"
    write_named(options.context.stores, out, [data], "text/html; charset=utf-8")
    say({"pictures": pictures, "out": out} if options.json else f"{pictures} pictures: {out}", options.json)
    return 0


def _pick(store: Store, options: argparse.Namespace) -> int:
    check_manifest_path(options.out)
    table = picked_rows(store, read_picks(options.context.stores, options.pick), options.reseed)
    write_manifest(options.context.stores, table.schema, [table], options.out)
    said = {"rows": table.num_rows, "reseeded": options.reseed, "out": options.out}
    seeds = " with new seeds" if options.reseed else ""
    say(said if options.json else f"{table.num_rows} rows{seeds}: {options.out}", options.json)
    return 0


def _odd_options(options: argparse.Namespace) -> list[str]:
    if options.pick is not None:
        problems = [] if options.out else ["--pick wants --out FILE, where the manifest is to be written."]
        if options.down or options.across or options.where or options.rendition or options.undecided:
            of_a_page = "--rows, --columns, --where, --rendition and --undecided"
            problems.append(f"--pick makes a manifest, not a page: leave out {of_a_page}.")
        return problems
    problems = []
    if not (options.down and options.across):
        problems.append("A matrix wants --rows and --columns, such as --rows product --columns region.")
    if options.reseed:
        problems.append("--reseed gives picked rows new seeds; name them with --pick.")
    problems += [f"--where {shortened(each)} wants COLUMN=VALUE." for each in options.where if "=" not in each]
    return problems
