"""What a person wants done when a run has ended: a command that is given the summary."""

import subprocess

from pressrun.jobs.results.summary import Summary

_STDERR = 2  # also where Python has no `sys.stderr`, because this program was started without one


def tell(command: str, summary: Summary) -> str:
    """Run a shell command with the summary as JSON on its standard input; a sentence if it failed, else "".

    What it prints goes to standard error, since standard output belongs to us.
    """
    try:
        ended = subprocess.run(command, shell=True, input=summary.to_json(), stdout=_STDERR, check=False)
    except OSError as error:
        return f"--on-finish {command} cannot be run: {error.strerror}."
    return f"--on-finish {command} ended with {ended.returncode}." if ended.returncode else ""
