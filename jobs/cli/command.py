"""The command line. It parses, runs one of `jobs.cli.commands`, and turns errors into sentences and exit codes.

Exit codes: 0 all rows succeeded or cached, 1 some failed or were rejected (`verify`: discrepancies), 2 refused,
3 stopped and resumable, or what was asked for cannot be printed.
"""

import argparse
import sys
from collections.abc import Sequence

from pressrun.cluster.runtime.ray_runtime import open_streams, terminable
from pressrun.cluster.store.store import Refusal
from pressrun.jobs.cli.commands import (
    bundle,
    decide,
    dev_certificate,
    diff,
    doctor,
    failures,
    inspect,
    models,
    new,
    night,
    prune,
    publish,
    render,
    sheet,
    status,
    variants,
    verify,
)
from pressrun.jobs.cli.commands.parsing import epilog
from pressrun.jobs.cli.commands.words import say
from pressrun.jobs.cli.flags import Flags
from pressrun.jobs.cli.terminal import NotPrinted, begin_in_utf8, check_arguments, lasting_streams, show_everything
from pressrun.jobs.folder.job_file import product_version
from pressrun.jobs.spec.context import Context
from pressrun.pipeline.errors import ClusterError, JobError, PressrunError, StorageError

COMMANDS = (
    *(new, variants, render, status, failures, verify, sheet, decide, bundle),
    *(diff, publish, prune, night, inspect, models, doctor, dev_certificate),
)
"""In the order in which help lists them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    if arguments is None:
        begin_in_utf8()
    open_streams()
    show_everything()
    with lasting_streams() as out:
        top = parser()
        options, flags = top.parse_args(arguments), Flags(top)
        # Whoever has work done can do without the words for it.
        out.demanded = options.json or not options.resumable or getattr(options, "dry_run", False)
        try:
            check_arguments(sys.argv[1:] if arguments is None else arguments)
            options.context, options.flags = Context.of_this_process(), flags
            with terminable():
                code = int(options.run(options))
            print(end="", flush=True)
        except PressrunError as error:
            out.demanded = False
            return _ended(error, flags, options.json)
        except NotPrinted as error:
            if isinstance(error.cause, BrokenPipeError):  # the reader of our output has seen enough
                return 3 if options.resumable else 0
            return _unprinted(error.cause)
        except KeyboardInterrupt:
            print("Interrupted; the same command goes on.", file=sys.stderr)
            return 3
        if out.lost and not isinstance(out.lost, BrokenPipeError):
            _unprinted(out.lost)
        return code


def parser() -> argparse.ArgumentParser:
    """Every command with its options and help."""
    top = argparse.ArgumentParser(
        prog="pressrun",
        description="Render a manifest of prompts into finished pictures, on this machine or on a Ray cluster.",
        epilog=epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"pressrun {product_version()}")
    commands = top.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for command in COMMANDS:
        command.add(commands)
    return top


def _ended(error: PressrunError, flags: Flags, as_json: bool) -> int:
    """Tell why a command was refused, or stopped."""
    if isinstance(error, JobError):
        return _refused([flags.named(problem) for problem in error.problems], error.codes, as_json)
    sentence = flags.named(str(error))
    if isinstance(error, StorageError | ClusterError) and not isinstance(error, Refusal):
        return _stopped(sentence, as_json)
    return _refused([sentence], [error.code], as_json)


def _unprinted(cause: OSError) -> int:
    print(f"pressrun: What was to be printed cannot be written ({cause.strerror or cause}).", file=sys.stderr)
    return 3


def _refused(problems: Sequence[str], codes: Sequence[str], as_json: bool) -> int:
    if as_json:
        say({"refused": list(problems), "codes": list(codes)}, True)
    for problem in problems:
        print(f"pressrun: {problem}", file=sys.stderr)
    return 2


def _stopped(problem: str, as_json: bool) -> int:
    if as_json:
        say({"stopped": problem}, True)  # as a summary says it
    print(f"pressrun: {problem}", file=sys.stderr)
    return 3
