"""Pressrun driven in this process, in one thread and in milliseconds: pixels are made up, nothing waits for the disk or
for a clock, and whoever watches sees every call to a store that writes or lists, before it happens.

The finisher, the driver, results, closing, publishing, pruning and the stores are the real ones.
"""

import contextlib
import functools
import hashlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pressrun.cluster.protocol.unit import Item
from pressrun.cluster.store import lease, s3_store, watch
from pressrun.cluster.store.folder_store import FolderStore
from pressrun.cluster.store.lease import Lease
from pressrun.cluster.store.s3_store import S3Store
from pressrun.jobs.run import driver
from pressrun.jobs.run.open_job import OpenJob
from tests.jobs.bucket_in_memory import Nobody
from tests.jobs.executor_here import HereExecutor

LISTINGS = ("list", "paths", "level")
READS = ("get", "get_range", "head", "linked", "public", "prepare")
UNDOS_KEPT = 2
"""Publications that can be undone here, so that few steps make one too old."""
WITHIN = ("adopt",)
"""Methods that call others for each of many objects: those are seen."""


class Watcher(Protocol):
    def seen(self, store: Any, name: str, path: str | None, call: Callable[[], Any]) -> Any:
        """Make the call, or not."""


class Clock:
    """Stands for `time` where leases are timed: it goes on when somebody sleeps, or is made to."""

    CLOCK_BOOTTIME = CLOCK_MONOTONIC = 0

    def __init__(self) -> None:
        self.now = 1e6

    def monotonic(self) -> float:
        return self.now

    def clock_gettime(self, _: int) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class AtOnce:
    """An executor that does everything when it is asked, in the order in which it is asked."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> "AtOnce":
        return self

    def __exit__(self, *_: Any) -> None: ...

    def submit(self, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(call(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def map(self, call: Callable[..., Any], *of: Iterable[Any]) -> Iterator[Any]:
        return iter([call(*arguments) for arguments in zip(*of, strict=False)])


def drawn(job: OpenJob, item: Item) -> np.ndarray:
    """Pixels that are made up of the render key; what is known by then is written now and then."""
    if item.row % 2:
        job.results.flush()
    return made_up(item.render_key)


def made_up(key: str) -> np.ndarray:
    """Pixels (16, 16, 3) of their own for each key, and files of many sizes."""
    digest = np.frombuffer(hashlib.sha256(key.encode()).digest(), np.uint8)
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels.reshape(-1)[: 32 + 4 * int(digest[0])] = np.resize(digest, 32 + 4 * int(digest[0]))[:768]
    return pixels


class Driven:
    """What is going on: who watches (nobody: None), the tables that are read as manifests, the leases' clock."""

    def __init__(self) -> None:
        self.watcher: Watcher | None = None
        self.tables: Mapping[str, pa.Table] = {}
        self.client: Any = None
        self.clock = Clock()


@contextlib.contextmanager
def driven() -> Iterator[Driven]:
    """Pressrun as it is told of above, until the end of the context."""
    state = Driven()
    with pytest.MonkeyPatch.context() as patch:
        threads = pa.cpu_count()
        pa.set_cpu_count(1)
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(pq.ParquetFile, "read", _in_this_thread(pq.ParquetFile.read))
        patch.setattr(lease, "time", state.clock)
        patch.setattr(watch, "time", state.clock)
        patch.setattr(Lease, "_keep", lambda self: None)
        patch.setattr(driver, "RayExecutor", lambda: HereExecutor(drawn))
        patch.setattr("pressrun.jobs.resolve.resolved_job.read_manifest", lambda stores, uri: state.tables[uri])
        patch.setattr(S3Store, "prepare", lambda self: None)
        real_client = s3_store.s3_client
        patch.setattr(s3_store, "s3_client", lambda environment: state.client or real_client(environment))
        anybody = s3_store.unsigned_client
        patch.setattr(s3_store, "unsigned_client", lambda named: Nobody() if state.client else anybody(named))
        patch.setattr("pressrun.jobs.delivery.publish_target.UNDOS_KEPT", UNDOS_KEPT)
        for module in [one for name, one in sys.modules.items() if name.startswith("pressrun.")]:
            if hasattr(module, "ThreadPoolExecutor"):
                patch.setattr(module, "ThreadPoolExecutor", AtOnce)
            for slow in ("look_up", "find_model", "model_digest", "product_version", "_generator", "likely_device"):
                if callable(found := getattr(module, slow, None)) and not hasattr(found, "cache_clear"):
                    patch.setattr(module, slow, functools.cache(found))
        for kind in (FolderStore, S3Store):
            for name in [name for name in vars(kind) if name[0] != "_" or name == "_adopt"]:
                if inspect.isfunction(getattr(kind, name)) and name not in (*READS, *WITHIN):
                    patch.setattr(kind, name, _watched(state, name, getattr(kind, name)))
        yield state
        pa.set_cpu_count(threads)


def _in_this_thread(read: Callable[..., pa.Table]) -> Callable[..., pa.Table]:
    """Reading Parquet without handing each column to a thread: of so little that is most of the time."""
    return lambda self, columns=None, **_: read(self, columns, use_threads=False)


def _watched(state: Driven, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    parameters = list(inspect.signature(real).parameters)
    place = parameters.index("path") if "path" in parameters else None

    @functools.wraps(real)
    def call(*arguments: Any, **named: Any) -> Any:
        if state.watcher is None:
            return real(*arguments, **named)
        path = named.get("path", arguments[place] if place is not None and place < len(arguments) else None)
        return state.watcher.seen(arguments[0], name, path, lambda: real(*arguments, **named))

    return call
