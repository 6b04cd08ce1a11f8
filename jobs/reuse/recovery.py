"""The pictures that are there already: each one is its own commit and its own record."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.actors.finisher import name_taken, written_as
from pressrun.cluster.protocol.picture_paths import rendition_path, rendition_suffix
from pressrun.cluster.protocol.unit import Item, Outcome, with_next_seed
from pressrun.cluster.store.opening import stored_record
from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.job_file import IMAGES
from pressrun.jobs.folder.result_schema import mask
from pressrun.jobs.planning.pending_rows import PendingRows
from pressrun.jobs.resolve.resolved_job import ResolvedJob
from pressrun.pipeline.checks.finding import findings_from_text
from pressrun.pipeline.finishing.codec import read_picture_header
from pressrun.pipeline.finishing.metadata import Record, read_record

_THREADS = 16
_PIECE = 65_536


class Pictures:
    """What `images/` holds: `paths`, in no order."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.paths = paths_in(store, IMAGES)

    def whole(self, order: ResolvedJob) -> pa.Array:
        """The paths of rendered pictures that stand there with all their renditions."""
        renditions = order.finishing.renditions
        if not renditions:
            return self.paths
        places = order.paths.filter(pc.is_in(order.paths, self.paths))
        for rendition in renditions:
            beside = pc.replace_substring_regex(places, r"\.[^.]*$", rendition_suffix(rendition))
            places = places.filter(pc.is_in(beside, self.paths))
        return places

    def unaccounted(self, order: ResolvedJob, rows: np.ndarray, whole: pa.Array) -> np.ndarray:
        """Those of `rows` whose pictures stand there (`whole`) although no result says so; not those whose picture is
        the one that was decided against."""
        there = pc.is_in(order.paths.take(pa.array(rows, pa.int64())), whole)
        missing: np.ndarray = rows[mask(there)]
        against = [row for row in missing.tolist() if row in order.rerolls and self._is_former(order, row)]
        return np.setdiff1d(missing, against)

    def _is_former(self, order: ResolvedJob, row: int) -> bool:
        record = stored_record(self._store, order.paths[row].as_py(), order.job.format)
        return record is not None and record.render_key == order.rerolls[row].render_key

    def recover(self, order: ResolvedJob, work: PendingRows, rows: np.ndarray) -> Iterator[Outcome]:
        """What the pictures of `rows` say of themselves: this row's own picture, or somebody else's in its place."""
        with ThreadPoolExecutor(_THREADS) as threads:
            yield from threads.map(lambda row: self._outcome(order, work.item(row)), rows.tolist())

    def _outcome(self, order: ResolvedJob, item: Item) -> Outcome:
        record = stored_record(self._store, item.path, order.job.format)
        item = _with_seed_of(item, record, order)
        written = []
        for rendition in order.finishing.renditions:
            path = rendition_path(item.path, rendition)
            data = self._store.get(path)
            if not _is_of(read_record(data), item, rendition.name):
                return name_taken(item, path)
            written.append(written_as(rendition, path, data))
        if record is None or not _is_of(record, item):
            return name_taken(item, item.path)
        data, entry = self._store.get(item.path), self._store.head(item.path)
        header = read_picture_header(data)
        return Outcome(
            item.row,
            item.request.custom_id,
            "succeeded",
            image=item.path,
            width=header.width if header else item.request.width,
            height=header.height if header else item.request.height,
            sha256=hashlib.sha256(data).hexdigest(),
            bytes=len(data),
            render_key=item.render_key,
            finish_key=record.finish_key or None,
            renditions=tuple(written),
            seed=record.seed,
            reseeds=record.reseeds,
            tried=item.tried,
            findings=findings_from_text(record.findings),
            likeness=record.likeness if order.finishing.check("duplicate") else None,
            attempts=1 + record.reseeds,
            device=record.device,
            finished_at=entry.modified if entry else None,
        )


def _with_seed_of(item: Item, record: Record | None, order: ResolvedJob) -> Item:
    """The item with the seed that its picture was made from, if checks may have led to another than its own."""
    most = max((check.attempts for check in order.finishing.checks), default=0)
    for _ in range(min(record.reseeds, most) if record else 0):
        item = with_next_seed(item, (), order.job.model_digest, order.job.precision)
    return item


def _is_of(record: Record | None, item: Item, rendition: str = "") -> bool:
    key = (item.request.custom_id, item.render_key, item.finish_key, rendition)
    return record is not None and record.is_of(*key)


def paths_in(store: Store, folder: str) -> pa.Array:
    """The paths of everything in a folder of the store, as a column."""
    found, pieces = store.paths(folder), []
    while piece := list(islice(found, _PIECE)):
        pieces.append(pa.array(piece, pa.string()))
    return pa.concat_arrays(pieces) if pieces else pa.array([], pa.string())
