"""Tonight's rows as columns: what each of them will come to, so that an earlier job's outcomes can be compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.manifest.manifest import CHUNK_ROWS
from pressrun.jobs.references.references import ReferenceIndex, References, rows_digests
from pressrun.jobs.resolve.resolved_job import ResolvedJob
from pressrun.pipeline.request import KEYED, RenderKeys, next_seed


@dataclass(frozen=True)
class Fingerprints:
    """Rows of a manifest that may be kept: their numbers in `table`, their custom_ids, their render keys (null where a
    reference cannot be used) and finish keys, what they mention, and the digest of each reference that is mentioned."""

    table: pa.Table
    rows: np.ndarray
    ids: pa.Array
    keys: pa.Array
    finish_keys: pa.Array
    mentions: ReferenceIndex
    digests: Sequence[str | None]
    key: RenderKeys

    @classmethod
    def of(cls, order: ResolvedJob, rows: np.ndarray, references: References, model_digest: str) -> "Fingerprints":
        """Some of an order's rows. Raises StorageError as `References.look` does."""
        table = order.manifest.table
        mentions = ReferenceIndex(table, rows)
        digests = references.digests(mentions.uris)
        key = RenderKeys(model_digest, order.job.precision)
        keys = pa.chunked_array(_keys(table, rows, key, mentions, digests), pa.string()).combine_chunks()
        ids = table["custom_id"].combine_chunks().take(pa.array(rows))
        return cls(table, rows, ids, keys, order.finish_keys(rows), mentions, digests, key)

    def keys_after(self, places: np.ndarray, reseeds: np.ndarray) -> pa.Array:
        """The render keys of the rows at `places`, of each after so many seeds that checks found not good enough."""
        keys = self.keys.take(pa.array(places))
        again = np.flatnonzero(reseeds)
        if not len(again):
            return keys
        some = self.rows[places[again]]
        requests = self.table.select(KEYED).take(pa.array(some)).to_pylist()
        others: list[str | None] = []
        digests = rows_digests(self.mentions, self.digests, some)
        for request, times, shas in zip(requests, reseeds[again].tolist(), digests, strict=True):
            for _ in range(times):
                request["seed"] = next_seed(request["seed"])
            others.append(None if None in shas else self.key(**request, references=[sha for sha in shas if sha]))
        return pc.replace_with_mask(keys, pa.array(reseeds > 0), pa.array(others, pa.string()))


def _keys(
    table: pa.Table, rows: np.ndarray, key: RenderKeys, mentions: ReferenceIndex, digests: Sequence[str | None]
) -> Iterator[pa.Array]:
    """Render keys, a few thousand at a time."""
    keyed = table.select(KEYED)
    for start in range(0, len(rows), CHUNK_ROWS):
        some = rows[start : start + CHUNK_ROWS]
        columns = [column.to_pylist() for column in keyed.take(pa.array(some)).columns]
        requests = zip(*columns, rows_digests(mentions, digests, some), strict=True)
        yield pa.array([None if None in request[-1] else key(*request) for request in requests], pa.string())
