"""Batch sizes that memory made smaller: kept in the job's folder, so that a resume computes as the run before it did.

A kind of device that is not measured to be batch-invariant may give other bits in batches of another size. What was
rendered before a halving stays; from then on, in this run and in all that go on with the job, a shape has the smaller
size on devices of that kind. Which size a row was rendered with is `batch_rows` in its result.
"""

import json
from dataclasses import asdict

from pressrun.cluster.protocol.batch_limits import BatchLimit, BatchLimits
from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.job_file import BATCHES
from pressrun.jobs.spec.progress import Progress


class Batches:
    """One job's. `room` is what the dispatcher asks and adds to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.room = BatchLimits(_read(store))
        self._known = self.room.fits

    def keep(self, progress: Progress) -> None:
        """Say and write down what has become known since it was asked last.

        Raises:
            StorageError: it cannot be written.
        """
        if self.room.fits == self._known:
            return
        for fit in self.room.fits:
            if fit not in self._known:
                progress.note(_sentence(fit))
        self.room.learn(*_read(self._store))  # what another driver has found out meanwhile
        self._known = self.room.fits
        told = json.dumps([asdict(fit) for fit in self._known], indent=2, ensure_ascii=False) + "\n"
        self._store.put(BATCHES, told.encode(), "application/json")


def _read(store: Store) -> list[BatchLimit]:
    """What the store holds; nothing where that is not readable: it will be found out again."""
    try:
        return [BatchLimit(**each) for each in json.loads(store.get(BATCHES))]
    except (FileNotFoundError, ValueError, TypeError):
        return []


def _sentence(fit: BatchLimit) -> str:
    beside = f" with {fit.reference_tokens:,} tokens of references" if fit.reference_tokens else ""
    return (
        f"Pictures of {fit.width} x {fit.height}{beside} are denoised {fit.rows} at a time instead of {fit.wanted}, "
        f"which did not fit the memory of {fit.device}; nothing was lost, and this job remembers it."
    )
