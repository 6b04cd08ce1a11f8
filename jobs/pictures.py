"""The pictures that are there already: each one is its own commit and its own record."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.finishing import name_taken
from cluster.store import Entry, Store, stored_record
from cluster.unit import Item, Outcome
from jobs.order import FOLDER, Order, Work
from jobs.results import DONE
from pipeline.picture import read_picture_header

_THREADS = 16


class Pictures:
    """What `images/` holds, by path."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.entries = {entry.path: entry for entry in store.list(FOLDER)}
        self.paths = pa.array(list(self.entries), pa.string())

    def finished(self, order: Order, results: pa.Table) -> np.ndarray:
        """Which rows are done: a result says so and its picture is there. Rejected rows are left alone as well."""
        ids = order.manifest.table["custom_id"].combine_chunks()
        there = pc.is_in(results["image"], self.paths)
        done = pc.and_(pc.is_in(results["status"], pa.array(DONE)), there)
        settled = pc.or_kleene(done, pc.equal(results["status"], "rejected"))
        return pc.is_in(ids, results["custom_id"].filter(settled).combine_chunks()).to_numpy(zero_copy_only=False)

    def unaccounted(self, order: Order, rows: np.ndarray) -> np.ndarray:
        """Those of `rows` whose picture stands there although no result says so."""
        paths = order.paths.take(pa.array(rows, pa.int64()))
        there = pc.is_in(paths, self.paths)
        return rows[there.to_numpy(zero_copy_only=False)]

    def recover(self, order: Order, work: Work, rows: np.ndarray) -> Iterator[Outcome]:
        """What the pictures of `rows` say of themselves: this row's own picture, or somebody else's in its place."""
        with ThreadPoolExecutor(_THREADS) as threads:
            yield from threads.map(lambda row: self._outcome(order, work.item(row)), rows.tolist())

    def _outcome(self, order: Order, item: Item) -> Outcome:
        entry: Entry = self.entries[item.path]
        record = stored_record(self._store, item.path, order.job.format)
        if record is None or (record.custom_id, record.render_key) != (item.request.custom_id, item.render_key):
            return name_taken(item)
        data = self._store.get(item.path)
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
            device=record.device,
            finished_at=entry.modified,
        )
