"""A job after a run, to be looked at: its counts, its rows, its pictures, its failures."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.result_schema import STATUSES
from pressrun.jobs.python.grid import grid
from pressrun.jobs.results.job_rows import failures_of, job_rows
from pressrun.jobs.results.picture_files import read_picture
from pressrun.jobs.results.summary import Summary
from pressrun.jobs.spec.context import Context
from pressrun.jobs.text.wording import several, shortened
from pressrun.pipeline.errors import JobError, PressrunError, RequestError


class RenderedJob(Summary):
    """What `pressrun.render` returns: the summary of the run, and the job behind it.

    Rows and pictures are read from the job's folder or bucket whenever they are asked for, so they are those of now.
    The keys that open the bucket are no part of the summary: neither `repr`, JSON nor a pickle holds them.
    """

    _stores: Stores | None = None

    @classmethod
    def of(cls, summary: Summary, stores: Stores) -> "RenderedJob":
        """A summary whose job `stores` opens."""
        job = cls(**{field.name: getattr(summary, field.name) for field in fields(summary)})
        object.__setattr__(job, "_stores", stores)
        return job

    def table(self) -> pa.Table:
        """The results so far in the manifest's order, a row for each that has one: status, image, seed, digest,
        seconds, error …, then the manifest's further columns. `.to_pandas()`, or `polars.from_arrow`, makes a frame.

        Raises:
            JobError: the job is gone, or damaged.
        """
        return job_rows(self._store())

    def failures(self) -> pa.Table:
        """The rows that failed or were rejected: custom_id, status, error_code, error_message, then the manifest's
        further columns. Raises as `table` does."""
        return failures_of(self.table())

    def picture(self, custom_id: str | int) -> Image.Image:
        """The picture of one row.

        Raises:
            JobError: the row is not of this job, or has no picture; it says why.
        """
        rows = job_rows(self._store(), ("image", "error_message"))
        found = rows.filter(pc.equal(rows["custom_id"], str(custom_id))).to_pylist()
        if not found or found[0]["image"] is None:
            why = (found[0]["error_message"] or found[0]["status"]) if found else "there is no result of it"
            raise JobError(f"Row “{shortened(custom_id)}” has no picture: {why}", code="nothing_to_do")
        return _picture(self._store(), found[0]["image"])

    def pictures(self) -> Iterator[tuple[str, Image.Image]]:
        """Every picture with its custom_id, in the manifest's order; each is read when it is its turn. Raises as
        `picture` does."""
        store = self._store()
        rows = job_rows(store, ("image",))
        for row in rows.filter(rows["image"].is_valid()).to_pylist():
            yield row["custom_id"], _picture(store, row["image"])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.out}: {self._counts()}>"

    def _repr_html_(self) -> str | None:
        """The first pictures, for a notebook; None, and thus `repr`, where the job cannot be read."""
        try:
            store = self._store()
            return grid(store, job_rows(store, ("image",)), f"{self.out}: {self._counts()}", self.causes)
        except (PressrunError, OSError):
            return None

    def _counts(self) -> str:
        counts = [f"{getattr(self, name):,} {name}" for name in (*STATUSES, "pending") if getattr(self, name)]
        stopped = f"; stopped: {self.stopped} The same call goes on." if self.stopped else ""
        return f"{several(self.rows, 'row')}, {', '.join(counts)}{stopped}"

    def _store(self) -> Store:
        return (self._stores or Context.of_this_process().stores).open(self.out)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_stores"}


def _picture(store: Store, image: str) -> Image.Image:
    try:
        return read_picture(store, image)
    except (OSError, ValueError, RequestError) as error:
        raise JobError(
            f"The picture {shortened(image, 300)} cannot be read; render again to have it made.", code="damaged_job"
        ) from error
