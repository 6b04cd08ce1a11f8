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
    say(found.to_dict() if options.json else "\n".join([*_words(found), *_signature_words(found)]), options.json)
    return 1 if found.signature and found.signature.state == "invalid" else 0


def _words(found: Inspection) -> Iterator[str]:
    yield f"{found.file}: {found.format}, {found.width} × {found.height}, {found.bytes:,} bytes"
    yield f"  {'sha256':<32}{found.sha256}"
    for name, value in found.says.items():
        yield f"  {name:<32}{shortened(value if isinstance(value, str) else ' | '.join(value), 300)}"
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
        yield f"  {'claims to be':<32}{signature.digital_source_type.rpartition('/')[2]}"
        for source in signature.sources:
            yield f"  {'made from':<32}{source}"
