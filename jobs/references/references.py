"""The references of a run: which rows name them, and what they are; each distinct one is looked at once at most.

A night that keeps what the night before has rendered only needs their digests to know what changed. Those it has from
the earlier job's `references.parquet` as long as size, time stamp and etag are still the ones noted there.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.net.fetch_rules import WebRules
from pressrun.cluster.protocol.unit import Reference
from pressrun.cluster.references.pixel_cache import ReferenceCache
from pressrun.cluster.references.reader import ReferenceReader
from pressrun.cluster.runtime.scratch import Scratch
from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.store import Store
from pressrun.jobs.references.probe import Surveyed, survey
from pressrun.jobs.references.validators import Stamped, noted_as, read_stamped, stamps, write_stamped
from pressrun.pipeline.models.catalogue import Model


class ReferenceIndex:
    """What some rows name: every distinct URI, and for each mention its row and its place in `uris`; rows ascend."""

    def __init__(self, table: pa.Table, rows: np.ndarray) -> None:
        lists = table["references"].combine_chunks().take(pa.array(rows, pa.int64()))
        mentions = pc.dictionary_encode(pc.list_flatten(lists))
        self.uris: list[str] = mentions.dictionary.to_pylist()
        self.codes = mentions.indices.to_numpy().astype(np.int64)
        self.rows = rows[pc.list_parent_indices(lists).to_numpy()]


class References:
    """Looks at references when they are needed.

    `rules` and `model` are the order's, `stores` opens what they lie in. `scratch` is where pixels are kept for the
    actors; without one nothing is kept. `watch` is told how many of how many were looked at. `known` is what earlier
    jobs have noted; with `noting`, what this run learns can be noted too.
    """

    def __init__(
        self,
        model: Model,
        rules: WebRules,
        stores: Stores,
        scratch: Scratch | None = None,
        watch: Callable[[int, int], None] | None = None,
        known: Mapping[str, Stamped] | None = None,
        noting: bool = False,
    ) -> None:
        self._model, self._rules, self._stores = model, rules, stores
        self._scratch, self._watch = scratch, watch
        self._known, self._noting = known or {}, noting
        self._looked: dict[str, Surveyed] = {}
        self._stamped: dict[str, Stamped] = {}

    def look(self, uris: Sequence[str]) -> Mapping[str, Surveyed]:
        """What each of `uris` is, or why it cannot be used.

        Raises:
            StorageError: a store does not answer, which is no row's fault.
        """
        new = [uri for uri in uris if uri not in self._looked]
        stamped = stamps(self._stores, [uri for uri in new if uri not in self._stamped]) if self._noting else {}
        cache = ReferenceCache(self._scratch.references) if self._scratch and new else None
        self._looked |= survey(new, self._model, ReferenceReader(self._rules, self._stores), cache, self._watch)
        for uri in new:
            found = self._looked[uri]
            if isinstance(found, Reference) and self._noting:  # the stamp is older than the look, so never too new
                self._stamped[uri] = Stamped(found.sha256, *stamped.get(uri, ()))
        return self._looked

    def digests(self, uris: Sequence[str]) -> list[str | None]:
        """The SHA-256 of each reference's bytes; None for one that cannot be used. Raises as `look` does."""
        now = stamps(self._stores, [uri for uri in uris if uri in self._known])
        for uri, stamp in now.items():
            if self._known[uri].stamp == stamp:
                self._stamped[uri] = self._known[uri]
        looked = self.look([uri for uri in uris if uri not in self._stamped])
        return [self._stamped[uri].sha256 if uri in self._stamped else _digest(looked[uri]) for uri in uris]

    def note(self, store: Store) -> None:
        """Write what is known of them into a job's folder, beside what an earlier run of the job has noted."""
        before = read_stamped(store)
        now = {noted_as(uri): stamped for uri, stamped in self._stamped.items()}
        if not now.items() <= before.items():
            write_stamped(store, before | now)


def _digest(found: Surveyed) -> str | None:
    return found.sha256 if isinstance(found, Reference) else None


def rows_digests(
    mentions: ReferenceIndex, digests: Sequence[str | None], rows: np.ndarray
) -> Iterable[list[str | None]]:
    """The digests of each of `rows`' references, in order; `digests` are those of `mentions.uris`."""
    starts = np.searchsorted(mentions.rows, rows, "left")
    ends = np.searchsorted(mentions.rows, rows, "right")
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        yield [digests[code] for code in mentions.codes[start:end]] if end > start else []
