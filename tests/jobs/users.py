"""Those who use Pressrun in a world of random schedules: each operation as what it is about, and what is called."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pyarrow as pa

from pressrun import JobSpec, render
from pressrun.jobs.delivery.bundle import Bundles
from pressrun.jobs.delivery.publishing import publish
from pressrun.jobs.delivery.retention import prune
from pressrun.jobs.delivery.undo import undo
from tests.jobs.ledger import Frame, Ledger
from tests.jobs.worlds import BucketWorld, FolderWorld
from tests.opening import open_store, stores

JOBS = (
    *("nights/2026-11-18", "nights/20261119", "nights/2026-11-20", "nights/2026-11-20T0200", "nights/20261121"),
    *("nights/2026-11-22", "nights/2026-11-23", "nights/20261124", "nights/sample", "other/2026-11-20"),
)
PLACES = {"www/images": None, "shop": "records/shop"}
"""Where is published to, and where its records lie (None: where they lie by themselves)."""
ROWS = ("s0", "s1", "s2", "Mütze 50%")
Operation = tuple[Frame, Callable[[], Any]]


class Users:
    """They work in a world; what numbers choose is chosen among what there is. `tables` gets their manifests."""

    def __init__(self, world: FolderWorld | BucketWorld, ledger: Ledger, tables: dict[str, pa.Table]) -> None:
        self._world, self._ledger, self._tables = world, ledger, tables

    def render(self, which: int, rows: int, since: int, limit: int) -> Operation | None:
        job = JOBS[which % len(JOBS)] if which % 4 else self._job(which // 4)
        if job is None or self._world.real(f"{job}/x") != f"{job}/x":
            return None
        default = {
            row: f"p{number}" + " again" * (rows >> number & rows >> (number + 4) & 1)
            for number, row in enumerate(ROWS)
            if number in (0, rows % 3 + 1) or rows >> (number + 2) & 1
        }
        wanted = self._ledger.jobs.setdefault(job, default)
        earlier = "latest" if since % 3 and job.startswith("nights/2") else None
        if since % 7 == 0 and (other := self._job(since // 7)) not in (None, job):
            earlier = f"{self._world.uri}/{other}"
        uri = f"{self._world.uri}/in/{sha256(json.dumps(wanted).encode()).hexdigest()[:8]}.parquet"
        columns: dict[str, Any] = {"custom_id": list(wanted), "prompt": list(wanted.values())}
        columns |= {name: [number] * len(wanted) for name, number in (("width", 16), ("height", 16), ("steps", 1))}
        columns["season"] = ["fall" if prompt.endswith("again") else "winter" for prompt in wanted.values()]
        self._tables[uri] = pa.table(columns)
        most = 1 + limit // 4 % 2 if limit % 4 == 0 else None
        spec = JobSpec(uri, f"{self._world.uri}/{job}", since=earlier, max_images=most)
        words = f"render {wanted} into {job}, since {earlier}" + (f", at most {most}" if most else "")
        return Frame("render", words, job=job), lambda: render(spec)

    def publish(self, which: int, where: int, remove: int, _: int) -> Operation | None:
        job, named = self._job(which), list(PLACES)[where % len(PLACES)]
        if where % 5 == 0 and (links := {"cdn", "www/leak"} & self._ledger.theirs.keys()):
            named = {"cdn": "cdn/images", "www/leak": "www/leak"}[sorted(links)[where // 5 % len(links)]]
        real = self._world.real(f"{named}/x")
        if job is None or real is None:
            return None
        records = PLACES.get(named) and f"{self._world.uri}/{PLACES[named]}"
        source, to, also = f"{self._world.uri}/{job}", f"{self._world.uri}/{named}", bool(remove % 2)
        words = f"publish {job} to {named}" + " --remove" * also
        frame = Frame("publish", words, job=job, place=real.rpartition("/")[0], remove=also)
        return frame, lambda: publish(stores(), source, to, records=records, remove=also)

    def undo(self, which: int, *_: int) -> Operation | None:
        there = list(self._ledger.publications)
        if not there:
            return None
        folder = there[which % len(there)] if which % 4 == 0 else there[-1]
        self._ledger.undoing.add(folder)
        frame = Frame("undo", f"undo {folder}", place=self._ledger.publications[folder].place, undo=folder)
        return frame, lambda: undo(stores(), f"{self._world.uri}/{folder}/undo.parquet")

    def prune(self, keep: int, *_: int) -> Operation | None:
        most = (1, 1, 2)[keep % 3]
        frame = Frame("prune", f"prune nights --keep {most}", keep=most)
        return frame, lambda: prune(stores(), f"{self._world.uri}/nights", most)

    def bundle(self, which: int, *_: int) -> Operation | None:
        if (job := self._job(which)) is None:
            return None
        uri = f"{self._world.uri}/{job}"
        return Frame("bundle", f"bundle {job}", job=job), lambda: list(Bundles(open_store(uri), "season").write())

    def _job(self, which: int) -> str | None:
        jobs = sorted(self._ledger.jobs)
        return jobs[which % len(jobs)] if jobs else None
