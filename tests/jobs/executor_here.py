"""An executor in this process, in one thread: no actors, and pixels from whoever is asked for them."""

import contextlib
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import numpy as np

from pressrun.cluster.actors.finisher import Finisher
from pressrun.cluster.protocol.unit import Item, Outcome, Unit
from pressrun.cluster.runtime.scratch import Scratch
from pressrun.jobs.planning.unit_sizing import UnitSizer
from pressrun.jobs.run.open_job import OpenJob
from pressrun.jobs.run.settling import Settled
from pressrun.jobs.spec.progress import Progress


class HereExecutor:
    """As `RayExecutor`; `draw` gives the pixels (H, W, 3) of an item of a job."""

    def __init__(self, draw: Callable[[OpenJob, Item], np.ndarray]) -> None:
        self._draw = draw

    @contextlib.contextmanager
    def session(
        self, job: OpenJob, todo: Settled, scratch: Scratch, events: Progress, stop: Event
    ) -> Iterator["HereSession"]:
        yield HereSession(job, todo, self._draw)


class HereSession:
    """One job's; a unit's outcomes come one by one, in the manifest's order."""

    pace, loaded = UnitSizer(), (1, 1)
    layout = "here"

    def __init__(self, job: OpenJob, todo: Settled, draw: Callable[[OpenJob, Item], np.ndarray]) -> None:
        self._job, self.todo, self._draw, self.rendered = job, todo, draw, 0

    def run(self, units: Iterator[Unit]) -> Iterator[list[Outcome]]:
        finisher = Finisher(self._job.finishing)
        for item in sorted((item for unit in units for item in unit.items), key=lambda item: item.row):
            done = finisher.finish(item, self._draw(self._job, item), "cpu")
            while isinstance(done, Item):
                done = finisher.finish(done, self._draw(self._job, done), "cpu")
            self.rendered += 1
            yield [done]

    def busy(self) -> dict[str, float]:
        return {}

    def trace(self) -> dict[str, Any]:
        return {}
