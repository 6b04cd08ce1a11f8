"""`pressrun inspect`: what a picture says about itself."""

import argparse
import re
from collections.abc import Iterator
from typing import Any

from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import say
from pressrun.jobs.reports.inspection import Inspection, inspect
from pressrun.jobs.text.wording import JOINER, shortened
from pressrun.pipeline.errors import JobError

_INVISIBLE = re.compile(f"({JOINER.pattern})|[\u200b-\u200f\u2060\ufeff]")
"""Signs that say where a text runs, or join nothing: a terminal shows the text without them. What does join others is
the group."""


def add(commands: Any) -> None:
    """The options of `pressrun inspect`."""
    command = add_command(commands, "inspect", "what a picture says about itself, and whether it verifies", _inspect)
    command.add_argument("files", metavar="FILE", nargs="+", help="a picture: a path or s3://bucket/key")


def _inspect(options: argparse.Namespace) -> int:
    """All files are looked at, whatever is wrong with some. `--json` prints a list if several were named."""
    found: list[Inspection] = []
    wrong: list[str] = []
    for file in options.files:
        try:
            found.append(inspect(options.context.stores, file))
        except JobError as error:
            wrong.extend(error.problems)
    if not options.json:
        for each in found:
            say("\n".join([*_words(each), *_signature_words(each)]), as_json=False)
    if wrong:
        raise JobError(*wrong, code="bad_file")
    if options.json:
        dicts = [each.to_dict() for each in found]
        say(dicts if len(dicts) > 1 else dicts[0], as_json=True)
    return 1 if any(each.signature and each.signature.state == "invalid" for each in found) else 0


def _words(found: Inspection) -> Iterator[str]:
    yield f"{found.file}: {found.format}, {found.width} × {found.height}, {found.bytes:,} bytes"
    yield _line("sha256", found.sha256)
    for name, value in found.says.items():
        text = value if isinstance(value, str) else " | ".join(value)
        yield _line(name, shortened(" ".join(_INVISIBLE.sub(r"\1", text).split()), 300))
    if not found.says:
        yield "  It says nothing about itself: no XMP."
    elif not found.ours:
        yield "  Pressrun did not write this: it has no record of ours."


def _signature_words(found: Inspection) -> Iterator[str]:
    signature = found.signature
    if found.signature_unread:
        yield '  Whether it is signed is not known: pip install "pressrun[sign]".'
    elif signature is None:
        yield "  It is not signed."
    elif signature.state == "invalid":
        why = ", ".join(signature.problems) or "no reason given"
        yield f"  SIGNATURE INVALID: it was changed after it was signed, or the signature is damaged ({why})."
    else:
        when = f" at {signature.signed_at}" if signature.signed_at else ""
        yield f"  Signed by {signature.signer} of {signature.issuer}{when}; unchanged since."
        if not signature.trusted:
            yield "  Nobody here vouches for the signer."
        yield _line("claims to be", signature.digital_source_type.rpartition("/")[2])
        for source in signature.sources:
            yield _line("made from", source)


def _line(name: str, value: str) -> str:
    return f"  {name:<34}{value}"  # the longest name, of the alternative text, has 33 letters
