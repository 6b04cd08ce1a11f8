"""A job's rows with what became of them: whole, for people and programs that look at a job from Python."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.job_file import find_job, read_manifest_copy
from pressrun.jobs.folder.result_schema import CLOSED, SCHEMA, is_done, joined, places_that_count, read_parts, taken
from pressrun.pipeline.errors import JobError

_TELLING = ("custom_id", "status", "error_code", "error_message")


def job_rows(store: Store, columns: Sequence[str] | None = None) -> pa.Table:
    """The outcome that counts of every row that has one, in the manifest's order: our columns, then the customer's; or
    only custom_id, status and those of our `columns`.

    Raises:
        JobError: there is no job, or a part of its results or its manifest is damaged.
    """
    find_job(store)
    wanted = {*SCHEMA.names} if columns is None else {"custom_id", "status", *columns}
    parts = read_parts(store, None if columns is None else sorted(wanted))
    whole = [part for part in parts.values() if part is not None]
    if len(whole) < len(parts):
        raise JobError(
            f"Results of {store.uri} are damaged; render again: what they held is read from the pictures.",
            code="damaged_job",
        )
    theirs = {field.name: field for part in whole for field in part.schema if field.name not in SCHEMA.names}
    schema = pa.schema([*(field for field in SCHEMA if field.name in wanted), *theirs.values()])
    table = joined([part.replace_schema_metadata(None) for part in whole], schema)
    if list(parts) == [CLOSED]:
        return table
    ids = read_manifest_copy(store)["custom_id"].combine_chunks()
    rows = pc.index_in(table["custom_id"], ids).fill_null(-1).to_numpy().astype(np.int64)
    places = places_that_count(rows, is_done(table), len(ids))
    return taken(table, places[places >= 0])


def failures_of(rows: pa.Table) -> pa.Table:
    """Those of a job's rows that failed or were rejected: which and why, then the customer's columns."""
    wrong = rows.filter(pc.is_in(rows["status"], pa.array(["failed", "rejected"])))
    return wrong.select([*_TELLING, *(name for name in wrong.column_names if name not in SCHEMA.names)])
