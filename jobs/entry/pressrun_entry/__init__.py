"""Where the command `pressrun` begins: installed beside our packages, under a name that nobody's project has.

A project's own `jobs`, which PYTHONPATH puts first, would be imported in place of ours. So the import path is set
right here, before anything else is imported, and only then our packages are asked for.
"""

import os
import sys

_BESIDE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120
_CHECKOUT = os.path.dirname(os.path.dirname(_BESIDE))  # noqa: PTH120


def main() -> int:
    """Run the command; its exit code."""
    given = sys.path[:]
    sys.path[:] = [_CHECKOUT if os.path.basename(_BESIDE) == "entry" else _BESIDE]  # noqa: PTH119
    from pipeline import import_path

    sys.path[:] = given
    import_path.keep_to_import_path()
    from jobs.command import main

    return main()
