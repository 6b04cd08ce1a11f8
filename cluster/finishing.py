"""Finishing: pixels become a picture that carries its own record, and that is stored exactly once.

The picture is the commit. It is created only where nothing stands yet; when something stands there already, its own
record says whether it is this very picture (another driver, a retry, an answer that was lost) or somebody else's.
"""

import hashlib
import time

import numpy as np

from cluster.spec import Finishing
from cluster.unit import Item, Outcome
from pipeline.metadata import Record, read_record, write_xmp
from pipeline.picture import content_type, encode_picture, thumbnail


def thumbnail_path(path: str) -> str:
    """Where the contact sheet looks for the small picture of `images/…`."""
    return "thumbs/" + path.removeprefix("images/") + ".webp"


class Finisher:
    """Holds an open store; safe to use from several threads."""

    def __init__(self, finishing: Finishing) -> None:
        self._finishing = finishing
        self._store = finishing.place.open()

    def finish(self, item: Item, pixels: np.ndarray, device: str) -> Outcome:
        """Mark, encode and store one picture (H, W, 3).

        Raises:
            StorageError: the store failed although it was asked again.
        """
        started = time.time()
        spec = self._finishing
        record = Record(
            custom_id=item.request.custom_id,
            seed=item.request.seed,
            render_key=item.render_key,
            model=spec.model,
            model_digest=spec.model_digest,
            precision=spec.precision,
            device=device,
            generator=spec.generator,
        )
        xmp = write_xmp(record)
        data = encode_picture(pixels, spec.format, xmp)
        self._store.put(thumbnail_path(item.path), thumbnail(pixels, xmp=xmp), "image/webp")
        if not self._store.create(item.path, data, content_type(spec.format)):
            data = self._store.get(item.path)
            there = read_record(data)
            if there is None or (there.custom_id, there.render_key) != (record.custom_id, record.render_key):
                return name_taken(item)
            device = there.device
        height, width = pixels.shape[:2]
        return Outcome(
            row=item.row,
            custom_id=item.request.custom_id,
            status="succeeded",
            image=item.path,
            width=width,
            height=height,
            sha256=hashlib.sha256(data).hexdigest(),
            bytes=len(data),
            render_key=item.render_key,
            device=device,
            seconds={"finish": time.time() - started},
        )


def name_taken(item: Item) -> Outcome:
    """The outcome of a row whose place holds somebody else's picture."""
    return Outcome(
        row=item.row,
        custom_id=item.request.custom_id,
        status="failed",
        render_key=item.render_key,
        error_code="name_taken",
        error_message=f"Another picture stands at {item.path} already; choose another --name or clear the place.",
    )
