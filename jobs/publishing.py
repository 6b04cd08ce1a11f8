"""Publishing: a job's pictures under their stable names in a place that a shop serves, at every moment whole.

What would be overwritten or removed is copied first, and what is going to be done is written down, before the place is
touched; then pictures are added, then replaced (each at once and whole), and only then removed, if that was asked for.
So whatever ends it, nothing is missing, the same command goes on, and undoing knows how everything was.
"""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cluster.lease import Lease
from cluster.store import Refusal, Store, open_object, open_store
from jobs.job import JOB, find_job, read_manifest_copy
from jobs.names import NameTemplate
from jobs.order import FOLDER
from jobs.parts import is_done, read_results
from jobs.published import ACTIONS, LOCK, UNDO, UNDO_FILE, PublishedPlace, applied, pieces, recorded
from pipeline.errors import JobError, StorageError
from pipeline.picture import FORMATS, content_type, extension

_THREADS = 16
_TYPES = {extension(format): content_type(format) for format in FORMATS}
_RANK = {"add": 0, "replace": 1, "remove": 2}


@dataclass(frozen=True)
class Published:
    """What a publication did, or with `dry_run` would do.

    `foreign` of the replaced pictures are not known to be Pressrun's; `superfluous` ones are left although the job has
    them no more; `not_ready` rows have no picture, and what was published of them stays; `missing` pictures of the job
    could not be found. `undo` is the URI of what undoes it: the last publication of this job, if there was nothing left
    to do.
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
    undo: str = ""
    dry_run: bool = False


@dataclass(frozen=True)
class _Plan:
    actions: pa.Table
    counts: dict[str, int]


def publish(job: str, to: str, *, records: str | None = None, remove: bool = False, dry_run: bool = False) -> Published:
    """Publish what is ready of the job at `job` into the place `to`; see `jobs.published` for `records`.

    Raises:
        JobError: there is no such job or place, the place is a job's own, or somebody else publishes there.
        StorageError: a store failed although it was asked again; the same call goes on.
    """
    store = open_store(job)
    find_job(store)
    place = PublishedPlace(to, records)
    _refuse_a_jobs_own(place.store.uri)
    place.check_records()
    if dry_run:
        plan = _planned(store, place, remove)
        return _told(store, place, plan, dry_run=True)
    place.prepare()
    with Lease(place.records, LOCK, f"Something is published to {place.store.uri}") as lease:
        return _Publication(store, place, remove, lease).run()


def _refuse_a_jobs_own(place: str) -> None:
    """Raise JobError for the folder of a job, and for whatever stands in it: its pictures are its record."""
    uri = place
    while uri not in ("", "s3:", "s3:/"):
        with contextlib.suppress(Refusal):  # what nobody lets us look at is no job of ours
            if open_store(uri).head(JOB) is not None:
                problem = f"{uri} is the folder of a job, whose pictures nothing may replace"
                raise JobError(f"--to {place}: {problem}; publish to a place of its own.")
        uri = uri.rpartition("/")[0]


class _Publication:
    def __init__(self, store: Store, place: PublishedPlace, remove: bool, lease: Lease) -> None:
        self._store, self._place, self._remove, self._lease = store, place, remove, lease
        self._job = store.uri.encode()

    def run(self) -> Published:
        place = self._place
        pending = place.pending()
        if pending.get("undoing"):
            from jobs.undo import interrupted

            raise interrupted(place, pending)
        missing: list[str] = []
        undo = ""
        if pending:
            undo = pending["undo"]
            ours = (pending["job"], pending["remove"]) == (self._store.uri, self._remove)
            missing += self._carry_out(undo, go_on=ours)
            undo = undo if ours else ""
        place.tidy()
        plan = _planned(self._store, place, self._remove)
        actions = plan.actions.filter(pc.invert(pc.is_in(plan.actions["name"], pa.array(missing, pa.string()))))
        if actions.num_rows:
            undo = self._prepare(actions)
            missing += self._carry_out(undo)
            place.tidy()
            actions = actions.filter(pc.invert(pc.is_in(actions["name"], pa.array(missing, pa.string()))))
        told = _Plan(actions, plan.counts | _counted(actions))
        return _told(self._store, place, told, missing=tuple(missing), undo=undo or self._last())

    def _last(self) -> str:
        """What undoes the last publication, if that was of this very job: whoever was cut off at its end wants it."""
        last = self._place.undos()[-1:]
        ours = [one for one in last if (self._place.actions(one).schema.metadata or {}).get(b"job") == self._job]
        return ours[0] if ours else ""

    def _prepare(self, actions: pa.Table) -> str:
        """Copy what will be overwritten or removed, then write down what is going to be done."""
        place = self._place
        undo = place.next_undo(self._store.uri)
        with ThreadPoolExecutor(_THREADS) as threads:
            for rows in pieces(actions.filter(pc.not_equal(actions["action"], "add"))):
                self._lease.check()
                names = [row["name"] for row in rows]
                try:
                    list(threads.map(lambda n: place.records.copy(place.store, n, place.backup(undo, n)), names))
                except FileNotFoundError as error:
                    raise StorageError(f"{error} Somebody removed it just now; run this again.") from None
        place.write_undo(undo, actions, self._store.uri)
        place.begin(undo=undo, job=self._store.uri, remove=self._remove)
        return undo

    def _carry_out(self, undo: str, go_on: bool = True) -> list[str]:
        """Do what is written down and not done yet (or, without `go_on`, only note what is), and say which pictures
        could not be found."""
        place = self._place
        actions = place.actions(undo)
        listed = place.listed()
        done = applied(actions, listed)
        etags = (
            listed["etag"]
            .combine_chunks()
            .take(pc.index_in(actions["name"].combine_chunks(), listed["name"].combine_chunks()))
        )
        before = actions.append_column("etag", etags).filter(done)
        finished, missing = [before], []
        with ThreadPoolExecutor(_THREADS) as threads:
            for rows in pieces(actions.filter(pc.invert(done))) if go_on else ():
                self._lease.check()
                now = list(threads.map(self._act, rows))
                missing += [row["name"] for row, etag in zip(rows, now, strict=True) if etag is None]
                columns = {name: [row[name] for row in rows] for name in ACTIONS.names} | {"etag": now}
                piece = pa.table(columns, schema=before.schema.remove_metadata())
                finished.append(piece.filter(pc.is_valid(piece["etag"])))
        everything = pa.concat_tables([part.replace_schema_metadata(None) for part in finished])
        place.write_record(recorded(place.record(), everything))
        place.end()
        return missing

    def _act(self, row: dict[str, Any]) -> str | None:
        """Do one thing; the etag of what stands there then, "" where nothing does, None where there was nothing to
        be had."""
        name, place = row["name"], self._place.store
        if row["action"] == "remove":
            place.delete(name)
            return ""
        source, path = _found(self._store, row["source"])
        try:
            return place.copy(source, path, name, _TYPES.get(name.rpartition(".")[2], "application/octet-stream"))
        except FileNotFoundError:
            return None


def _found(store: Store, uri: str) -> tuple[Store, str]:
    if uri.startswith(f"{store.uri}/"):
        return store, uri.removeprefix(f"{store.uri}/")
    return open_object(uri)


def _planned(store: Store, place: PublishedPlace, remove: bool) -> _Plan:
    """What has to be done, in the order in which it is done: columns joined, nothing asked for one by one."""
    wanted, unready = wanted_of(store)
    listed, record = place.listed(), place.record()
    names = wanted["name"].combine_chunks()
    there = _taken(listed["etag"], pc.index_in(names, listed["name"].combine_chunks()))
    known = pc.index_in(names, record["name"].combine_chunks())
    same_bytes = pc.equal(_taken(record["sha256"], known), wanted["sha256"].combine_chunks())
    same = pc.and_(same_bytes, pc.equal(_taken(record["etag"], known), there)).fill_null(False)
    new = wanted.append_column("former_etag", there).append_column(
        "action", pc.if_else(pc.is_null(there), "add", "replace")
    )
    new = new.filter(pc.invert(same))
    foreign = pc.and_(pc.is_valid(there), pc.is_null(known))
    now = _taken(listed["etag"], pc.index_in(record["name"].combine_chunks(), listed["name"].combine_chunks()))
    ours = pc.equal(record["etag"].combine_chunks(), now).fill_null(False)
    gone = pc.and_(pc.invert(pc.is_in(record["name"], names)), pc.invert(pc.is_in(record["custom_id"], unready)))
    old = record.append_column("former_etag", now).filter(pc.and_(ours, gone.combine_chunks()))
    actions = new.select(ACTIONS.names)
    if remove:
        columns = {
            "action": pa.array(["remove"] * old.num_rows, pa.string()),
            "source": pa.nulls(old.num_rows, pa.string()),
        }
        leaving = pa.table(
            {name: columns.get(name, old[name] if name in old.column_names else None) for name in ACTIONS.names}
        )
        actions = pa.concat_tables([actions, leaving.cast(ACTIONS)])
    ranks = pc.index_in(actions["action"].combine_chunks(), pa.array(list(_RANK)))
    actions = actions.take(pc.array_sort_indices(ranks)).cast(ACTIONS)
    counts = _counted(actions) | {
        "unchanged": pc.sum(same).as_py() or 0,
        "foreign": pc.sum(foreign).as_py() or 0,
        "superfluous": 0 if remove else old.num_rows,
        "not_ready": len(unready),
    }
    return _Plan(actions, counts)


_WORDS = {"add": "added", "replace": "replaced", "remove": "removed"}


def _counted(actions: pa.Table) -> dict[str, int]:
    return {word: pc.sum(pc.equal(actions["action"], verb)).as_py() or 0 for verb, word in _WORDS.items()}


def wanted_of(store: Store) -> tuple[pa.Table, pa.Array]:
    """What a job has to publish: names, digests, rows and the URIs of its pictures, renditions included; and the
    custom_ids of the rows that have no picture.

    Raises JobError if the job is damaged.
    """
    job = find_job(store)
    manifest = read_manifest_copy(store)
    paths, _ = NameTemplate.parse(str(job["name"])).names(manifest, extension(str(job["format"])))
    results = read_results(store, ("image", "sha256", "renditions"))
    results = results.filter(pa.array(is_done(results))).combine_chunks()
    ids, done = manifest["custom_id"].combine_chunks(), results["custom_id"].combine_chunks()
    names = paths.take(pc.index_in(done, ids))
    renditions = results["renditions"].combine_chunks()
    flat, parents = pc.list_flatten(renditions), pc.list_parent_indices(renditions)
    beside = pc.struct_field(flat, "image")
    stems = pc.replace_substring_regex(names.take(parents), r"\.[^.]*$", "")
    suffixes = pc.replace_substring_regex(beside, r"^.*(@[^@/]*)$", r"\1")
    sources = pa.concat_arrays([results["image"].combine_chunks(), beside])
    here = pc.binary_join_element_wise(pa.scalar(f"{store.uri}/", pa.string()), sources, "")
    wanted = pa.table(
        {
            "name": pa.concat_arrays([names, pc.binary_join_element_wise(stems, suffixes, "")]),
            "sha256": pa.concat_arrays([results["sha256"].combine_chunks(), pc.struct_field(flat, "sha256")]),
            "custom_id": pa.concat_arrays([done, done.take(parents)]),
            "source": pc.if_else(pc.starts_with(sources, FOLDER), here, sources),
        }
    )
    return wanted, ids.filter(pc.invert(pc.is_in(ids, done)))


def _taken(column: pa.ChunkedArray, places: pa.Array) -> pa.Array:
    return column.combine_chunks().take(places)


def _told(store: Store, place: PublishedPlace, plan: _Plan, **more: Any) -> Published:
    if undo := more.get("undo"):
        more["undo"] = f"{place.records.uri}/{UNDO}{undo}/{UNDO_FILE}"
    more |= plan.counts
    return Published(store.uri, place.store.uri, **more)
