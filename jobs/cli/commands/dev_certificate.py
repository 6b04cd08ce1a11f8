"""`pressrun dev-certificate`: a chain of certificates to try signing out with."""

import argparse
import os
from pathlib import Path
from typing import Any

from pressrun.cluster.protocol.signing import CERTIFICATE, KEY
from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import say
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.finishing.development_certificate import NAME, make_development_chain


def add(commands: Any) -> None:
    """The options of `pressrun dev-certificate`."""
    command = add_command(commands, "dev-certificate", "a certificate for trying out --sign", _dev_certificate)
    command.add_argument("folder", metavar="DIR", help="where chain.pem and key.pem are written")


def _dev_certificate(options: argparse.Namespace) -> int:
    folder = Path(options.folder).absolute()
    chain, key = folder / "chain.pem", folder / "key.pem"
    made = make_development_chain()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, data in ((key, made.key), (chain, made.chain)):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
    except OSError as error:
        raise JobError(
            f"{error.filename} cannot be written ({error.strerror}); choose another folder.", code="bad_place"
        ) from None
    if options.json:
        say({"certificate": str(chain), "key": str(key), "name": NAME}, True)
    else:
        say(f"A certificate for development, under the name “{NAME}”. To sign with it:", False)
        say(f"  export {CERTIFICATE}={chain} {KEY}={key}", False)
    return 0
