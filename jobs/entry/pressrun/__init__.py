"""Pressrun: manifests of prompts become finished pictures.

    from pressrun import JobSpec, render
    summary = render(JobSpec(manifest="catalog.parquet", out="s3://bucket/run-1"))

This is the package that everything is imported from: `pressrun.jobs`, `pressrun.cluster` and `pressrun.pipeline` are
the folders of these names in a checkout, and pip puts them under this one (see pyproject.toml).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pressrun.jobs.results.summary import Summary
    from pressrun.jobs.run.driver import render
    from pressrun.jobs.run.forecast import forecast
    from pressrun.jobs.spec.job_spec import JobSpec

__all__ = ["JobSpec", "Summary", "forecast", "render"]

_HOMES = {
    "JobSpec": "pressrun.jobs.spec.job_spec",
    "Summary": "pressrun.jobs.results.summary",
    "forecast": "pressrun.jobs.run.forecast",
    "render": "pressrun.jobs.run.driver",
}


def __getattr__(name: str) -> Any:
    """Imported when asked for: a process that reads a manifest, or an actor, needs a few modules, not all of them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
