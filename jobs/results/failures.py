"""The failed rows as a manifest, which `render` takes as it is."""

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.job_file import find_job, read_manifest_copy
from pressrun.jobs.folder.result_schema import read_results
from pressrun.jobs.tables.raw_cells import restored


def failed_rows(store: Store) -> pa.Table:
    """Requests that failed or were rejected: the manifest's columns only, in its order, with what the customer wrote
    in cells that could not be read.

    Raises:
        JobError: there is no job.
    """
    find_job(store)
    results = read_results(store, ())
    wrong = results.filter(pc.is_in(results["status"], pa.array(["failed", "rejected"])))["custom_id"]
    manifest = read_manifest_copy(store)
    return restored(manifest.filter(pc.is_in(manifest["custom_id"], wrong.combine_chunks())))
