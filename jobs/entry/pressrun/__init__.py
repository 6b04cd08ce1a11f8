"""Pressrun: manifests of prompts become finished pictures.

    from pressrun import render
    job = render("catalog.parquet", "s3://bucket/run-1")

This is the package that everything is imported from: `pressrun.jobs`, `pressrun.cluster` and `pressrun.pipeline` are
the folders of these names in a checkout, and pip puts them under this one (see pyproject.toml).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pressrun.jobs.python.rendered_job import RenderedJob
    from pressrun.jobs.python.rendering import render
    from pressrun.jobs.results.summary import Summary
    from pressrun.jobs.run.forecast import forecast
    from pressrun.jobs.spec.context import Context
    from pressrun.jobs.spec.job_spec import JobSpec
    from pressrun.jobs.spec.progress import Progress, Silent
    from pressrun.pipeline.errors import JobError, PressrunError

__all__ = [
    "Context",
    "JobError",
    "JobSpec",
    "PressrunError",
    "Progress",
    "RenderedJob",
    "Silent",
    "Summary",
    "forecast",
    "render",
]

_HOMES = {
    "Context": "pressrun.jobs.spec.context",
    "JobError": "pressrun.pipeline.errors",
    "JobSpec": "pressrun.jobs.spec.job_spec",
    "PressrunError": "pressrun.pipeline.errors",
    "Progress": "pressrun.jobs.spec.progress",
    "RenderedJob": "pressrun.jobs.python.rendered_job",
    "Silent": "pressrun.jobs.spec.progress",
    "Summary": "pressrun.jobs.results.summary",
    "forecast": "pressrun.jobs.run.forecast",
    "render": "pressrun.jobs.python.rendering",
}


def __getattr__(name: str) -> Any:
    """Imported when asked for: a process that reads a manifest, or an actor, needs a few modules, not all of them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """What is there to be imported, for whoever presses Tab."""
    return [*__all__]
