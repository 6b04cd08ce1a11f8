"""A Ray cluster of several nodes on this machine: nodes join, are told to leave, and die."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from tests.conftest import ROOT

SETTINGS = {
    "PYTHONPATH": str(ROOT),
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "c1" * 32,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}
"""What every process of the cluster and whoever joins it has in its environment."""

PREEMPTION = 2  # DrainNodeReason in Ray's gcs.proto


class ClusterHere:
    """`address` is what RAY_ADDRESS takes."""

    def __init__(self, head_cpus: int) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": head_cpus, "include_dashboard": False, "include_log_monitor": False, "memory": 24e9}
        self._cluster: Any = Cluster(initialize_head=True, head_node_args=head)
        self.address: str = self._cluster.address
        self.nodes: list[Any] = []
        self._started = _processes(self._cluster.head_node)

    def add(self, **resources: Any) -> Any:
        """One more node, once it is there."""
        self.nodes.append(self._cluster.add_node(include_log_monitor=False, **resources))
        self._started += _processes(self.nodes[-1])
        return self.nodes[-1]

    def tell_to_leave(self, node: Any, seconds: float = 300) -> None:
        """What a provider does before it takes a machine back."""
        from ray._raylet import GcsClient

        accepted, why = GcsClient(address=self.address).drain_node(
            node.node_id, PREEMPTION, "taken back", int((time.time() + seconds) * 1000)
        )
        assert accepted, why

    def kill(self, node: Any) -> None:
        """Everything on it is gone from one moment to the next."""
        started = _processes(node)
        family = [child for process in started for child in psutil.Process(process.pid).children(recursive=True)]
        for process in [*started, *family]:
            process.kill()
        for process in started:
            process.wait()

    def kill_raylet(self, node: Any) -> None:
        """Ray's own process there is gone; whatever it started has to notice."""
        [raylet] = node.all_processes["raylet"]
        raylet.process.kill()
        raylet.process.wait()

    def kill_head(self) -> None:
        """The node that the cluster is run from, its records and its raylet."""
        self.kill(self._cluster.head_node)

    def close(self) -> None:
        """End every process that was started."""
        self._cluster.shutdown()
        for process in self._started:
            process.kill()
            process.wait()

    def remove(self, node: Any) -> None:
        """A node that holds nothing any more."""
        self._cluster.remove_node(node)


def _processes(node: Any) -> list[subprocess.Popen]:
    return [started.process for kind in node.all_processes.values() for started in kind]


def _refresh_settings() -> None:
    """A Ray that this process imported earlier sees the environment as it is now."""
    import ray

    raylet: Any = ray._raylet
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = True
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def cluster_here(head_cpus: int) -> Iterator[ClusterHere]:
    """A cluster for the length of the context."""
    before = {name: os.environ.get(name) for name in SETTINGS}
    os.environ.update(SETTINGS)
    cluster = None
    _refresh_settings()
    try:
        cluster = ClusterHere(head_cpus)
        yield cluster
    finally:
        if cluster is not None:
            cluster.close()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
