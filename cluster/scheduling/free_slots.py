"""The roster: which workers have a free slot, by stage and load. Kept up to date call by call, so that finding one
costs the same on a crew of a thousand as on a crew of two."""

from pressrun.cluster.scheduling.worker import Worker

Rank = tuple[bool, int]
"""Whether a call more would only wait there, and how many calls the worker holds: the lowest is asked first."""


class SlotIndex:
    """`free` names the least-loaded worker; whoever changes a worker's calls, or loads or loses it, calls `update`."""

    def __init__(self) -> None:
        self._free: dict[str, dict[Rank, dict[Worker, None]]] = {}
        self._places: dict[Worker, dict[str, Rank]] = {}

    def update(self, worker: Worker) -> None:
        """Note how loaded a worker is now. Nothing is bound before it has loaded, so that whoever dies while loading
        has nobody else to blame; nothing joins a suspect, which runs alone, or a worker that leaves."""
        self.remove(worker)
        if not worker.loaded or worker.leaving or any(call.cause.suspect for call in worker.calls):
            return
        places = self._places[worker] = {}
        for stage in worker.stages:
            held = worker.load(stage)
            if held < worker.slots:
                places[stage] = (held >= worker.computing, len(worker.calls))
                self._free.setdefault(stage, {}).setdefault(places[stage], {})[worker] = None

    def remove(self, worker: Worker) -> None:
        """Forget a worker."""
        for stage, rank in self._places.pop(worker, {}).items():
            ranks = self._free[stage]
            del ranks[rank][worker]
            if not ranks[rank]:
                del ranks[rank]

    def free(self, stage: str, *, alone: bool = False, ahead: bool = True) -> Worker | None:
        """A worker with a free slot: with `alone` one that holds nothing, without `ahead` one that could compute the
        call at once."""
        ranks = self._free.get(stage)
        if not ranks:
            return None
        waits, load = rank = min(ranks)
        if (alone and load) or (waits and not ahead):
            return None
        return next(iter(ranks[rank]))
