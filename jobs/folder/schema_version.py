"""The schema version that job.json, results, summary.json and metadata.csv carry, under one name.

It is raised when an older Pressrun could not read what is written any more; what says none is of version 1, which
Pressrun 0.1.0 wrote without saying so. job.json is as old as the job, the others as the run that wrote them. Results
are read wherever a job is, and never older than its summary and pages, so job.json and results are what is asked.
"""

from pressrun.pipeline.errors import JobError

NAME = "schema_version"
"""The field of job.json and summary.json, the last column of metadata.csv; in results, the key of the file's metadata
after `pressrun.`."""

VERSION = 1


def refuse_newer(told: object, uri: str) -> None:
    """Refuse the file at `uri` if the version that it tells is newer than ours.

    Raises:
        JobError: it is.
        ValueError: what it tells is no version.
    """
    if not str(told).isdecimal():
        raise ValueError(f"{told!r} is no schema version")
    if int(str(told)) > VERSION:
        versions = f"schema version {told}, and this one reads up to {VERSION}"
        raise JobError(f"{uri} was written by a newer Pressrun ({versions}): update Pressrun.", code="newer_version")
