"""Random schedules: what a store's users do, with kills, pauses and other people's changes at any call to a store.

A `Schedule` carries out steps and looks after each of them whether

1. what is not Pressrun's has the bytes that its owner gave it, and is there if its owner left it there. A publication
   may replace what stood under a name of its own when it was planned, once a copy is kept; nothing else may;
2. a job's picture has its bytes, and is there until a pruning takes it that has the right to, by dates read here;
3. a place holds what publications and undoings wrote there, each of which wrote what it is there for;
4. `verify` finds something in a job if and only if the auditor does, which shares no code with it.

In the end everything that was cut off is run again, and must come out clean.

    PYTHONPATH=. python -m tests.jobs.schedules SEED [folder|bucket] [--shortest]

replays one, and looks for the fewest of its steps that fail as well.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa

from pressrun.jobs.audit.verify import verify
from pressrun.pipeline.errors import JobError, StorageError
from tests.jobs.auditor import audit, files_under, read_file
from tests.jobs.bucket_in_memory import BucketInMemory
from tests.jobs.driven import LISTINGS, Driven, driven
from tests.jobs.killed import Killed
from tests.jobs.ledger import Frame, Ledger, Violation
from tests.jobs.steps import Step, steps_of
from tests.jobs.strangers import Strangers
from tests.jobs.users import PLACES, Users
from tests.jobs.worlds import BucketWorld, FolderWorld
from tests.opening import open_store

OUTLIVED_SEC = 1000.0


class Schedule:
    """One world and what is known of it; `told` are the steps so far in words."""

    def __init__(self, state: Driven, world: FolderWorld | BucketWorld) -> None:
        self._state, self._world = state, world
        self._ledger = Ledger(world, list(PLACES))
        self._strangers = Strangers(world, self._ledger)
        self.told: list[str] = []
        self._frames: list[Frame] = []
        self._within = False
        tables: dict[str, pa.Table] = {}
        self._users = Users(world, self._ledger, tables)
        self._again: dict[tuple[str, str], tuple[Frame, Callable[[], Any]]] = {}
        self._audited: dict[str, Any] = {}
        state.tables = tables

    def run(self, steps: Sequence[Step]) -> None:
        """Carry out all steps, then whatever was cut off once more. Raises Violation."""
        self._state.watcher = self
        try:
            for step in steps:
                self._take(step)
                self._look()
            self._end()
        finally:
            self._state.watcher = None

    def _take(self, step: Step) -> None:
        depth, number = "    " * len(self._frames), len(self.told)
        self.told.append(f"{depth}{step.what}: nothing to do it to")
        if step.what in ("somebody", "link"):
            if done := getattr(self._strangers, "act" if step.what == "somebody" else "link")(
                *step.numbers, self._frames
            ):
                self.told[number] = f"{depth}somebody {done}"
        elif wanted := getattr(self._users, step.what)(*step.numbers):
            frame, action = wanted
            self._operate(replace(frame, fault=step.fault), action)

    def _operate(self, frame: Frame, action: Callable[[], Any]) -> str:
        number, depth = len(self.told) - 1, "    " * len(self._frames)
        self.told[number] = f"{depth}{frame.words}" + (f" ({frame.fault})" if frame.fault else "")
        self._frames.append(frame)
        told = None
        try:
            told, ended = action(), ""
        except Killed:
            ended = f"killed at call {frame.calls}"
        except (JobError, StorageError) as error:
            ended = f"{type(error).__name__}: {error}"
        except Violation:
            raise
        except Exception as error:
            raise Violation(f"“{frame.words}” ended with {type(error).__name__}: {error}") from error
        finally:
            self._frames.pop()
        key = frame.what, frame.place or frame.job
        if ended.startswith(("killed", "StorageError")) or getattr(told, "stopped", None):
            self._again[key] = frame, action
        elif not ended:
            self._again = {one: what for one, what in self._again.items() if one[1] != key[1]}
            self._check_done(frame, told)
        self.told[number] += f" → {ended or getattr(told, 'stopped', None) or 'done'}"
        return ended

    # What is seen while they go on.

    def seen(self, store: Any, name: str, path: str | None, call: Callable[[], Any]) -> Any:
        """A call to a store: the moment for what is to happen meanwhile, and a change to be judged."""
        if not self._frames or self._within:
            return call()
        frame = self._frames[-1]
        if frame.dead:
            raise Killed
        frame.calls += 1
        if name in LISTINGS:
            found = self._uninterrupted(lambda: call() if name == "level" else iter(list(call())))
            self._meanwhile(frame)
            return found
        self._meanwhile(frame)
        real = self._world.real(f"{store.uri}/{path}".removeprefix(f"{self._world.uri}/")) if path else None
        if real is None or not self._ledger.watched(real):
            return self._uninterrupted(call)
        before = self._world.read(real)
        try:
            return self._uninterrupted(call)
        finally:
            self._ledger.changed(frame, real, before, self._world.read(real))

    def _uninterrupted(self, call: Callable[[], Any]) -> Any:
        self._within = True
        try:
            return call()
        finally:
            self._within = False

    def _meanwhile(self, frame: Frame) -> None:
        fault = frame.fault
        if fault is None or frame.calls != fault.at:
            return
        if fault.what == "kill":
            frame.dead = True
            raise Killed
        if fault.what == "pause":
            frame.paused = True
            self._state.clock.now += OUTLIVED_SEC
        self._take(fault.then)

    # What must hold.

    def _look(self) -> None:
        there = self._world.snapshot()
        self._ledger.look(there)
        for job in self._ledger.jobs:
            if f"{job}/job.json" in there:
                self._compare_audits(job, there)

    def _compare_audits(self, job: str, there: dict[str, Any]) -> None:
        uri = f"{self._world.uri}/{job}"
        files = {path.removeprefix(f"{job}/"): data for path, data in there.items() if path.startswith(f"{job}/")}
        start = f"{self._world.uri}/"
        elsewhere = lambda other: there.get(other.removeprefix(start))  # noqa: E731
        if isinstance(self._world, FolderWorld):
            elsewhere = read_file
            if any(isinstance(data, tuple) for data in files.values()):
                files = files_under(uri)
        state = files, len(self._ledger.spoiled), len(self._ledger.doomed), set(self._ledger.pictures)
        if self._audited.get(job, ((),))[0] == state:
            return
        found = audit(files, elsewhere)
        try:
            said = [
                f"{one.kind}: {one.message}"
                for one in self._uninterrupted(lambda: verify(open_store(uri))).discrepancies
            ]
        except JobError as error:
            said = [f"JobError: {error}"]
        self._audited[job] = state, found
        if bool(found) != bool(said):
            raise Violation(f"the auditor finds {found} in {job}, verify {said}")

    def _check_done(self, frame: Frame, told: Any) -> None:
        """What an operation is there for, where nobody got in its way."""
        if frame.paused:
            return
        if frame.what == "publish":
            excused = {name for names in ("missing", "damaged", "left") for name in getattr(told, names, ())}
            for name, digests in self._ledger.wanted(frame.job).items():
                path = f"{frame.place}/{name}"
                data = self._world.read(path)
                if path not in frame.disturbed and name not in excused:
                    if not isinstance(data, bytes) or sha256(data).hexdigest() not in digests:
                        raise Violation(f"“{frame.words}” is done, and {path} is not the job's picture")
        if frame.what == "undo":
            publication = self._ledger.publications[frame.undo]
            for path in publication.wrote.keys() - frame.disturbed:
                if self._world.read(path) != publication.before.get(path):
                    raise Violation(f"“{frame.words}” is done, and {path} is not as it was before")

    def _end(self) -> None:
        """Run what was cut off again, and all jobs that are not finished; everything has to come out clean then."""
        self._state.clock.now += OUTLIVED_SEC
        for what in ("undo", "publish", "prune"):
            for frame, action in [again for key, again in self._again.items() if key[0] == what]:
                self._finally(frame, action)
        for number, job in enumerate(sorted(self._ledger.jobs)):
            unfinished = self._world.read(f"{job}/job.json") and not self._world.read(f"{job}/summary.json")
            if unfinished and job not in self._ledger.doomed:
                wanted = self._users.render(4 * number, 0, 3, 1)
                if wanted is not None:
                    self._finally(*wanted)
        self._look()
        there = {path: data for path, data in self._world.snapshot().items() if path.endswith("/pending.json")}
        # One whose job was pruned meanwhile is ended by the next publication of another one, or undone.
        gone = {f"{self._world.uri}/{job}" for job in self._ledger.doomed}
        if pending := [path for path, data in there.items() if json.loads(data).get("job") not in gone]:
            raise Violation(f"{pending} is left in the end")
        excused = self._ledger.spoiled | self._ledger.doomed
        for job, (_, found) in self._audited.items():
            refers = {row["image"].partition("/images/")[0] for row in self._ledger.results(job) if row["image"]}
            # In a folder a row is kept where there is a picture, whatever has become of that; its digest tells.
            found = [one for one in found if not self._ledger.is_somebodys(f"{job}/{one.partition(': ')[2]}")]
            touched = {job, *(uri.removeprefix(f"{self._world.uri}/") for uri in refers)} & excused
            if found and self._world.read(f"{job}/job.json") and not touched:
                raise Violation(f"{job} is not clean in the end: {found}")

    def _finally(self, frame: Frame, action: Callable[[], Any]) -> None:
        self.told.append("")
        again = Frame(frame.what, f"in the end, {frame.words}", None, frame.job, frame.place, frame.remove, frame.keep)
        again.undo = frame.undo
        ended = self._operate(again, action)
        self._ledger.look(self._world.snapshot())
        if ended and not (ended.startswith("JobError") and frame.what in ("prune", "undo", "publish")):
            raise Violation(f"“{again.words}” ends with {ended}")


def new_world(state: Driven, kind: str, folder: Path) -> FolderWorld | BucketWorld:
    """An empty world in a folder, or in a bucket in memory."""
    state.client = None if kind == "folder" else BucketInMemory()
    return FolderWorld(folder) if kind == "folder" else BucketWorld(state.client, "schedules", "w")


def replay(state: Driven, world: FolderWorld | BucketWorld, steps: Sequence[Step]) -> tuple[str, list[str]]:
    """Run steps in an empty world: what was violated (empty: nothing), and the steps in words."""
    schedule, violated = Schedule(state, world), ""
    try:
        schedule.run(steps)
    except Violation as violation:
        violated = str(violation)
    return violated.replace(world.uri, "…"), [line.replace(world.uri, "…") for line in schedule.told]


def shortest(state: Driven, kind: str, folder: Path, steps: Sequence[Step]) -> list[Step]:
    """The steps without those without which something is violated all the same."""
    found = list(steps)
    for number in reversed(range(len(found))):
        fewer = found[:number] + found[number + 1 :]
        plain = [*found[:number], replace(found[number], fault=None), *found[number + 1 :]]
        for tried in (fewer, plain):
            if tried != found and replay(state, new_world(state, kind, folder), tried)[0]:
                found = tried
                break
    return found


def main() -> None:
    """Replay one seed and say how it went."""
    parser = argparse.ArgumentParser(prog="tests.jobs.schedules")
    parser.add_argument("seed", type=int)
    parser.add_argument("kind", nargs="?", choices=["folder", "bucket"], default="folder")
    parser.add_argument("--shortest", action="store_true")
    options = parser.parse_args()
    steps = steps_of(options.seed, options.kind)
    with driven() as state, tempfile.TemporaryDirectory() as folder:
        if options.shortest:
            steps = shortest(state, options.kind, Path(folder, "w"), steps)
        wrong, told = replay(state, new_world(state, options.kind, Path(folder, "w")), steps)
    print(*told, f"Violated: {wrong}" if wrong else "Nothing is violated.", sep="\n")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
