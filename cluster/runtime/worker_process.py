"""A worker's process on a joined cluster, before anything else is done in it.

Ray puts the packages that came from the driver in front, and they are imported here, before `sys.path` changes. From
then on the process imports what is installed on its node, and nothing from the folder in which Ray was started there.
"""

from pressrun.pipeline.import_path import keep_to_import_path


def prepare() -> None:
    """What Ray calls first in each of our workers."""
    keep_to_import_path()
