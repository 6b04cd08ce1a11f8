"""The actor that fetches references and finishes pictures, for whichever job a call is made."""

import os
import threading
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from pressrun.cluster.actors.actors import node_here
from pressrun.cluster.actors.finisher import Finisher, refusal
from pressrun.cluster.protocol.job_context import JobContext
from pressrun.cluster.protocol.unit import Item, Outcome, Reference, Report, Unit
from pressrun.cluster.references.source import ReferenceSource
from pressrun.cluster.runtime.ray_errors import internal_error_message
from pressrun.pipeline.errors import RequestError, StorageError

_JOBS_OPEN = 8
"""Jobs whose stores and rules an actor keeps open."""


class JobActor:
    """Threaded, without a model: fetches references and turns pixels into stored pictures while others compute.

    Whose job that is comes with each call. What it has opened for a job it keeps as long as that is one of the last
    few, and nothing of it is seen by another one.
    """

    def __init__(self, threads: int) -> None:
        self._jobs: OrderedDict[str, _Opened] = OrderedDict()
        self._opening = threading.Lock()
        self._threads = ThreadPoolExecutor(threads)

    def ready(self, job: JobContext) -> tuple[str, ...]:
        """As a model actor's; a folder that is another disk's would swallow the pictures, so the job must be seen."""
        return "cpu", self._opened(job).finisher.problem(), node_here()

    def fetch(self, job: JobContext, reference: Reference) -> tuple[np.ndarray | None, Report]:
        """The reference's pixels (H, W, 3), uint8."""
        started, failures, pixels, storage_error = time.time(), {}, None, None
        try:
            pixels = self._opened(job).references.pixels(reference)
        except RequestError as error:
            failures[0] = (error.code, error.message)
        except StorageError as error:
            storage_error = str(error)
        more: dict[str, Any] = {"failures": failures, "storage_error": storage_error}
        return pixels, Report("fetch", started, time.time(), "cpu", os.getpid(), **more)

    def _opened(self, job: JobContext) -> "_Opened":
        with self._opening:
            if job.key not in self._jobs:
                self._jobs[job.key] = _Opened(Finisher(job.finishing), ReferenceSource(job))
                while len(self._jobs) > _JOBS_OPEN:
                    self._jobs.popitem(last=False)
            self._jobs.move_to_end(job.key)
            return self._jobs[job.key]

    def finish(self, job: JobContext, unit: Unit, device: str, pixels: list[np.ndarray]) -> Report:
        """Every item's picture checked, encoded, marked and stored; the outcomes are in the report."""
        started, finisher = time.time(), self._opened(job).finisher
        calls = [
            self._threads.submit(finisher.finish, item, picture, device)
            for item, picture in zip(unit.items, pixels, strict=True)
        ]
        outcomes: list[Outcome] = []
        again: list[Item] = []
        storage_error = None
        for item, call in zip(unit.items, calls, strict=True):
            try:
                done = call.result()
                if isinstance(done, Item):
                    again.append(done)
                else:
                    outcomes.append(done)
            except RequestError as error:
                outcomes.append(refusal(item, error))
            except StorageError as error:
                storage_error = str(error)
            except MemoryError:
                raise
            except Exception as error:  # our bug; the pictures beside it are stored, and their rows say so
                outcomes.append(refusal(item, RequestError("internal_error", internal_error_message(error))))
        return Report(
            "finish",
            started,
            time.time(),
            "cpu",
            os.getpid(),
            outcomes=tuple(outcomes),
            again=tuple(again),
            storage_error=storage_error,
        )


@dataclass(frozen=True)
class _Opened:
    """What is open for one job."""

    finisher: Finisher
    references: ReferenceSource
