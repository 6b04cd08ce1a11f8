"""The command line. It parses, runs one of `jobs.cli.commands`, and turns errors into sentences and exit codes.

Exit codes: 0 all rows succeeded or cached, 1 some failed or were rejected (`verify`: discrepancies), 2 refused,
3 stopped and resumable.
"""

import argparse
import os
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
from pressrun.jobs.cli.terminal import begin_in_utf8, check_arguments, show_everything
from pressrun.jobs.folder.job_file import product_version
from pressrun.jobs.spec.context import Context
from pressrun.pipeline.errors import ClusterError, JobError, PressrunError, StorageError

COMMANDS = (
    *(variants, render, status, failures, verify, sheet, decide, bundle),
    *(diff, publish, prune, inspect, models, doctor, dev_certificate),
)
"""In the order in which help lists them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    if arguments is None:
        begin_in_utf8()
    open_streams()
    show_everything()
    top = parser()
    options, flags = top.parse_args(arguments), Flags(top)
    code = 3 if options.resumable else 0  # where the reader of our output ends it
    try:
        check_arguments(sys.argv[1:] if arguments is None else arguments)
        options.context, options.flags = Context.of_this_process(), flags
        with terminable():
            code = int(options.run(options))
        print(end="", flush=True)
        return code
    except JobError as error:
        return _refused([flags.named(problem) for problem in error.problems], error.codes, options.json)
    except (StorageError, ClusterError) as error:
        sentence = flags.named(str(error))
        if isinstance(error, Refusal):
            return _refused([sentence], [error.code], options.json)
        return _stopped(sentence, options.json)
    except PressrunError as error:
        return _refused([flags.named(str(error))], [error.code], options.json)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return code
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on.", file=sys.stderr)
        return 3


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
