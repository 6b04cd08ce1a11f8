"""Who asks for pictures: manifests, plans, results and the command line.

Read `driver`, then `order`, `plan`, `results`, `pictures`; the cluster's part is told in `cluster.dispatch`.
"""

from jobs.driver import forecast, render
from jobs.job import JobSpec
from jobs.summary import Summary

__all__ = ["JobSpec", "Summary", "forecast", "render"]
