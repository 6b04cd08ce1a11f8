"""What listings of a folder leave out: above all names that are no UTF-8, which no bucket and no table can hold.

Old network drives and ZIP programs leave them. Nothing of ours is called so: they are somebody else's, and stay.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from pressrun.cluster.store.uri import escaped, is_utf8


def unlisted(uri: str, folder: str = "") -> list[str]:
    """Paths below a folder of the store at `uri` that its listings leave out, as they can be shown; sorted. What is in
    a folder of such a name is not looked at. A bucket has none."""
    if uri.startswith("s3://"):
        return []
    found = []
    for place, folders, files in os.walk(Path(uri, folder)):
        strange = [name for name in (*folders, *files) if not is_utf8(name)]
        folders[:] = [name for name in folders if is_utf8(name)]
        found += [escaped(os.path.relpath(f"{place}/{name}", uri)) for name in strange]
    return sorted(found)


def listed(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What stands in a folder, without names that are no UTF-8, and without what a file system keeps
    in its root for root alone."""
    try:
        with os.scandir(folder) as found:
            yield from (child for child in found if is_utf8(child.name))
    except PermissionError:
        if folder.name != "lost+found":
            raise


def leads_back(child: os.DirEntry[str]) -> bool:
    """Whether a name is a link to a folder that it stands in itself: to follow it would have no end."""
    if not child.is_symlink():
        return False
    there, here = os.path.realpath(child.path), os.path.realpath(Path(child.path).parent)
    return f"{here}/".startswith(f"{there.rstrip('/')}/")
