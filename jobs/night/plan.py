"""What a night would do: each phase asked beforehand, with nothing written and no command run."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pressrun.cluster.store.opening import Stores
from pressrun.jobs.delivery.publishing import Published
from pressrun.jobs.delivery.retention import Pruned, prune
from pressrun.jobs.folder.job_file import JOB, SUMMARY
from pressrun.jobs.night.night_file import NightFile
from pressrun.jobs.night.tonight import night_before, tonights_name
from pressrun.jobs.night.webhook import keys_of
from pressrun.jobs.run.forecast import Forecast, forecast
from pressrun.jobs.spec.context import Context
from pressrun.pipeline.errors import JobError


@dataclass(frozen=True)
class NightPlan:
    """What tonight would be. `goes_on`: its job has begun already. `published` is what would be published of what is
    ready now, `before` the night that it would be compared with, `pruned` what would be removed once it is finished;
    None or "" for what the file does not ask for, or what is not known before the first night. `notes` are sentences:
    why pictures would not be withdrawn."""

    night: str
    job: str
    goes_on: bool
    render: Forecast
    published: Published | None = None
    before: str = ""
    pruned: Pruned | None = None
    notes: tuple[str, ...] = ()


def plan_night(
    file: NightFile, context: Context, *, name: str | None = None, started: datetime | None = None
) -> NightPlan:
    """What `run_night` would do with the manifest as it is now.

    Raises:
        JobError: as `run_night`.
    """
    stores = context.stores
    if file.webhook:
        keys_of(context.webhook_secret)
    night = tonights_name(file, context, started or datetime.now(UTC), name)
    job = stores.open(f"{file.nights}/{night}")
    goes_on, notes = job.head(JOB) is not None, list[str]()
    published = None
    render = forecast(file.spec(night), context=context)
    if file.publication and goes_on:
        finished = job.head(SUMMARY) is not None
        published = file.publication.publish(stores, job.uri, finished, notes.append, dry_run=True)
    return NightPlan(
        night,
        job.uri,
        goes_on,
        render,
        published,
        (night_before(stores, job.uri) or "") if file.diff_page else "",
        _pruned(stores, file, job.head(SUMMARY) is not None),
        tuple(notes),
    )


def _pruned(stores: Stores, file: NightFile, finished: bool) -> Pruned | None:
    """What would be pruned, if tonight is one of those that are kept."""
    if file.keep is None:
        return None
    try:
        return prune(stores, file.nights, file.keep if finished else max(1, file.keep - 1), dry_run=True)
    except JobError as error:
        if error.code == "no_job":  # there is no night yet
            return None
        raise
