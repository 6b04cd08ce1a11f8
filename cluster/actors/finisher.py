"""Finishing: pixels become pictures that carry their own record, and that are stored exactly once.

The steps, in this order and no other: check the pixels, compose what is set over them, make each rendition, encode it
with its XMP, sign what was encoded, put it. Everything up to the encoding is pixels; nothing touches bytes that were
signed.

The picture as it was rendered is the commit: it is put last, so that where it stands, its renditions stand as well.
Each is created only where nothing stands yet; when something does, its own record says whether it is this very picture
(another driver, a retry, an answer that was lost) or somebody else's. Only a picture that is not wanted any more (it
repeats another, or was decided against) is replaced, by one of the same row; whoever does that at once puts the same
bytes, so that it does not matter who does it last.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from pressrun.cluster.net.url import file_name
from pressrun.cluster.protocol.picture_paths import kept_path, rendition_path, replacement_path, thumbnail_path
from pressrun.cluster.protocol.spec import Finishing
from pressrun.cluster.protocol.unit import Item, Outcome, StoredRendition, with_next_seed
from pressrun.pipeline.checks.checker import Checker, reasons_to_reseed, rejection
from pressrun.pipeline.checks.finding import findings_to_text
from pressrun.pipeline.checks.likeness import likeness
from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.finishing.codec import (
    content_type,
    decode_picture,
    encode_picture,
    read_picture_header,
    thumbnail,
)
from pressrun.pipeline.finishing.credentials import Claim
from pressrun.pipeline.finishing.metadata import COMPOSITE, GENERATED, Record, read_record, write_xmp
from pressrun.pipeline.finishing.renditions import Rendition

JOB_FILE = "job.json"


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
        self._pixels = finishing.pixels.open() if finishing.pixels else None
        self._checker = Checker(finishing.spec.checks)
        self._typesetter = None
        if finishing.spec.copy:
            from pressrun.pipeline.overlay.typesetting import (
                Typesetter,  # nothing that sets type is loaded where none is set
            )

            self._typesetter = Typesetter(finishing.spec.copy)

    def problem(self) -> str:
        """Why this process cannot write the job's pictures, if it cannot: its disk is not the driver's, or it lacks
        what sets type."""
        if self._typesetter and (lacking := self._typesetter.problem()):
            return f"The node {os.uname().nodename} cannot set the spec's [copy]. {lacking}"
        if self._store.head(JOB_FILE) is not None:
            return ""
        return (
            f"The node {os.uname().nodename} does not see {self._store.uri}: on a cluster of several machines "
            "`out` must be a bucket, or a folder that all of them share."
        )

    def finish(self, item: Item, pixels: np.ndarray, device: str) -> Outcome | Item:
        """Make and store everything that is wanted of one render (H, W, 3); or the item with its next seed, where a
        check wants another one whose pixels are not kept.

        Raises:
            RequestError: words cannot be set on it, or a format or the store cannot hold this very picture.
            StorageError: the store, or the signer, failed although it was asked again.
        """
        if self._pixels:
            record = replace(self._record(item, device), finish_key="", findings="")
            data = encode_picture(pixels, "png", write_xmp(record, source_type_of(item)))
            self._pixels.put(kept_path(item.render_key), data, content_type("png"))
        return self._from_kept(self._finished(item, pixels, device))

    def refinish(self, item: Item) -> Outcome | None:
        """As `finish`, from pixels that were kept; None where they are not, or another seed is wanted whose are not."""
        wanted = self._from_kept(item)
        return None if isinstance(wanted, Item) else wanted

    def _from_kept(self, wanted: Item | Outcome) -> Item | Outcome:
        """What becomes of an item as far as pixels were kept: its outcome, or the item that has to be rendered."""
        while isinstance(wanted, Item) and (kept := self._kept(wanted)):
            wanted = self._finished(wanted, *kept)
        return wanted

    def _kept(self, item: Item) -> tuple[np.ndarray, str] | None:
        """The pixels (H, W, 3) that were kept of an item's render, and the device that they were rendered on."""
        if not self._pixels:
            return None
        try:
            data = self._pixels.get(kept_path(item.render_key))
        except FileNotFoundError:
            return None
        record, pixels = read_record(data), decode_picture(data)
        if record is None or pixels is None or record.render_key != item.render_key:
            return None
        return pixels, record.device

    def _finished(self, item: Item, pixels: np.ndarray, device: str) -> Outcome | Item:
        started = time.time()
        spec = self._finishing.spec
        # 1. Check the pixels.
        found = self._checker.judge(pixels, item.request.prompt, item.required_text)
        if reasons := reasons_to_reseed(spec.checks, found, item.reseeds):
            return with_next_seed(item, reasons, self._finishing.model_digest, self._finishing.precision)
        looks = likeness(pixels) if spec.check("duplicate") else None
        item = replace(item, findings=item.findings + found, likeness=looks)
        if rejection(item.findings):
            return self._rejected(item, pixels, device, started)
        # 2. Each output's pixels, words included: a row whose words do not fit leaves nothing behind.
        composed = [self._composed(item, rendition.of(pixels), rendition.bare) for rendition in spec.renditions]
        if self._typesetter and not self._typesetter.only_renditions:
            pixels = self._typesetter.set(self._typesetter.enlarged(pixels), item.words)
        # 3. Renditions, then the picture itself: it is the commit.
        written = []
        for rendition, output in zip(spec.renditions, composed, strict=True):
            path = rendition_path(item.path, rendition)
            record = self._record(item, device, rendition.name)
            stored = self._put(path, output, rendition.format, rendition.quality, record, item)
            if stored is None:
                return name_taken(item, path)
            written.append(written_as(rendition, path, stored.data))
        record = self._record(item, device)
        self._put_thumbnail(item, pixels, record)
        stored = self._put(item.path, pixels, spec.format, spec.quality, record, item)
        if stored is None:
            return name_taken(item, item.path)
        # 4. What came of it.
        return _succeeded(item, pixels, stored, written, started)

    def _rejected(self, item: Item, pixels: np.ndarray, device: str, started: float) -> Outcome:
        """The outcome of a picture that is not good enough; only its thumbnail is kept, for whoever asks why."""
        self._put_thumbnail(item, pixels, self._record(item, device))
        why = rejection(item.findings)
        assert why is not None
        return replace(
            refusal(item, RequestError(why.check, why.message)),
            status="rejected",
            seed=item.request.seed,
            reseeds=item.reseeds,
            tried=item.tried,
            findings=item.findings,
            device=device,
            seconds={"finish": time.time() - started},
        )

    def _put_thumbnail(self, item: Item, pixels: np.ndarray, record: Record) -> None:
        self._store.put(thumbnail_path(item.path), thumbnail(pixels, xmp=xmp_of(item, record)), "image/webp")

    def _composed(self, item: Item, pixels: np.ndarray, bare: bool) -> np.ndarray:
        """A rendition with its row's words and the logos, unless it is to be bare."""
        return pixels if bare or not self._typesetter else self._typesetter.set(pixels, item.words)

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
            reseeds=item.reseeds,
            findings=findings_to_text(item.findings),
            likeness=item.likeness or 0,
        )

    def _claim(self, item: Item, record: Record, format: str) -> Claim:
        about = self._finishing
        names = [file_name(reference.uri) for reference in item.references]
        sources = [(name, reference.sha256) for name, reference in zip(names, item.references, strict=True)]
        title = item.provenance.title or record.custom_id
        return Claim(
            title, format, about.generator, about.model, about.model_digest, source_type_of(item), tuple(sources)
        )

    def _put(
        self, path: str, pixels: np.ndarray, format: str, quality: int | None, record: Record, item: Item
    ) -> Stored | None:
        """Encode with XMP, sign and put; None where somebody else's picture stands."""
        made = encode_picture(pixels, format, xmp_of(item, record), quality)
        if self._finishing.signing:
            made = self._finishing.signing.sign(made, self._claim(item, record, format))
        if self._store.create(path, made, content_type(format)):
            return Stored(made, record)
        try:
            data = self._store.get(path)
        except FileNotFoundError:  # a link that leads nowhere
            return None
        there = read_record(data)
        if there is None:
            return None
        if there.is_of(record.custom_id, record.render_key, record.finish_key, record.rendition):
            return Stored(data, there)
        if item.replaces and there.is_of(record.custom_id, item.replaces, there.finish_key, record.rendition):
            if self._finishing.signing:  # no two signatures are the same
                try:
                    made = self._agreed(replacement_path(item, path), made)
                except FileNotFoundError:  # another driver has closed the job: the replacement stands by now
                    return self._put(path, pixels, format, quality, record, item)
            self._store.put(path, made, content_type(format))
            return Stored(made, read_record(made) or record)
        return None

    def _agreed(self, path: str, made: bytes) -> bytes:
        """What the first of several drivers made, which is created once at `path` and lies there until the job closes.
        Raises FileNotFoundError if that happens now."""
        return made if self._store.create(path, made) else self._store.get(path)


def _succeeded(
    item: Item, pixels: np.ndarray, stored: Stored, written: Sequence[StoredRendition], started: float
) -> Outcome:
    """The outcome of a picture that stands in the store."""
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
        seed=item.request.seed,
        reseeds=item.reseeds,
        tried=item.tried,
        findings=item.findings,
        likeness=item.likeness,
        device=stored.record.device,
        seconds={"finish": time.time() - started},
        finished_at=datetime.now(UTC),
    )


def xmp_of(item: Item, record: Record) -> bytes:
    """The XMP packet of one of an item's pictures."""
    return write_xmp(record, source_type_of(item), item.provenance.given)


def source_type_of(item: Item) -> str:
    """IPTC's word for how an item's pictures came about."""
    return COMPOSITE if item.references else GENERATED


def written_as(rendition: Rendition, path: str, data: bytes) -> StoredRendition:
    """How the results tell of a rendition's file."""
    header = read_picture_header(data)
    width, height = (header.width, header.height) if header else (rendition.width, rendition.height)
    digest = hashlib.sha256(data).hexdigest()
    return StoredRendition(rendition.name, path, width, height, rendition.format, len(data), digest)


def name_taken(item: Item, path: str) -> Outcome:
    """The outcome of a row one of whose places holds somebody else's picture."""
    message = f"Another picture stands at {path} already; choose another template for names or clear the place."
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
