"""Finishing: pixels become a picture that carries its own record, and that is stored exactly once.

The picture is the commit. It is created only where nothing stands yet; when something stands there already, its own
record says whether it is this very picture (another driver, a retry, an answer that was lost) or somebody else's.
"""

import hashlib
import os
import time
from datetime import UTC, datetime

import numpy as np

from cluster.spec import Finishing
from cluster.unit import Item, Outcome
from pipeline.errors import RequestError
from pipeline.metadata import Record, read_record, write_xmp
from pipeline.picture import content_type, encode_picture, thumbnail

JOB_FILE = "job.json"


def thumbnail_path(path: str) -> str:
    """Where the contact sheet looks for the small picture of `images/…`."""
    return "thumbs/" + path.removeprefix("images/") + ".webp"


class Finisher:
    """Holds an open store; safe to use from several threads."""

    def __init__(self, finishing: Finishing) -> None:
        self._finishing = finishing
        self._store = finishing.place.open()

    def problem(self) -> str:
        """Why this process cannot write the job's pictures, if it cannot: its disk is not the driver's."""
        if self._store.head(JOB_FILE) is not None:
            return ""
        return (
            f"The node {os.uname().nodename} does not see {self._store.uri}: on a cluster of several machines "
            "--out must be a bucket, or a folder that all of them share."
        )

    def finish(self, item: Item, pixels: np.ndarray, device: str) -> Outcome:
        """Mark, encode and store one picture (H, W, 3).

        Raises:
            RequestError: the format or the store cannot hold this very picture.
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
            finished_at=datetime.now(UTC),
        )


def name_taken(item: Item) -> Outcome:
    """The outcome of a row whose place holds somebody else's picture."""
    message = f"Another picture stands at {item.path} already; choose another --name or clear the place."
    return refusal(item, RequestError("name_taken", message))


def refusal(item: Item, error: RequestError) -> Outcome:
    """The outcome of a row that cannot be finished."""
    return Outcome(
        row=item.row,
        custom_id=item.request.custom_id,
        status="failed",
        render_key=item.render_key,
        error_code=error.code,
        error_message=error.message,
        finished_at=datetime.now(UTC),
    )
