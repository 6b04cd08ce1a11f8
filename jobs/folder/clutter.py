"""What file browsers, network drives and file systems leave in folders that they looked at or manage."""

import re

_FILES = (
    r"\.DS_Store|\._[^/]*|\.localized|Icon\r|(?:Thumbs|ehthumbs|ehthumbs_vista)\.db|desktop\.ini|\.directory"
    r"|\.nfs[0-9a-f]+|\.fuse_hidden[0-9a-f]+|\.smbdelete[^/]*|\.~lock\.[^/]*#|~\$[^/]*"
    r"|\.BridgeSort|\.BridgeLabelsAndRatings|\.BridgeCacheT?|\.?picasa\.ini|\.dropbox(?:\.attr)?"
    r"|(?:\.syncthing\.|~syncthing~)[^/]*\.tmp|\.stfolder|\.stignore"
)
_FOLDERS = (
    r"@eaDir|#recycle|@Recycle|\$RECYCLE\.BIN|System Volume Information|lost\+found|\.Trash(?:es|-[0-9]+)?"
    r"|\.AppleDouble|\.Spotlight-V100|\.fseventsd|\.TemporaryItems|__MACOSX|\.snapshots?|#snapshot|@Recently-Snapshot"
    r"|\.?@__thumb|@tmp|\.dropbox\.cache|\.sync|\.stfolder|\.stversions"
)
CLUTTER = rf"(?is)(?:^|/)(?:{_FILES})$|(?:^|/)(?:{_FOLDERS})/"
"""Matches the paths of such files; no picture or part of ours is called so. RE2 takes it too."""

_CLUTTER = re.compile(CLUTTER)


def is_clutter(path: str) -> bool:
    """Whether a file at this path, relative and with `/`, was left there by a machine and not by a person."""
    return _CLUTTER.search(path) is not None
