"""`pressrun new`: a commented example to begin with, that runs as it stands."""

import argparse
import shlex
from typing import Any

from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import say
from pressrun.jobs.starters.starter import STARTERS, write_starter

COMMANDS = {
    "campaign": (
        "pressrun variants {dir}/campaign.toml --preview {dir}/preview.html --finish {dir}/style.toml",
        "pressrun variants {dir}/campaign.toml --out {dir}/campaign.parquet",
        "pressrun render {dir}/campaign.parquet --out {dir}/out --finish {dir}/style.toml --limit 4",
        "pressrun sheet {dir}/out --rows product,season --columns region",
    ),
    "night": ("pressrun night {dir}/night.toml --dry-run", "pressrun night {dir}/night.toml"),
    "finish": (
        "pressrun render {dir}/try.csv --out {dir}/out --finish {dir}/finish.toml --dry-run",
        "pressrun render {dir}/try.csv --out {dir}/out --finish {dir}/finish.toml",
    ),
    "dam": (
        "pressrun render {dir}/manifest.csv --out {dir}/out --finish {dir}/finish.toml"
        ' --name "{{asset_id}}-{{custom_id}}"',
        "pressrun inspect {dir}/out/images/*.webp",
        "pressrun publish {dir}/out --to {dir}/inbox --dry-run",
    ),
}
"""What runs an example as it stands, in this order."""


def add(commands: Any) -> None:
    """The options of `pressrun new`."""
    command = add_command(commands, "new", "a commented example to begin with, that runs as it stands", _new)
    command.add_argument(
        "what",
        choices=tuple(STARTERS),
        help="campaign: what varies, as one file; night: every night in one command; finish: renditions and checks; "
        "dam: out of an asset manager and back",
    )
    command.add_argument("dir", metavar="DIR", help="a folder, made if it is not there; files in it stay as they are")


def _new(options: argparse.Namespace) -> int:
    files = write_starter(options.what, options.dir)
    folder = shlex.quote(options.dir.rstrip("/") or "/")
    commands = [command.format(dir=folder) for command in COMMANDS[options.what]]
    if options.json:
        say({"folder": options.dir, "files": files, "commands": commands}, True)
        return 0
    say(f"{options.dir}: {', '.join(files)}. Next:\n" + "\n".join(f"  {command}" for command in commands), False)
    return 0
