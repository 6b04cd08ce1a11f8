"""Names in a folder that listings leave out: bytes that are no UTF-8, which no bucket and no table can hold.

Old network drives and ZIP programs leave them. Nothing of ours is called so: they are somebody else's, and stay.
"""

import os
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
