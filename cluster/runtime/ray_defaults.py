"""What Ray does unless it is told not to, and should not do for us. All of it is set when Ray starts or is joined."""

import contextlib
import functools
import logging
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def without_monitors() -> Iterator[None]:
    """Inside it Ray starts without its autoscaler and its log forwarder: nothing scales on one machine, and nobody
    reads the workers' logs. Each is a Python process that takes 0.7 CPU seconds while the model's actors start."""
    from ray._private import parameter

    whole, logger = parameter.RayParams, logging.getLogger("ray")
    without: dict[str, Any] = {"no_monitor": True, "include_log_monitor": False}
    setattr(parameter, "RayParams", functools.partial(whole, **without))  # noqa: B010
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # what goes wrong is said in our sentence
    try:
        yield
    finally:
        logger.setLevel(level)
        setattr(parameter, "RayParams", whole)  # noqa: B010


@contextlib.contextmanager
def without_listener() -> Iterator[None]:
    """Inside it Ray starts without the thread that prints what went wrong anywhere: we say it ourselves. Once a head is
    gone, that thread asks it again and again, with a core of its own, until Ray gives up."""
    from ray._private import worker

    listen = worker.listen_error_messages
    setattr(worker, "listen_error_messages", lambda *_: None)  # noqa: B010
    try:
        yield
    finally:
        setattr(worker, "listen_error_messages", listen)  # noqa: B010


def refresh_settings() -> None:
    """Make a Ray that was imported earlier (a notebook's, a test's) see the environment as it is now."""
    import ray

    raylet: Any = ray._raylet  # a compiled module without type stubs
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = False
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


def forget_uv() -> None:
    """Ray started by `uv run` would carry the working folder to the workers."""
    import ray

    ray._private.ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = False


def no_folders() -> Any:
    """A job configuration by which workers import nothing from the driver's working folder and its script's, which
    Ray's own has them put first."""
    from ray.job_config import JobConfig

    class NoFolders(JobConfig):
        @property
        def _py_driver_sys_path(self) -> list[str]:
            return []

        @_py_driver_sys_path.setter
        def _py_driver_sys_path(self, _: list[str]) -> None: ...

    return NoFolders()
