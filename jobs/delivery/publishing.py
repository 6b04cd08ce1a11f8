"""Publishing: a job's pictures under their stable names in a place that a shop serves, at every moment whole.

What would be overwritten or removed is copied first, and what is going to be done is written down, before the place is
touched; then pictures are added, then replaced (each at once and whole), and only then removed, if that was asked for.
So whatever ends it, nothing is missing, the same command goes on, and undoing knows how everything was. Each change is
made only where there still stands what the plan saw: whatever somebody put there since is left alone, and told.
"""

import contextlib
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.lease import Lease
from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.store import Changed, Damaged, Refusal, Store
from pressrun.cluster.store.uri import real_uri
from pressrun.jobs.delivery.publication_plan import PublicationPlan, counted, planned
from pressrun.jobs.delivery.publish_target import (
    BEFORE,
    DONE,
    FOREIGN,
    FORMER,
    UNDO,
    UNDO_FILE,
    PublishedPlace,
    content_type_of,
    interrupted,
    pieces,
    recorded,
)
from pressrun.jobs.delivery.records_place import LOCK, exposure
from pressrun.jobs.delivery.standing import with_states
from pressrun.jobs.folder.job_file import JOB, find_job
from pressrun.pipeline.errors import JobError

_THREADS = 16


@dataclass(frozen=True)
class Published:
    """What a publication did, or with `dry_run` would do.

    `foreign` of the replaced pictures are not known to be Pressrun's; `superfluous` ones are left although the job has
    them no more; `not_ready` rows have no picture, and what was published of them stays; `missing` pictures of the job
    could not be found, `damaged` ones have other bytes than were written, and under the names `left` somebody else put
    or removed something since the plan was made, or a folder on the way is a link. `undo` is the URI of what undoes
    it: the last publication of this job, if there was nothing left to do. `warnings` are sentences.
    """

    job: str
    place: str
    added: int = 0
    replaced: int = 0
    removed: int = 0
    unchanged: int = 0
    foreign: int = 0
    superfluous: int = 0
    not_ready: int = 0
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    undo: str = ""
    dry_run: bool = False
    warnings: tuple[str, ...] = ()


@dataclass
class _NotDone:
    """Names for which nothing could be done, and why: fields of `Published`."""

    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def names(self) -> pa.Array:
        return pa.array([*self.missing, *self.damaged, *self.left], pa.string())

    def told(self) -> dict[str, tuple[str, ...]]:
        return {name: tuple(dict.fromkeys(names)) for name, names in vars(self).items()}


def publish(
    stores: Stores,
    job: str,
    to: str,
    *,
    records: str | None = None,
    remove: bool = False,
    approved: bool = False,
    dry_run: bool = False,
) -> Published:
    """Publish what is ready (with `approved`, what is approved) of the job at `job` into the place `to`; see
    `jobs.delivery.records_place` for `records`.

    Raises:
        JobError: there is no such job or place, the place is a job's own, or somebody else publishes there.
        StorageError: a store failed although it was asked again; the same call goes on.
    """
    store = stores.open(job)
    find_job(store)
    _refuse_a_jobs_own(stores, real_uri(to))
    place = PublishedPlace(stores, to, job, records)
    if dry_run:
        place.as_it_is()
        return _told(store, place, planned(store, place, remove, approved), dry_run=True)
    place.prepare()
    with Lease(place.records, LOCK, f"Something is published to {place.store.uri}") as lease:
        place.begin_alone(lease.check)
        try:
            return _Publication(store, place, remove, approved).run()
        finally:
            place.store.sweep([])


def _refuse_a_jobs_own(stores: Stores, place: str) -> None:
    """Raise JobError for the folder of a job, and for whatever stands in it: its pictures are its record."""
    uri = place
    while uri not in ("", "s3:", "s3:/"):
        with contextlib.suppress(Refusal):  # what nobody lets us look at is no job of ours
            if stores.open(uri).head(JOB) is not None:
                problem = f"{uri} is the folder of a job, whose pictures nothing may replace"
                raise JobError(f"`to` {place}: {problem}; publish to a place of its own.", code="bad_place")
        uri = uri.rpartition("/")[0]


class _Publication:
    def __init__(self, store: Store, place: PublishedPlace, remove: bool, approved: bool) -> None:
        self._store, self._place, self._remove, self._approved = store, place, remove, approved
        self._job = store.uri.encode()
        self._not_done = _NotDone()

    def run(self) -> Published:
        place, not_done = self._place, self._not_done
        pending = place.pending()
        if pending.get("undoing"):
            raise interrupted(place, pending)
        undo = ""
        if pending:
            undo = pending["undo"]
            asked = (pending["job"], pending["remove"], pending.get("approved", False))
            ours = asked == (self._store.uri, self._remove, self._approved)
            self._carry_out(undo, go_on=ours)
            undo = undo if ours else ""
        place.tidy()
        plan = planned(self._store, place, self._remove, self._approved)
        actions = plan.actions.filter(pc.invert(pc.is_in(plan.actions["name"], not_done.names)))
        if actions.num_rows:
            undo, actions = self._prepare(actions)
            self._carry_out(undo)
            place.tidy()
            actions = actions.filter(pc.invert(pc.is_in(actions["name"], not_done.names)))
        counts = plan.counts | counted(actions)
        more = {"undo": undo or self._last(), "warnings": tuple(filter(None, [exposure(place.records)]))}
        return _told(self._store, place, PublicationPlan(actions, counts), **not_done.told(), **more)

    def _last(self) -> str:
        """What undoes the last publication, if that was of this very job: whoever was cut off at its end wants it."""
        last = self._place.undos()[-1:]
        ours = [one for one in last if (self._place.actions(one).schema.metadata or {}).get(b"job") == self._job]
        return ours[0] if ours else ""

    def _prepare(self, actions: pa.Table) -> tuple[str, pa.Table]:
        """Copy what will be overwritten or removed, then write down what is going to be done: its name, and the actions
        without those for which there is something else by now."""
        place = self._place
        undo = place.next_undo(self._store.uri)
        with ThreadPoolExecutor(_THREADS) as threads:
            for rows in pieces(actions.filter(pc.not_equal(actions["action"], "add"))):
                copied = threads.map(lambda row: self._backed_up(undo, row["name"], row["former_etag"]), rows)
                self._not_done.left += [row["name"] for row, was in zip(rows, list(copied), strict=True) if not was]
        actions = actions.filter(pc.invert(pc.is_in(actions["name"], self._not_done.names)))
        place.write_undo(undo, actions, self._store.uri)
        asked = {"job": self._store.uri, "remove": self._remove, "approved": self._approved}
        place.begin(undo=undo, **asked, place=place.store.uri)
        return undo, actions

    def _backed_up(self, undo: str, name: str, etag: str) -> bool:
        """Copy what stands under a name to where an undoing finds it; False if the plan saw something else there."""
        place = self._place
        try:
            place.records.copy(place.store, name, place.backup(undo, name), of=etag, fence=place.fence)
            return True
        except (FileNotFoundError, Changed):
            return False

    def _carry_out(self, undo: str, go_on: bool = True) -> None:
        """Do what is written down and not done yet (or, without `go_on`, only note what is)."""
        place, record = self._place, self._place.record()
        actions = with_states(place, undo, place.actions(undo), record)
        finished = [actions.filter(pc.equal(actions["state"], DONE))]
        strange = pc.is_in(actions["state"], pa.array([FOREIGN, FORMER]))
        self._not_done.left += actions.filter(strange)["name"].to_pylist()
        todo = actions.filter(pc.equal(actions["state"], BEFORE))
        with ThreadPoolExecutor(_THREADS) as threads:
            for rows in pieces(todo) if go_on else ():
                etags = list(threads.map(self._act, rows))
                now = [row | {"etag": etag} for row, etag in zip(rows, etags, strict=True) if etag is not None]
                finished.append(pa.Table.from_pylist(now, schema=todo.schema))
        everything = pa.concat_tables([part.replace_schema_metadata(None) for part in finished])
        place.write_record(recorded(record, everything))
        place.end()

    def _act(self, row: dict[str, Any]) -> str | None:
        """Do one thing; the etag of what stands there then, "" where nothing does, None where nothing was done."""
        name, place = row["name"], self._place.store
        try:
            if row["action"] == "remove":
                return self._removed(name, row["former_etag"])
            source, path = _found(self._store, row["source"])
            kind = content_type_of(name)
            content = (row["bytes"], row["sha256"]) if row["bytes"] is not None else None
            wanted = {"content": content, "standing": row["former_etag"], "fence": self._place.fence}
            return place.copy(source, path, name, kind, **wanted)
        except FileNotFoundError:
            self._not_done.missing.append(name)
        except Damaged:
            self._not_done.damaged.append(name)
        except Changed:
            return self._arrived(row)
        return None

    def _removed(self, name: str, etag: str) -> str | None:
        place = self._place.store
        if place.linked(name) or (place.head(name) is not None and not place.delete(name, etag, self._place.fence)):
            self._not_done.left.append(name)
            return None
        return ""

    def _arrived(self, row: dict[str, Any]) -> str | None:
        """As `_act`, where something else than the plan saw stands there: perhaps our own first attempt has arrived and
        only its answer was lost."""
        name, place = row["name"], self._place.store
        there = place.head(name)
        if row["action"] == "remove" and there is None:
            return ""
        with contextlib.suppress(FileNotFoundError):
            if row["action"] != "remove" and there and not place.linked(name):
                if hashlib.sha256(place.get(name)).hexdigest() == row["sha256"]:
                    return there.etag
        self._not_done.left.append(name)
        return None


def _found(store: Store, uri: str) -> tuple[Store, str]:
    if uri.startswith(f"{store.uri}/"):
        return store, uri.removeprefix(f"{store.uri}/")
    return store.stores.find(uri)


def _told(store: Store, place: PublishedPlace, plan: PublicationPlan, **more: Any) -> Published:
    if undo := more.get("undo"):
        more["undo"] = f"{place.records.uri}/{UNDO}{undo}/{UNDO_FILE}"
    more |= plan.counts
    return Published(store.uri, place.store.uri, **more)
