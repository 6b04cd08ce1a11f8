"""What a person wants done when a run has ended: a command that is given the summary."""

import json
import subprocess
from dataclasses import asdict
from typing import Any

from pressrun.jobs.results.summary import Summary

_STDERR = 2  # also where Python has no `sys.stderr`, because this program was started without one


def tell(command: str, summary: Summary) -> str:
    """As `run_hook`, with a run's summary."""
    return run_hook(command, asdict(summary))


def run_hook(command: str, told: Any) -> str:
    """Run a shell command with what it is told on its standard input, as JSON; a sentence if it failed.

    What it prints goes to standard error, since standard output belongs to us.
    """
    try:
        given = (json.dumps(told, indent=2, ensure_ascii=False, default=str) + "\n").encode(errors="replace")
        ended = subprocess.run(command, shell=True, input=given, stdout=_STDERR, check=False)
    except OSError as error:
        return f"{command} cannot be run: {error.strerror}."
    return f"{command} ended with {ended.returncode}." if ended.returncode else ""
