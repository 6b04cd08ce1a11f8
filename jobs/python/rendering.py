"""`pressrun.render`: a manifest from anywhere becomes pictures, and a job that can be looked at."""

import os
from collections.abc import Sequence
from dataclasses import MISSING, fields
from threading import Event

from pressrun.jobs.python.looking_on import progress_here
from pressrun.jobs.python.rendered_job import RenderedJob
from pressrun.jobs.run import driver
from pressrun.jobs.run.executor import Executor
from pressrun.jobs.spec.context import Context
from pressrun.jobs.spec.job_spec import JobSpec, ManifestSource
from pressrun.jobs.spec.progress import Progress
from pressrun.pipeline.errors import JobError


def render(
    manifest: JobSpec | ManifestSource,
    out: str | os.PathLike[str] | None = None,
    *,
    model: str | os.PathLike[str] = "mini",
    precision: str | None = None,
    format: str = "png",
    name: str = "{custom_id}",
    finish: str | os.PathLike[str] | None = None,
    sign: bool = False,
    keep_pixels: str | os.PathLike[str] | None = None,
    layout: str = "auto",
    replicas: int | None = None,
    shards: int | None = None,
    compile: bool = False,
    limit: int | None = None,
    max_failures: int | str | None = None,
    allow_hosts: Sequence[str] = (),
    accept_license: bool = False,
    since: str | os.PathLike[str] | None = None,
    wait: bool = False,
    max_images: int | None = None,
    max_minutes: float | None = None,
    events: Progress | None = None,
    stop: Event | None = None,
    context: Context | None = None,
    executor: Executor | None = None,
) -> RenderedJob:
    """Render a manifest into a folder or bucket, or go on where it stopped, and return what became of it.

    `manifest` is a path or `s3://` URI, or rows in memory: a frame of pandas, polars or DuckDB, an Arrow table, a list
    of dicts. It needs the columns `custom_id` and `prompt`; `width`, `height`, `steps`, `guidance`, `seed` and
    `references` are optional, and further ones come back with the results. `out` is where the pictures go. The
    options, from `model` on, are those of `pressrun render` and of JobSpec, which may stand in the place of them all.

    Progress shows in a notebook and on a terminal, unless `events` is told it: `Silent()` is quiet. Setting `stop`,
    Ctrl-C and a notebook's stop button end the run so that the same call goes on. `context` has the job's keys, those
    of the environment if it is left out; `executor` renders, else Ray workers that are started for it.

    Raises:
        JobError: the job is refused, with every reason in `problems`; nothing was rendered.
    """
    given = locals()
    options = {field.name: given[field.name] for field in fields(JobSpec)}
    spec = _alone(manifest, options) if isinstance(manifest, JobSpec) else JobSpec(**options)
    context = context or Context.of_this_process()
    summary = driver.render(spec, events or progress_here(), stop, context=context, executor=executor)
    return RenderedJob.of(summary, context.stores)


def _alone(spec: JobSpec, options: dict[str, object]) -> JobSpec:
    """The spec, if nothing is given beside it. Raises JobError."""
    unset = {field.name: None if field.default is MISSING else field.default for field in fields(JobSpec)}
    beside = [name for name, value in options.items() if name != "manifest" and value != unset[name]]
    if beside:
        raise JobError(
            *(f"`{name}` is given beside a JobSpec, which has one of its own: set it there." for name in beside),
            code="bad_option",
        )
    return spec
