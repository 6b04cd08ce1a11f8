"""A job's picture files, wherever they lie: in its own folder, or in that of the night that they were kept from."""

import contextlib
import io

from PIL import Image

from pressrun.cluster.protocol.picture_paths import thumbnail_path
from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.job_file import IMAGES
from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.finishing.codec import FORMATS, decoded, thumbnail

SIDE = 320
"""Pixels of a small picture's longer side, where none is stored."""


def read_picture(store: Store, image: str) -> Image.Image:
    """The picture that a result names `image`, decoded. Raises OSError or ValueError where there is none, RequestError
    for an address that is none."""
    with Image.open(io.BytesIO(_read(store, image)), formats=[name.upper() for name in FORMATS]) as picture:
        picture.load()
        return picture


def small_picture(store: Store, image: str, stored: bool = True) -> bytes | None:
    """A small WebP of the picture that a result names `image`: the `stored` one, else made of it; None where neither
    can be had."""
    place, _, name = image.rpartition(IMAGES)
    if stored:
        with contextlib.suppress(OSError, ValueError, RequestError):
            return _read(store, place + thumbnail_path(f"{IMAGES}{name}"))
    try:
        return thumbnail(decoded(_read(store, image)), SIDE)
    except (OSError, ValueError, RequestError):
        return None


def _read(store: Store, image: str) -> bytes:
    ours = image.startswith((IMAGES, "thumbs/"))
    return store.get(image) if ours else store.stores.read(image)
