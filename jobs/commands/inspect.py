"""`pressrun inspect`: what a picture says about itself."""

import argparse
from collections.abc import Iterator
from typing import Any

from jobs.commands.parsing import add_command
from jobs.commands.words import say
from jobs.inspection import Inspection, inspect
from jobs.wording import shortened


def add(commands: Any) -> None:
    """The options of `pressrun inspect`."""
    command = add_command(commands, "inspect", "what a picture says about itself, and whether it verifies", _inspect)
    command.add_argument("file", metavar="FILE", help="a picture: a path or s3://bucket/key")


def _inspect(options: argparse.Namespace) -> int:
    found = inspect(options.file)
    say(found.to_dict() if options.json else "\n".join(_words(found)), options.json)
    return 0


def _words(found: Inspection) -> Iterator[str]:
    yield f"{found.file}: {found.format}, {found.width} × {found.height}, {found.bytes:,} bytes"
    yield f"  {'sha256':<32}{found.sha256}"
    for name, value in found.says.items():
        yield f"  {name:<32}{shortened(value if isinstance(value, str) else ' | '.join(value), 300)}"
    if not found.says:
        yield "  It says nothing about itself: no XMP."
    elif not found.ours:
        yield "  Pressrun did not write this: it has no record of ours."
