"""Where a picture stands in a job's place, and everything that is made beside it."""

import hashlib

from pressrun.cluster.protocol.unit import Item
from pressrun.pipeline.finishing.codec import extension
from pressrun.pipeline.finishing.renditions import Rendition

REPLACEMENTS = "replacements/"


def thumbnail_path(path: str) -> str:
    """Where the contact sheet looks for the small picture of `images/…`."""
    return "thumbs/" + path.removeprefix("images/") + ".webp"


def kept_path(render_key: str) -> str:
    """Where the pixels of a render are kept, relative to the place for them; a few hundred folders share a million."""
    return f"{render_key[:2]}/{render_key}.png"


def rendition_path(path: str, rendition: Rendition) -> str:
    """Where a rendition of the picture at `path` stands: `images/mug.png` → `images/mug@hero.webp`.

    No name of a row holds an @ (it is percent-encoded), so that no rendition is ever in the way of another row.
    """
    return f"{path.rpartition('.')[0]}{rendition_suffix(rendition)}"


def rendition_suffix(rendition: Rendition) -> str:
    """What a rendition's path has in place of the picture's extension."""
    return f"@{rendition.name}.{extension(rendition.format)}"


def replacement_path(item: Item, path: str) -> str:
    """Where those who replace the picture at `path` agree on its bytes; flat, so that no folders are left of it."""
    return f"{REPLACEMENTS}{hashlib.sha256(f'{item.render_key}/{path}'.encode()).hexdigest()}"
