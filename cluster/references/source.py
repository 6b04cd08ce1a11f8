"""Where an actor gets a reference's pixels: from the run's scratch on its own machine, else from its place again.

On the driver's machine the survey has left them there, so nothing is fetched twice and an address whose signature has
expired since does no harm. On other machines, or when the scratch was full, the picture is fetched again under the same
rules, must still have the bytes that the plan saw, and is decoded in a process that may die; there a presigned address
has to be valid until the row's turn comes, or the row fails `reference_denied` and a rerun takes it up again.
"""

import hashlib
from pathlib import Path

import numpy as np

from pressrun.cluster.net.url import shown
from pressrun.cluster.protocol.job_context import JobContext
from pressrun.cluster.protocol.unit import Reference
from pressrun.cluster.references.decoder_pool import Decoders
from pressrun.cluster.references.pixel_cache import ReferenceCache
from pressrun.cluster.references.reader import ReferenceReader
from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.request import MULTIPLE


class ReferenceSource:
    """One actor's for one job; safe for its threads."""

    def __init__(self, job: JobContext, at_once: int = 2) -> None:
        self._cache = ReferenceCache(Path(job.references)) if job.references else None
        self._reader = ReferenceReader(job.web, job.stores)
        self._decoders = Decoders(at_once)
        self._cap = job.reference_pixels

    def pixels(self, reference: Reference) -> np.ndarray:
        """The reference's pixels (H, W, 3), uint8.

        Raises:
            RequestError: it is gone, it changed since the job was planned, or it cannot be decoded.
            StorageError: its store does not answer.
        """
        kept = self._cache.find(reference) if self._cache else None
        if kept is not None:
            return kept
        data = self._reader.read(reference.uri)
        if hashlib.sha256(data).hexdigest() != reference.sha256:
            why = "changed while the job ran; render again to take the new picture"
            raise RequestError("reference_changed", f"Reference {shown(reference.uri)} {why}.")
        try:
            pixels = self._decoders.decode(data, self._cap)
        except RequestError as error:
            raise RequestError(error.code, f"Reference {shown(reference.uri)}: {error.message}") from None
        height, width = (side * MULTIPLE for side in reference.grid)
        if pixels.shape != (height, width, 3):
            there = f"{pixels.shape[1]} x {pixels.shape[0]}"
            why = f"is decoded as {there} pixels by its worker, as {width} x {height} by the driver; update both"
            raise RequestError("reference_unreadable", f"Reference {shown(reference.uri)} {why}.")
        return pixels

    def close(self) -> None:
        """End the decoders."""
        self._decoders.close()
