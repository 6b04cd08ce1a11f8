"""Refinishing: rows whose pixels were kept are finished again, in another way, without being rendered again.

Kept pixels lie under their render key, so they serve every job that wants the same pixels: a change of quality, of
renditions or of a copyright changes the finish key only. This process finishes them itself, with a few threads: what
costs GPUs is done already.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.actors.finisher import Finisher, refusal
from pressrun.cluster.protocol.picture_paths import kept_path
from pressrun.cluster.protocol.spec import Finishing
from pressrun.cluster.protocol.unit import Item, Outcome
from pressrun.cluster.runtime.ray_runtime import joined
from pressrun.cluster.store.opening import Place, Stores
from pressrun.jobs.folder.job_file import PIXELS, product_version
from pressrun.jobs.planning.pending_rows import PendingRows
from pressrun.jobs.resolve.resolved_job import ResolvedJob
from pressrun.jobs.results.results import Results
from pressrun.jobs.reuse.recovery import paths_in
from pressrun.jobs.spec.job_spec import JobSpec
from pressrun.pipeline.errors import RequestError

_THREADS = 4
_BATCH_ROWS = 1_024


def finishing_of(order: ResolvedJob, spec: JobSpec) -> Finishing:
    """What everybody who finishes a job's pictures is told."""
    job, store, stores = order.job, order.store, travelling(order.context.stores)
    place = Place(store.uri, store.conditional, stores)
    pixels = None
    if spec.keep_pixels is not None:
        pixels = Place(stores.open(spec.keep_pixels or f"{store.uri}/{PIXELS}").uri, stores=stores)
    generator = f"Pressrun {product_version()}"
    common = (job.model, job.model_digest, job.precision, generator, order.signing, pixels)
    return Finishing(place, order.finishing, *common)


def travelling(stores: Stores) -> Stores:
    """What actors open stores with: on a joined cluster they are on other machines."""
    return stores.portable() if joined() else stores


class Refinishing:
    """Of some `rows`, those whose pixels are kept where `finishing` says."""

    def __init__(self, finishing: Finishing, work: PendingRows, rows: np.ndarray) -> None:
        self._finishing, self._work = finishing, work
        self.rows = rows[:0]
        there = paths_in(finishing.pixels.open(), "") if finishing.pixels else pa.array([], pa.string())
        if not len(there):
            return
        found = [np.zeros(0, bool)]
        for start in range(0, len(rows), _BATCH_ROWS):
            items = work.items(rows[start : start + _BATCH_ROWS].tolist())
            paths = pa.array([kept_path(item.render_key) for item in items], pa.string())
            found.append(pc.is_in(paths, there).to_numpy(zero_copy_only=False))
        self.rows = rows[np.concatenate(found)]

    def into(self, results: Results) -> np.ndarray:
        """Finish them, and add what becomes of them to the results; which rows that was."""
        rows = []
        for outcome in self._outcomes():
            rows.append(outcome.row)
            results.add([outcome])
        return np.array(rows, np.int64)

    def _outcomes(self) -> Iterator[Outcome]:
        """What becomes of them; of those that have to be rendered after all, nothing.

        Raises:
            StorageError: a store, or the signer, failed although it was asked again.
        """
        if not len(self.rows):
            return
        finisher = Finisher(self._finishing)
        with ThreadPoolExecutor(_THREADS) as threads:
            for start in range(0, len(self.rows), _BATCH_ROWS):
                items = self._work.items(self.rows[start : start + _BATCH_ROWS].tolist())
                yield from filter(None, threads.map(lambda item: _refinished(finisher, item), items))


def _refinished(finisher: Finisher, item: Item) -> Outcome | None:
    try:
        return finisher.refinish(item)
    except RequestError as error:
        return refusal(item, error)
