"""Where the command `pressrun` begins: installed beside our package, under a name that nobody's project has.

A project's own `pressrun` or `numpy`, which PYTHONPATH puts first, would be imported in place of ours or of what is
installed. So the import path is set right here, before anything else is imported.
"""

import os
import sys

_BESIDE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120


def main() -> int:
    """Run the command; its exit code."""
    given = sys.path[:]
    checkout = os.path.dirname(os.path.dirname(_BESIDE))  # noqa: PTH120
    root = checkout if os.path.basename(_BESIDE) == "entry" else os.path.join(_BESIDE, "pressrun")  # noqa: PTH118, PTH119
    sys.path[:] = [os.path.join(root, "pipeline")]  # noqa: PTH118
    import import_path

    sys.path[:] = given
    import_path.keep_to_import_path()
    from pressrun.jobs.cli.command import main

    return main()
