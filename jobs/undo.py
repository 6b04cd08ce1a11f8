"""Undoing a publication: the place is put back as it was before, from the copies that the publication made."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cluster.lease import Lease
from jobs.published import LOCK, RECORD, SCHEMA, UNDO, UNDO_FILE, PublishedPlace, pieces
from pipeline.errors import JobError

_THREADS = 16


@dataclass(frozen=True)
class Undone:
    """What an undoing did: pictures put back, and pictures taken away that had not been there. `left` are names that
    somebody else has changed since, which were left alone, `lost` those whose former picture is not in the records."""

    place: str
    restored: int
    taken_away: int
    left: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def undo(uri: str) -> Undone:
    """Undo the publication whose undo.parquet is at `uri`; the last one first.

    Raises:
        JobError: it is none, a later one has to be undone before, or somebody publishes there.
        StorageError: a store failed although it was asked again; the same call goes on.
    """
    records, _, rest = uri.rpartition(f"/{UNDO}")
    number, _, file = rest.partition("/")
    if not records or file != UNDO_FILE:
        raise JobError(f"{uri} is no undo file: give the …/{UNDO}…/{UNDO_FILE} that publish has named.")
    about = PublishedPlace(records, records).actions(number).schema.metadata or {}
    place = PublishedPlace(about[b"place"].decode(), records)
    place.prepare()
    with Lease(place.records, LOCK, f"Something is published to {place.store.uri}") as lease:
        return _Undoing(place, number, lease).run()


def interrupted(place: PublishedPlace, pending: dict[str, Any]) -> JobError:
    """The refusal of anything else as long as an undoing is half done."""
    uri = f"{place.records.uri}/{UNDO}{pending['undo']}/{UNDO_FILE}"
    return JobError(f"Undoing was interrupted at {place.store.uri}; finish it first: pressrun publish --undo {uri}")


class _Undoing:
    def __init__(self, place: PublishedPlace, number: str, lease: Lease) -> None:
        self._place, self._number, self._lease = place, number, lease

    def run(self) -> Undone:
        place, number = self._place, self._number
        pending = place.pending()
        if pending.get("undoing") and pending["undo"] != number:
            raise interrupted(place, pending)
        later = [one for one in place.undos() if one > number]
        if later:
            raise JobError(f"Later publications are undone first: {place.records.uri}/{UNDO}{later[-1]}/{UNDO_FILE}.")
        actions = place.actions(number)
        # What a publication (or undoing) that was cut off has done is not written down: then all of it is put back.
        listed = place.listed()
        now = _etags(actions, listed)
        record = place.record()
        ours = pc.equal(_etags(actions, record), now).fill_null(False)
        removed = pc.and_(pc.equal(actions["action"].combine_chunks(), "remove"), pc.is_null(now))
        free = pc.or_(ours, removed) if not pending else pa.array([True] * actions.num_rows, pa.bool_())
        untouched = pc.equal(actions["former_etag"].combine_chunks(), now).fill_null(False)
        absent = pc.and_(pc.equal(actions["action"].combine_chunks(), "add"), pc.is_null(now))
        nothing = pc.or_(untouched, absent)
        place.begin(undo=number, undoing=True)
        todo = actions.filter(pc.and_(free, pc.invert(nothing)))
        former = todo.filter(pc.not_equal(todo["action"], "add"))
        etags = self._put_back(former)
        lost = [name for name in former["name"].to_pylist() if name not in etags]
        added = todo.filter(pc.equal(todo["action"], "add"))
        self._take_away(added)
        before = place.record(f"{UNDO}{number}/{RECORD}")
        place.write_record(_with_etags(before, record, etags))
        left = actions.filter(pc.and_(pc.invert(free), pc.invert(nothing)))["name"].to_pylist()
        place.end()
        place.forget(number)
        return Undone(place.store.uri, len(etags), added.num_rows, tuple(left), tuple(lost))

    def _put_back(self, actions: pa.Table) -> dict[str, str]:
        """Copy the former pictures back; the etags by name of those that are there."""
        etags: dict[str, str] = {}
        with ThreadPoolExecutor(_THREADS) as threads:
            for rows in pieces(actions):
                self._lease.check()
                names = [row["name"] for row in rows]
                found = zip(names, threads.map(self._restored, names), strict=True)
                etags.update((name, etag) for name, etag in found if etag is not None)
        return etags

    def _restored(self, name: str) -> str | None:
        try:
            return self._place.store.copy(self._place.records, self._place.backup(self._number, name), name)
        except FileNotFoundError:
            return None

    def _take_away(self, actions: pa.Table) -> None:
        with ThreadPoolExecutor(_THREADS) as threads:
            for rows in pieces(actions):
                self._lease.check()
                list(threads.map(self._place.store.delete, [row["name"] for row in rows]))


def _etags(actions: pa.Table, there: pa.Table) -> pa.Array:
    places = pc.index_in(actions["name"].combine_chunks(), there["name"].combine_chunks())
    return there["etag"].combine_chunks().take(places)


def _with_etags(before: pa.Table, record: pa.Table, etags: dict[str, str]) -> pa.Table:
    """A former record with the etags of what was put back, now or by an undoing between then and now (`record`)."""
    names, then = before["name"].combine_chunks(), before["sha256"].combine_chunks()
    restored = pa.array(list(etags.values()), pa.string())
    restored = restored.take(pc.index_in(names, pa.array(list(etags), pa.string())))
    places = pc.index_in(names, record["name"].combine_chunks())
    same = pc.equal(record["sha256"].combine_chunks().take(places), then).fill_null(False)
    known = pc.if_else(same, record["etag"].combine_chunks().take(places), before["etag"].combine_chunks())
    merged = pc.coalesce(restored, known)
    return before.set_column(before.schema.get_field_index("etag"), SCHEMA.field("etag"), merged)
