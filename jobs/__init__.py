"""Who asks for pictures: manifests, plans, results and the command line.

Read `driver`, then `order`, `plan`, `results`, `pictures`; the cluster's part is told in `cluster.dispatch`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.driver import forecast, render
    from jobs.job import JobSpec
    from jobs.summary import Summary

__all__ = ["JobSpec", "Summary", "forecast", "render"]

_HOMES = {"JobSpec": "jobs.job", "Summary": "jobs.summary", "forecast": "jobs.driver", "render": "jobs.driver"}


def __getattr__(name: str) -> Any:
    """Imported when asked for: the process that reads a manifest needs one module of this package, not all of them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
