"""The failed rows as a manifest, which `render` takes as it is."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.store import Store
from jobs.job import find_job, read_manifest_copy
from jobs.results import read_results
from pipeline.errors import JobError


def failed_rows(store: Store) -> pa.Table:
    """Requests that failed or were rejected: the manifest's columns only, in its order.

    Raises:
        JobError: there is no job.
    """
    find_job(store)
    results = read_results(store, ())
    wrong = results.filter(pc.is_in(results["status"], pa.array(["failed", "rejected"])))["custom_id"]
    manifest = read_manifest_copy(store)
    return manifest.filter(pc.is_in(manifest["custom_id"], wrong.combine_chunks()))


def write_parquet(table: pa.Table, path: str) -> None:
    """A table as a Parquet file.

    Raises:
        JobError: it cannot be written there.
    """
    try:
        pq.write_table(table, path, compression="zstd")
    except OSError as error:
        raise JobError(f"{path} cannot be written: {error.strerror or error}.") from error
