"""Which night is tonight: its name, and the one before it."""

from collections.abc import Iterator
from datetime import datetime
from itertools import count

from pressrun.cluster.store.opening import Stores
from pressrun.jobs.folder.job_file import SUMMARY, read_job, refuse_another
from pressrun.jobs.folder.night_name import NightName
from pressrun.jobs.folder.series import LATEST, earlier_jobs
from pressrun.jobs.night.night_file import NightFile
from pressrun.jobs.resolve.resolved_job import resolve
from pressrun.jobs.spec.context import Context
from pressrun.pipeline.errors import JobError


def tonights_name(file: NightFile, context: Context, started: datetime, wanted: str | None = None) -> str:
    """The name of tonight's job: `wanted`, else the date, or where that is the name of another job already (tonight's
    manifest has changed since it was rendered) the date with a number behind it.

    Raises:
        JobError: `wanted` is no name of a night, or the manifest cannot be read.
    """
    if wanted is not None:
        if NightName.parse(wanted) is None or "/" in wanted:
            problem = f"`night` {wanted} is no name of a night"
            raise JobError(f"{problem}; call it 2026-11-30 or the like.", code="bad_option")
        return wanted
    order = None
    for name in _names(f"{file.local(started):%Y-%m-%d}"):
        store = context.stores.open(f"{file.nights}/{name}")
        try:
            read_job(store)
        except FileNotFoundError:
            return name
        except JobError as error:
            if error.code != "no_job":  # it was pruned
                raise
            continue
        order = order or resolve(file.spec(name), context)
        try:
            refuse_another(store, order.job)
            return name
        except JobError:
            continue
    raise AssertionError("numbers do not end")


def night_before(stores: Stores, job: str) -> str | None:
    """The last finished night before the one at `job`; None where there is none.

    Raises:
        JobError: the names of the nights do not tell.
    """
    earlier = earlier_jobs(stores, job, LATEST)
    return earlier[-1] if earlier and stores.open(earlier[-1]).head(SUMMARY) is not None else None


def _names(day: str) -> Iterator[str]:
    yield day
    yield from (f"{day}-{number}" for number in count(2))
