"""The actors of one model on a cluster: they hold nothing of a job, so several jobs can have them at once.

Each job has workers of its own (`lease`), which know the calls that it made; the actors behind them are the same. An
actor that is lost is started once, whoever notices first.
"""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ray

from pressrun.cluster.actors.packaged_weights import offered
from pressrun.cluster.placement.devices import Devices
from pressrun.cluster.placement.layout import Layout
from pressrun.cluster.placement.node_placement import NodePlacer
from pressrun.cluster.protocol.job_context import JobContext
from pressrun.cluster.protocol.spec import ModelSpec
from pressrun.cluster.runtime.ray_runtime import joined
from pressrun.cluster.scheduling.worker import Post, Worker, end_actor, job_post, model_post
from pressrun.cluster.scheduling.worker_pool import PoolSizes, WorkerPool, finishers


class ActorPool:
    """Starts the actors that a layout asks for, when somebody asks for them; safe for threads."""

    def __init__(self, layout: Layout, spec: ModelSpec, devices: Devices | None = None) -> None:
        self.layout = layout
        self._homes = NodePlacer(devices)
        weights = offered(spec.model) if joined() else ()
        self._spec = replace(spec, device=layout.device, weights=weights)
        self._roles = {role.title: role for role in layout.roles}
        self._posts: dict[str, Post] = {}
        self._handles: dict[str, Any] = {}
        self._lock = threading.Lock()

    def lease(self, job: JobContext, wanted: Callable[[Devices], PoolSizes] | None = None) -> WorkerPool:
        """Workers for one job. With `wanted` their number follows the cluster; only a job that is alone asks so."""
        context = ray.put(job)  # travels once to each node, and not with every call

        def hire(name: str) -> Worker:
            post = self._post(name)
            ask = _ready_for(context) if "finish" in post.stages else _ready
            start, stop = lambda: self._handle(name), lambda handle: self._stop(name, handle)
            return Worker(name, post.stages, post.slots, start, stop, ask, shards=post.shards)

        names = [name for name, _ in self.layout.members()]
        names += [f"finish-{number}" for number in range(finishers(self.layout.replicas))]
        return WorkerPool(self.layout, [hire(name) for name in names], hire, wanted, self._homes, context)

    def close(self) -> None:
        """End every actor; on a joined cluster nothing else ends them before the driver's process does."""
        for name, handle in list(self._handles.items()):
            self._stop(name, handle)

    def _post(self, name: str) -> Post:
        with self._lock:
            if name not in self._posts:
                role = self._roles.get(name.rpartition("-")[0])
                self._posts[name] = model_post(role, self._spec, self._homes) if role else job_post(self._homes)
            return self._posts[name]

    def _handle(self, name: str) -> Any:
        """The actor of that name, started if there is none."""
        post = self._post(name)
        with self._lock:
            if name not in self._handles:
                self._handles[name] = post.start()
            return self._handles[name]

    def _stop(self, name: str, handle: Any) -> None:
        """End an actor, unless another has been started in its place."""
        with self._lock:
            if self._handles.get(name) is not handle:
                return
            del self._handles[name]
            end_actor(handle)
            with contextlib.suppress(Exception):
                self._posts[name].end()


def _ready(handle: Any) -> Any:
    return handle.ready.remote()


def _ready_for(context: Any) -> Callable[[Any], Any]:
    return lambda handle: handle.ready.remote(context)
