"""What jobs refer to in others: pictures that were kept, which nobody may remove as long as they are referred to."""

import json

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.job_file import IMAGES, SUMMARY
from pressrun.jobs.folder.result_schema import STATUSES, read_results
from pressrun.pipeline.errors import JobError


def referred_to(jobs: list[Store]) -> pa.Array:
    """The URIs of all pictures of other jobs that some jobs refer to.

    Raises:
        JobError: a job's results are damaged, or are fewer than its summary counts: what it refers to is not known.
        StorageError: a store failed although it was asked again, or gives a listing that is not whole.
    """
    found = [pa.array([], pa.string())]
    for job in jobs:
        counted = _rows_counted(job)  # before the results, which only grow
        results = read_results(job, ("image", "renditions")).combine_chunks()
        if results.num_rows < counted:
            rows = f"{results.num_rows:,} rows, and {SUMMARY} counts {counted:,}"
            problem = f"{job.uri} is not whole: its results hold {rows}, so what it keeps of other nights is not known"
            raise JobError(f"{problem}; run the command again, or render that night again.", code="damaged_job")
        beside = pc.struct_field(pc.list_flatten(results["renditions"].combine_chunks()), "image")
        images = pa.concat_arrays([results["image"].combine_chunks(), beside])
        found.append(images.filter(pc.invert(pc.starts_with(images, IMAGES)).fill_null(False)))
    return pc.unique(pa.concat_arrays(found))


def _rows_counted(job: Store) -> int:
    """The rows of which a finished job's summary tells; 0 where there is none."""
    try:
        told = json.loads(job.get(SUMMARY))
        return sum(int(told.get(status, 0)) for status in STATUSES)
    except FileNotFoundError:
        return 0
    except (ValueError, TypeError, AttributeError):
        raise JobError(
            f"{job.uri}/{SUMMARY} is damaged; render that night again to put it back.", code="damaged_job"
        ) from None
