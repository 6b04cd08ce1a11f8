"""What is known of a world in a random schedule, and the rules by which it may change: see `tests.jobs.schedules`.

Everything in a world is somebody else's (`theirs`), a job's picture (`pictures`), what Pressrun has put into a served
place (`ours`), or in one of the places that are Pressrun's own. Dates and results are read here anew.
"""

import io
import re
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import Any

import pyarrow.parquet as pq

from tests.jobs.driven import UNDOS_KEPT
from tests.jobs.worlds import BucketWorld, FolderWorld

_OUR_PLACES = re.compile(r"(.*/)?(\.lock|\.published|\.tmp|\.probe)/.*|records/.*|.*\.pressrun/.*", re.DOTALL)


class Violation(AssertionError):
    """What must never be."""


@dataclass
class Frame:
    """One operation under way: what it is, for which job or place, and what happened meanwhile: `disturbed` are paths
    that others changed, `paused` says that it outlived its lease."""

    what: str
    words: str
    fault: Any = None
    job: str = ""
    place: str = ""
    remove: bool = False
    keep: int = 0
    undo: str = ""
    calls: int = 0
    dead: bool = False
    paused: bool = False
    disturbed: set[str] = field(default_factory=set)


@dataclass
class Publication:
    """What an undo folder is there for: the place, how it was before, when that was, what was written since."""

    place: str
    before: dict[str, Any]
    began: int
    wrote: dict[str, bytes | None] = field(default_factory=dict)


class Ledger:
    """The books on one world."""

    def __init__(self, world: FolderWorld | BucketWorld, places: list[str]) -> None:
        self.world, self._places = world, places
        self.theirs: dict[str, Any] = {}
        self.ours: dict[str, bytes] = {}
        self.pictures: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, str]] = {}
        self.spoiled: set[str] = set()
        self.doomed: set[str] = set()
        self.publications: dict[str, Publication] = {}
        self._given: set[tuple[str, Any]] = set()
        self.undoing: set[str] = set()
        self._since: dict[str, int] = {}
        self._kept: list[tuple[str, bytes]] = []
        self._tick = 0
        self._parsed: dict[bytes, list[dict[str, Any]]] = {}
        self._rights: dict[tuple[int, str, int], str] = {}

    # What owners do with what is theirs.

    def owner_does(self, path: str, data: Any, frames: list[Frame]) -> None:
        """Note that somebody puts `data` (None: nothing) at a path, while operations are under way."""
        self._tick += 1
        for frame in frames:
            frame.disturbed.add(path)
        for publication in self.publications.values():
            publication.wrote.pop(path, None)
        self.ours.pop(path, None)
        if self.pictures.pop(path, None) is not None or "/images/" in path:
            self.spoiled.add(path.partition("/images/")[0])
        self.theirs.pop(path, None)
        if data is not None:
            self.theirs[path] = data
            self._since[path] = self._tick
            self._given.add((path, data))

    # What Pressrun does.

    def watched(self, path: str) -> bool:
        """Whether a change of what stands at a path has to be looked at at once."""
        known = path in self.theirs or path in self.pictures or path.endswith("/undo.parquet")
        return known or self.place_of(path) is not None or self.job_of(path) is not None

    def changed(self, frame: Frame, path: str, before: Any, after: Any) -> None:
        """Judge what an operation has just done to what stood at a path."""
        if path.endswith("/undo.parquet") and frame.what == "publish" and after is not None:
            there = {one: self.world.read(one) for one in self._standing(frame.place)}
            self._tick += 1
            self.publications.setdefault(path.rpartition("/")[0], Publication(frame.place, there, self._tick))
        if before == after:
            return
        job, place = self.job_of(path), self.place_of(path)
        if place is not None:
            self._changed_in_place(frame, place, path, before, after)
        elif path in self.theirs:
            raise Violation(f"“{frame.words}” changed {path}, which is not Pressrun's")
        elif job is not None:
            self._changed_in_job(frame, job, path, after)

    def _changed_in_job(self, frame: Frame, job: str, path: str, after: Any) -> None:
        if frame.what == "prune" and after is None:
            if wrong := self._no_right(frame, job, path):
                raise Violation(f"“{frame.words}” removed {path}: {wrong}")
            self.doomed.add(job)
            self.pictures.pop(path, None)
        elif path in self.pictures:
            raise Violation(f"“{frame.words}” changed a picture of a job, {path}")
        elif not (frame.job == job and frame.what in ("render", "bundle")) and frame.what != "prune":
            raise Violation(f"“{frame.words}” changed {path} in another job's folder")

    def _changed_in_place(self, frame: Frame, place: str, path: str, before: Any, after: Any) -> None:
        name, whose = path.removeprefix(f"{place}/"), "theirs" if path in self.theirs else "ours"
        if frame.what not in ("publish", "undo") or frame.place != place:
            raise Violation(f"“{frame.words}” changed {path}, which is published")
        began = max((one.began for one in self.publications.values() if one.place == place), default=0)
        if before is not None and frame.what == "publish":
            kept = [one for one in self._copies(name, before) if one.partition("/undo/")[0] != place]
            if not kept:
                raise Violation(f"“{frame.words}” changed {path} without keeping what stood there ({whose})")
            self._kept += [(one, before) for one in kept]
            if whose == "theirs" and self._since[path] > began:
                raise Violation(f"“{frame.words}” changed {path}, which somebody changed after it was planned")
        if whose == "theirs" and (frame.what == "undo" or after is None):
            raise Violation(f"“{frame.words}” changed {path}, which is somebody else's by now")
        if after is None and frame.what == "publish":
            if not frame.remove or name in self.wanted(frame.job):
                raise Violation(f"“{frame.words}” removed {path} although nobody asked for that")
        elif frame.what == "publish" and sha256(after).hexdigest() not in self.wanted(frame.job).get(name, ()):
            raise Violation(f"“{frame.words}” put something into {path} that is no picture of the job")
        elif after is not None and frame.what == "undo" and not self._copies(name, after):
            raise Violation(f"“{frame.words}” put something into {path} that had never been there")
        self._note(path, after, restored=frame.what == "undo")
        for folder, one in self.publications.items():
            if one.place == place and ((frame.what == "publish" and one.began == began) or folder == frame.undo):
                one.wrote[path] = after

    def _note(self, path: str, after: Any, restored: bool) -> None:
        self.theirs.pop(path, None)
        self.ours.pop(path, None)
        if restored and (path, after) in self._given:
            self.theirs[path], self._since[path] = after, self._tick
        elif after is not None:
            self.ours[path] = after

    def _no_right(self, frame: Frame, job: str, path: str) -> str:
        """Why a pruning may not remove what it has just removed; empty if it may."""
        key = (id(frame), job, self._tick)
        if key not in self._rights:
            begun = job in self.doomed and self.world.read(f"{job}/pruned.json")  # then any pruning may end it
            self._rights[key] = "" if begun else self._not_prunable(job, frame.keep)
        if self._rights[key] or job.startswith("other/"):
            return self._rights[key] or "it is no night there"
        if path in self.pictures:
            uri = f"{self.world.uri}/{path}"
            for other in self.jobs:
                if other != job and self.world.read(f"{other}/job.json") and self._not_prunable(other, frame.keep):
                    if any(
                        uri == one["image"] for one in self.results(other) if one["status"] in ("succeeded", "cached")
                    ):
                        return f"{other} refers to it"
        return ""

    def _not_prunable(self, job: str, keep: int) -> str:
        day = _day(job)
        if day is None:
            return "it has no date"
        later = [one for one in self._nights("summary.json") if one != job and _day(one) >= day]
        if len(later) < keep:
            return f"it is one of the last {keep} finished nights, after it come {later}"
        for other in self.jobs:
            unfinished = self.world.read(f"{other}/job.json") and not self.world.read(f"{other}/summary.json")
            if unfinished and other != job and self._since_of(other) == f"{self.world.uri}/{job}":
                newer = [
                    one for one in self._nights("summary.json") if (_day(one) or date.min) >= (_day(other) or date.min)
                ]
                if len(newer) < keep:
                    return f"{other} is unfinished and keeps from it"
        return ""

    def _nights(self, file: str) -> list[str]:
        """Every dated job that has a file, those that are links included."""
        names = [*self.jobs, *(path for path, data in self.theirs.items() if isinstance(data, tuple))]
        there = (name for name in names if name.startswith("nights/") and _day(name) is not None)
        return [name for name in there if self._through_link(name, file) is not None]

    def _through_link(self, name: str, file: str) -> Any:
        real = self.world.real(f"{name}/{file}")
        return None if real is None else self.world.read(real)

    def _since_of(self, job: str) -> str:
        data = self.world.read(f"{job}/changes.parquet")
        return "" if data is None else (pq.read_schema(io.BytesIO(data)).metadata or {}).get(b"since", b"").decode()

    # What there is.

    def job_of(self, path: str) -> str | None:
        """The job in whose folder a path is."""
        return next((job for job in self.jobs if path.startswith(f"{job}/")), None)

    def place_of(self, path: str) -> str | None:
        """The served place that a path is in."""
        return next((one for one in self._places if path.startswith(f"{one}/") and "/.tmp/" not in path), None)

    def is_somebodys(self, path: str) -> bool:
        """Whether what stands at a path has bytes that somebody else has put somewhere."""
        data = self.world.read(path)
        return data is not None and any(data == given for _, given in self._given)

    def _standing(self, place: str) -> list[str]:
        return [path for path in (*self.theirs, *self.ours) if path.startswith(f"{place}/")]

    def results(self, job: str) -> list[dict[str, Any]]:
        """The rows of all parts of a job's results."""
        rows = []
        for path, data in self.world.files(f"{job}/results/"):
            if path not in self.theirs:
                if data not in self._parsed:
                    columns = ["custom_id", "status", "image", "sha256"]
                    self._parsed[data] = pq.read_table(io.BytesIO(data), columns=columns).to_pylist()
                rows += self._parsed[data]
        return rows

    def wanted(self, job: str) -> dict[str, set[str]]:
        """The digests of what a job has to publish, by name."""
        names: dict[str, set[str]] = {}
        for row in self.results(job):
            if row["status"] in ("succeeded", "cached"):
                names.setdefault(row["image"].partition("/images/")[2] or row["image"][7:], set()).add(row["sha256"])
        return names

    def _copies(self, name: str, data: Any) -> list[str]:
        """Where in Pressrun's own places a copy of a picture stands."""
        found = []
        for path, there in self.world.snapshot().items():
            if there == data and path.endswith(f"/{name}") and "/undo/" in path and path not in self.theirs:
                found.append(path)
        return found

    # What must be after every step.

    def look(self, there: dict[str, Any]) -> None:
        """Compare the books with everything that stands there."""
        for what, known in (("theirs", self.theirs), ("ours", self.ours), ("picture", self.pictures)):
            for path, data in known.items():
                if there.get(path) != data:
                    how = "is gone" if path not in there else "is another"
                    raise Violation(f"{path} {how}, and nobody was seen doing it ({what})")
        for path, data in there.items():
            self._explain(path, data)
        for folder in list(self.publications):
            if f"{folder}/undo.parquet" not in there:
                if folder not in self.undoing and not self._too_old(folder, there):
                    raise Violation(f"{folder} can be undone no more, and nobody has undone it")
                del self.publications[folder]
        kept = []
        for path, data in self._kept:
            folder = path[: path.index("/", path.index("/undo/") + 6)]
            if folder in self.publications:
                kept.append((path, data))
                if there.get(path) != data:
                    raise Violation(f"{path} is gone, which a publication that can be undone had kept")
        self._kept = kept

    def _explain(self, path: str, data: Any) -> None:
        if path in self.theirs or path in self.ours or path in self.pictures or _OUR_PLACES.fullmatch(path):
            return
        job = self.job_of(path)
        if job is None:
            raise Violation(f"{path} stands there, and nobody has put it there")
        if path.startswith(f"{job}/images/"):
            self.pictures[path] = data

    def _too_old(self, folder: str, there: dict[str, Any]) -> bool:
        undos = folder.rpartition("/")[0]
        later = {path for path in there if path.startswith(f"{undos}/") and path.endswith("/undo.parquet")}
        return len([path for path in later if path > f"{folder}/"]) >= UNDOS_KEPT


def _day(job: str) -> date | None:
    """The day that a night's name begins with."""
    match = re.fullmatch(r"nights/(\d{4})-?(\d\d)-?(\d\d)(|\D.*)", job, re.DOTALL)
    return date(*map(int, match.groups()[:3])) if match else None
