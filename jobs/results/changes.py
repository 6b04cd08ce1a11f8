"""What changed since an earlier job, and why: `changes.parquet` in a job's folder, one row for each row not kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.job_file import CHANGES, PARQUET

REASONS = (
    *("new", "prompt", "size", "settings", "reference bytes", "model", "finish"),
    *("no picture before", "picture missing", "reseeded", "sampling", "removed"),
)
"""Why a row is rendered, in the order in which they are told. `settings` are steps, guidance and seed; `model` is also
its precision; `reseeded`: the picture before is of another seed than the row's own, and which one it ends at depends on
the rows beside it; `sampling`: this version of Pressrun makes other pixels; `removed` rows are not in the manifest
now."""

SCHEMA = pa.schema([("custom_id", pa.string()), ("reasons", pa.list_(pa.string()))])
_SINCE = b"since"


@dataclass(frozen=True)
class Changes:
    """How many rows changed since the job at `since`, and for which reasons; a row may have several."""

    since: str
    rows: int
    reasons: Mapping[str, int] = field(default_factory=dict)


NOTHING = Changes("", 0)
"""Of a job that keeps from no other."""


def with_reasons(ids: pa.Array, reasons: Mapping[str, np.ndarray]) -> pa.Table:
    """Rows with all their reasons: `reasons` says of each whose it is. Rows that have none are left out."""
    names = [name for name in REASONS if name in reasons]
    holds = np.stack([reasons[name] for name in names], axis=1) if names else np.zeros((len(ids), 0), bool)
    row, which = np.nonzero(holds)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(ids)))])
    words = pa.array(names, pa.string()).take(pa.array(which))
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), words)
    table = pa.table([ids, lists], schema=SCHEMA)
    return table.filter(pa.array(holds.any(axis=1)))


def note_changes(store: Store, since: str, considered: pa.Array, changes: pa.Table) -> None:
    """Write what became of the custom_ids `considered`; what an earlier run of the job said of others stays."""
    before = _read(store)
    if before is not None:
        settled = pa.concat_arrays([considered, changes["custom_id"].combine_chunks()])
        stays = pc.invert(pc.is_in(before["custom_id"], settled))
        changes = pa.concat_tables([before.filter(stays).replace_schema_metadata(None), changes])
    file = BytesIO()
    pq.write_table(changes.replace_schema_metadata({_SINCE: since.encode()}), file, compression="zstd")
    store.put(CHANGES, file.getvalue(), PARQUET)


def read_changes(store: Store) -> Changes:
    """What a job's folder says."""
    table = _read(store)
    return NOTHING if table is None else counted((table.schema.metadata or {}).get(_SINCE, b"").decode(), table)


def counted(since: str, table: pa.Table) -> Changes:
    """The changes of a table in numbers."""
    counts = {pair["values"]: pair["counts"] for pair in pc.value_counts(pc.list_flatten(table["reasons"])).to_pylist()}
    return Changes(since, table.num_rows, {name: counts[name] for name in REASONS if name in counts})


def _read(store: Store) -> pa.Table | None:
    try:
        return pq.ParquetFile(pa.BufferReader(store.get(CHANGES))).read()
    except (FileNotFoundError, pa.ArrowException, OSError):
        return None
