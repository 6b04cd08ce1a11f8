"""Two manifests' requests beside each other: in what they differ, column by column."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.references.references import ReferenceIndex, rows_digests
from pressrun.jobs.references.validators import Stamped, noted_as
from pressrun.pipeline.request import FIELDS, KEYED

_COLUMNS = {
    FIELDS[name].change: [other for other in KEYED if FIELDS[other].change == FIELDS[name].change] for name in KEYED
}
"""The manifest's columns behind each reason."""

COMPARED = ("custom_id", "references", *KEYED)

Digests = Iterable[Sequence[str | None]]


def compared(before: pa.Table, after: pa.Table, were: Digests, are: Digests) -> dict[str, np.ndarray]:
    """For each reason whether it holds for a row; both tables have the same requests in the same order, and `were` and
    `are` the digests of their references."""
    of = {reason: _differing(before, after, columns) for reason, columns in _COLUMNS.items()}
    pairs = zip(were, are, strict=True)
    of["reference bytes"] = np.fromiter((list(one) != list(other) for one, other in pairs), bool, before.num_rows)
    return of


def noted_digests(table: pa.Table, stamped: Mapping[str, Stamped]) -> Digests:
    """The digests of each row's references, as a job has noted them; None where it has not."""
    rows = np.arange(table.num_rows)
    mentions = ReferenceIndex(table, rows)
    noted = [stamped.get(noted_as(uri)) for uri in mentions.uris]
    return rows_digests(mentions, [one.sha256 if one else None for one in noted], rows)


def _differing(one: pa.Table, other: pa.Table, names: Sequence[str]) -> np.ndarray:
    return np.asarray(np.any([unequal(one[name], other[name]) for name in names], axis=0))


def unequal(one: pa.ChunkedArray | pa.Array, other: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Where two columns differ; a null is like nothing, not even another."""
    left, right = (each.combine_chunks() if isinstance(each, pa.ChunkedArray) else each for each in (one, other))
    differ: np.ndarray = pc.not_equal(left, right).fill_null(True).to_numpy(zero_copy_only=False)
    return differ
