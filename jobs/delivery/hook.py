"""What a person wants done when a run has ended: a command that is given the summary."""

import json
import subprocess
from dataclasses import asdict

from pressrun.jobs.results.summary import Summary

_STDERR = 2  # also where Python has no `sys.stderr`, because this program was started without one


def tell(command: str, summary: Summary) -> str:
    """Run a shell command with the summary on its standard input, as JSON; a sentence if it failed.

    What it prints goes to standard error, since standard output belongs to us.
    """
    try:
        told = (json.dumps(asdict(summary), indent=2, ensure_ascii=False) + "\n").encode()
        ended = subprocess.run(command, shell=True, input=told, stdout=_STDERR, check=False)
    except OSError as error:
        return f"{command} cannot be run: {error.strerror}."
    return f"{command} ended with {ended.returncode}." if ended.returncode else ""
