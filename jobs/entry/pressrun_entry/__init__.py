"""Where the command `pressrun` begins: installed beside our package, under a name that nobody's project has.

A project's own `pressrun` or `numpy`, which PYTHONPATH puts first, would be imported in place of ours or of what is
installed. So the import path is set right here, before anything else is imported.
"""

import atexit
import os
import sys

_BESIDE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120


def main() -> int:
    """Run the command; its exit code."""
    ended = [1]
    atexit.register(_end, ended)  # first, so that it comes after whatever else is done at the end
    try:
        ended[0] = _main()
    except SystemExit as error:
        ended[0] = error.code if isinstance(error.code, int) else int(error.code is not None)
        raise
    return ended[0]


def _end(ended: list[int]) -> None:
    """End the process here. Libraries in C++ would be taken down after this, and one whose thread is still at work then
    aborts a command that has done all that it was asked for (seen with Arrow's, once in a thousand times)."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # nobody reads it, or there is none
            pass
    os._exit(ended[0])


def _main() -> int:
    given = sys.path[:]
    checkout = os.path.dirname(os.path.dirname(_BESIDE))  # noqa: PTH120
    root = checkout if os.path.basename(_BESIDE) == "entry" else os.path.join(_BESIDE, "pressrun")  # noqa: PTH118, PTH119
    sys.path[:] = [os.path.join(root, "pipeline")]  # noqa: PTH118
    import import_path

    sys.path[:] = given
    import_path.keep_to_import_path()
    from pressrun.jobs.cli.command import main

    return main()
