"""Ray for the length of one run: started on this machine, or joined where `RAY_ADDRESS` says.

A local Ray listens on loopback only, has no dashboard, sends no statistics, keeps its files in a scratch folder of
its own and is gone when the context ends, whatever ended it (see `reaper`). A joined cluster is left as it was:
only our actors end. There our code travels as Ray `py_modules`, mini's weights as `actors.packaged_weights` says. Any
other model is looked up by name on each node (`PRESSRUN_MODELS`, or the same folder path), and the AWS credentials
travel as actor arguments, never as part of the runtime environment, which Ray writes into its logs.
"""

import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

from pressrun.cluster.placement.devices import OBJECT_STORE_LIMIT, OBJECT_STORE_SHARE
from pressrun.cluster.runtime.last_words import RAYLET, said_in
from pressrun.cluster.runtime.ray_defaults import (
    forget_uv,
    no_folders,
    refresh_settings,
    without_listener,
    without_monitors,
)
from pressrun.cluster.runtime.scratch import Scratch, temporary
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.import_path import LAST, PACKAGE, ROOT, installed_apart, named_elsewhere

LEFT_OUT = ["**/__pycache__", "**/mini/training", "**/mini/model/**/*.safetensors"]
"""What of our package does not travel to a joined cluster with the code."""


@contextlib.contextmanager
def ray_runtime(scratch: Scratch | None = None) -> Iterator[None]:
    """Ray is initialised inside the context and shut down after it; a local one takes its `scratch` down with it.

    Raises:
        JobError: the cluster named by `RAY_ADDRESS` does not answer, Ray cannot be started here, or this process (a
            notebook, say, or another of its threads) uses Ray already.
    """
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        raise JobError(
            "Ray is in use in this process already, and a run starts or joins its own: call ray.shutdown() first, wait "
            "for the other run, or render in a process of its own.",
            code="cluster",
        )
    address = joined()
    with stdout_to_stderr():
        with _joined(address) if address else _local(scratch or Scratch()):
            yield


def joined() -> str:
    """The address of the cluster that a run joins; "" where Ray is this machine's own, which Ray calls "local"."""
    address = os.environ.get("RAY_ADDRESS", "").strip()
    return "" if address.lower() == "local" else address


def asks_for_token() -> bool:
    """Whether this process shows a token to the cluster that it joins, which Ray does if the cluster wants one."""
    return os.environ.get("RAY_AUTH_MODE", "").lower() in ("token", "k8s")


@contextlib.contextmanager
def _joined(address: str) -> Iterator[None]:
    import ray

    if address.startswith("ray://"):
        raise JobError(
            f"RAY_ADDRESS={address} is an address of Ray Client, through which no run goes: give the head's own, "
            "HOST:6379, on a machine that reaches the cluster's nodes.",
            code="cluster",
        )
    try:
        head = _found(address)
        _knock(head)
        forget_uv()
        with temporary(tempfile.TemporaryDirectory) as folder, without_listener():
            ray.init(
                address=head,
                namespace=f"pressrun-{secrets.token_hex(4)}",
                runtime_env={
                    "py_modules": [package(Path(folder))],
                    "excludes": LEFT_OUT,
                    "worker_process_setup_hook": "pressrun.cluster.runtime.worker_process.prepare",
                },
                job_config=no_folders(),
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except Exception as error:  # Ray raises nearly anything, bare exceptions included
        raise JobError(
            f"The Ray cluster at RAY_ADDRESS={address} could not be joined ({first_line(error)}); check the address, "
            "that its token is ours (RAY_AUTH_MODE, RAY_AUTH_TOKEN) and its Ray and Python versions are, or unset "
            "RAY_ADDRESS to run on this machine.",
            code="cluster",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _found(address: str) -> str:
    """For `auto` the address of the cluster that runs here, or did. Raises ConnectionError where there is none."""
    from ray._private.services import canonicalize_bootstrap_address_or_die

    return canonicalize_bootstrap_address_or_die(address) if address == "auto" else address


def _knock(address: str) -> None:
    """Raise OSError where nobody answers at `host:port`: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def head_answers() -> bool:
    """Whether anybody takes connections where the head of the cluster is that this process is connected with."""
    import ray

    node: Any = ray._private.worker._global_node
    try:
        _knock(node.gcs_address)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _local(scratch: Scratch) -> Iterator[None]:
    folder = scratch.folder  # from now on what is started carries the run's mark
    environment = _environment(folder)
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        import psutil
        import ray

        refresh_settings()
        forget_uv()
        memory = psutil.virtual_memory().available
        try:
            with without_monitors(), without_listener():
                ray.init(
                    address="local",
                    num_cpus=len(os.sched_getaffinity(0)),
                    num_gpus=0 if "+cpu" in version("torch") else None,
                    object_store_memory=int(min(memory * OBJECT_STORE_SHARE, OBJECT_STORE_LIMIT)),
                    include_dashboard=False,
                    job_config=no_folders(),
                    configure_logging=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _temp_dir=str(folder),
                )
        except Exception as error:  # as above
            said = said_in(folder / "session_latest/logs" / RAYLET) or first_line(error)
            raise JobError(f"Ray could not be started on this machine: {said}", code="cluster") from error
        yield
    finally:
        with contextlib.suppress(Exception):
            ray.shutdown()  # first: it would make its folder again
        scratch.close()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _environment(folder: Path) -> dict[str, str]:
    """What a local Ray and its workers are started with; their files go into the run's folder."""
    return {
        "PYTHONPATH": os.pathsep.join([str(Path(package(folder / "packages")).parent), *installed_apart()]),
        LAST: os.pathsep.join(named_elsewhere()),
        "PYTHONSAFEPATH": "1",
        "RAY_prestart_worker_first_driver": "0",  # else it waits, for ever, for workers that cannot start
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # every listener on 127.0.0.1, read when ray is imported
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),  # given here, nothing is written into the home folder
        "RAY_DISABLE_IMPORT_WARNING": "1",
        "SPT_NOENV": "1",  # setproctitle would overwrite the mark in Ray's processes
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),  # torch makes one in /tmp as soon as it is imported
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }


def package(folder: Path) -> str:
    """Our package as workers import it, as links in `folder`: without the command line, and beside nothing else."""
    links = folder / "pressrun"
    links.mkdir(parents=True)
    (links / "__init__.py").symlink_to(Path(PACKAGE, "__init__.py"))
    for name in ("pipeline", "cluster"):
        (links / name).symlink_to(Path(ROOT, name))
    return str(links)


def first_line(error: BaseException) -> str:
    """The first line of a foreign error's text: enough for a person, without its stack."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Whatever Ray and its children print goes to stderr, so that stdout has only what we print."""
    _flush()
    try:
        saved = os.dup(1)
    except OSError:  # no stdout at all
        yield
        return
    os.dup2(2, 1)
    try:
        yield
    finally:
        _flush()
        os.dup2(saved, 1)
        os.close(saved)


def _flush() -> None:
    """Let out what was printed, as far as that can be done: a full disk, or a reader that is gone, stops no run."""
    with contextlib.suppress(OSError, ValueError):
        print(end="", flush=True)  # `sys.stdout` is None where a program started without one


def open_streams() -> None:
    """Where stdin, stdout or stderr is closed, what is opened next would get its number and be taken for it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM is Ctrl-C, whatever goes on; while Ray runs, `Interrupt` takes both."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Interrupt:
    """Ctrl-C and SIGTERM: the first asks the run to stop, the second ends the process at once.

    Entered before Ray starts, because an interrupted `ray.init` leaves a process that crashes at its end, and to be
    installed again after it, because `ray.init` puts handlers of its own in place. Elsewhere than in the main thread
    nothing is done.
    """

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interrupt":
        self.install()
        return self

    def install(self) -> None:
        """Take the signals, again if need be; what was there at first comes back at the end."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.signal(number, self._handle)
                self._before.setdefault(number, before)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.stop.is_set():
            os._exit(128 + number)  # the reaper sees the pipe end and clears Ray away
        self.stop.set()
