"""Finishing: pixels become pictures that carry their own record, and that are stored exactly once.

The steps, in this order and no other: check the pixels, compose what is set over them, make each rendition, encode it
with its XMP, sign what was encoded, put it. Everything up to the encoding is pixels; nothing touches bytes that were
signed.

The picture as it was rendered is the commit: it is put last, so that where it stands, its renditions stand as well.
Each is created only where nothing stands yet; when something does, its own record says whether it is this very picture
(another driver, a retry, an answer that was lost) or somebody else's.
"""

import hashlib
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from cluster.spec import Finishing
from cluster.unit import Item, Outcome, Written
from pipeline.errors import RequestError
from pipeline.metadata import COMPOSITE, GENERATED, Record, read_record, write_xmp
from pipeline.picture import content_type, encode_picture, extension, read_picture_header, thumbnail
from pipeline.renditions import Rendition

JOB_FILE = "job.json"


def thumbnail_path(path: str) -> str:
    """Where the contact sheet looks for the small picture of `images/…`."""
    return "thumbs/" + path.removeprefix("images/") + ".webp"


def rendition_path(path: str, rendition: Rendition) -> str:
    """Where a rendition of the picture at `path` stands: `images/mug.png` → `images/mug@hero.webp`.

    No name of a row holds an @ (it is percent-encoded), so that no rendition is ever in the way of another row.
    """
    return f"{path.rpartition('.')[0]}{rendition_suffix(rendition)}"


def rendition_suffix(rendition: Rendition) -> str:
    """What a rendition's path has in place of the picture's extension."""
    return f"@{rendition.name}.{extension(rendition.format)}"


@dataclass(frozen=True)
class Stored:
    """A picture that stands in the store, whoever put it there."""

    data: bytes
    record: Record


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
        """Make and store everything that is wanted of one render (H, W, 3).

        Raises:
            RequestError: a format or the store cannot hold this very picture.
            StorageError: the store failed although it was asked again.
        """
        started = time.time()
        spec = self._finishing.spec
        # 1. Renditions, then the picture itself: it is the commit.
        written = []
        for rendition in spec.renditions:
            path = rendition_path(item.path, rendition)
            record = self._record(item, device, rendition.name)
            stored = self._put(path, rendition.of(pixels), rendition.format, rendition.quality, record, item)
            if stored is None:
                return name_taken(item, path)
            written.append(written_as(rendition, path, stored.data))
        record = self._record(item, device)
        small = thumbnail(pixels, xmp=xmp_of(item, record))
        self._store.put(thumbnail_path(item.path), small, "image/webp")
        stored = self._put(item.path, pixels, spec.format, spec.quality, record, item)
        if stored is None:
            return name_taken(item, item.path)
        # 2. What came of it.
        height, width = pixels.shape[:2]
        return Outcome(
            row=item.row,
            custom_id=item.request.custom_id,
            status="succeeded",
            image=item.path,
            width=width,
            height=height,
            sha256=hashlib.sha256(stored.data).hexdigest(),
            bytes=len(stored.data),
            render_key=item.render_key,
            finish_key=item.finish_key,
            renditions=tuple(written),
            device=stored.record.device,
            seconds={"finish": time.time() - started},
            finished_at=datetime.now(UTC),
        )

    def _record(self, item: Item, device: str, rendition: str = "") -> Record:
        about = self._finishing
        return Record(
            custom_id=item.request.custom_id,
            seed=item.request.seed,
            render_key=item.render_key,
            model=about.model,
            model_digest=about.model_digest,
            precision=about.precision,
            device=device,
            generator=about.generator,
            finish_key=item.finish_key,
            rendition=rendition,
        )

    def _put(
        self, path: str, pixels: np.ndarray, format: str, quality: int | None, record: Record, item: Item
    ) -> Stored | None:
        """Encode with XMP and put; None where somebody else's picture stands."""
        data = encode_picture(pixels, format, xmp_of(item, record), quality)
        if self._store.create(path, data, content_type(format)):
            return Stored(data, record)
        data = self._store.get(path)
        there = read_record(data)
        if there is None or not there.is_of(record.custom_id, record.render_key, record.finish_key, record.rendition):
            return None
        return Stored(data, there)


def xmp_of(item: Item, record: Record) -> bytes:
    """The XMP packet of one of an item's pictures."""
    return write_xmp(record, COMPOSITE if item.references else GENERATED, item.provenance.given)


def written_as(rendition: Rendition, path: str, data: bytes) -> Written:
    """How the results tell of a rendition's file."""
    header = read_picture_header(data)
    width, height = (header.width, header.height) if header else (rendition.width, rendition.height)
    digest = hashlib.sha256(data).hexdigest()
    return Written(rendition.name, path, width, height, rendition.format, len(data), digest)


def name_taken(item: Item, path: str) -> Outcome:
    """The outcome of a row one of whose places holds somebody else's picture."""
    message = f"Another picture stands at {path} already; choose another --name or clear the place."
    return refusal(item, RequestError("name_taken", message))


def refusal(item: Item, error: RequestError) -> Outcome:
    """The outcome of a row that cannot be finished."""
    return Outcome(
        row=item.row,
        custom_id=item.request.custom_id,
        status="failed",
        render_key=item.render_key,
        finish_key=item.finish_key,
        error_code=error.code,
        error_message=error.message,
        finished_at=datetime.now(UTC),
    )
