"""Undoing a publication: the place is put back as it was before, from the copies that the publication made."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.lease import Lease
from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.store import Changed
from pressrun.cluster.store.uri import real_uri
from pressrun.jobs.delivery.publish_target import (
    DONE,
    FOREIGN,
    FORMER,
    RECORD,
    SCHEMA,
    UNDO,
    UNDO_FILE,
    PublishedPlace,
    content_type_of,
    interrupted,
    pieces,
    read_actions,
)
from pressrun.jobs.delivery.records_place import LOCK, beside, read_pointer
from pressrun.jobs.delivery.standing import etags_of, with_states
from pressrun.pipeline.errors import JobError

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


def undo(stores: Stores, uri: str) -> Undone:
    """Undo the publication whose undo.parquet is at `uri`; the last one first.

    Raises:
        JobError: it is none, a later one has to be undone before, or somebody publishes there.
        StorageError: a store failed although it was asked again; the same call goes on.
    """
    records, _, rest = uri.rpartition(f"/{UNDO}")
    number, _, file = rest.partition("/")
    if not records or file != UNDO_FILE:
        raise JobError(
            f"{uri} is no undo file: give the …/{UNDO}…/{UNDO_FILE} that publish has named.", code="bad_file"
        )
    records = real_uri(read_pointer(stores, records) or records)  # they were moved since that file was named
    about = read_actions(stores.open(records), number).schema.metadata or {}
    to = real_uri(about[b"place"].decode())
    place = PublishedPlace(stores, to, about[b"job"].decode(), None if records == beside(to) else records)
    place.prepare()
    with Lease(place.records, LOCK, f"Something is published to {place.store.uri}") as lease:
        place.begin_alone(lease.check)
        try:
            return _Undoing(place, number).run()
        finally:
            place.store.sweep([])


def last_publication(stores: Stores, to: str, records: str | None = None) -> str:
    """The URI of what undoes the last publication at the place `to`, also one whose undoing was interrupted. `records`
    is where the place's records lie, where the place itself does not tell.

    Raises:
        JobError: nothing is known of the place, or nothing is left to undo there.
    """
    place = real_uri(to)
    if not records and not read_pointer(stores, beside(place)):
        raise JobError(
            f"`to` {to}: nothing was published there, as far as is known; `records` URI says where the records lie.",
            code="no_job",
        )
    found = PublishedPlace(stores, place, place, records)
    found.as_it_is()
    undos = found.undos()
    if not undos:
        raise JobError(f"`to` {to}: there is no publication left to undo.", code="nothing_to_do")
    return f"{found.records.uri}/{UNDO}{undos[-1]}/{UNDO_FILE}"


class _Undoing:
    def __init__(self, place: PublishedPlace, number: str) -> None:
        self._place, self._number = place, number
        self._left: list[str] = []
        self._lost: list[str] = []

    def run(self) -> Undone:
        place, number = self._place, self._number
        pending = place.pending()
        if pending.get("undoing") and pending["undo"] != number:
            raise interrupted(place, pending)
        later = [one for one in place.undos() if one > number]
        if later:
            raise JobError(
                f"Later publications are undone first: {place.records.uri}/{UNDO}{later[-1]}/{UNDO_FILE}.",
                code="interrupted",
            )
        # What a publication (or undoing) that was cut off has done is not written down: the bytes tell.
        record = place.record()
        actions = with_states(place, number, place.actions(number), record)
        place.begin(undo=number, undoing=True, place=place.store.uri)
        ours = actions.filter(pc.equal(actions["state"], DONE))
        self._left += actions.filter(pc.equal(actions["state"], FOREIGN))["name"].to_pylist()
        etags = self._each(ours.filter(pc.not_equal(ours["action"], "add")), self._restored)
        gone = self._each(ours.filter(pc.equal(ours["action"], "add")), self._taken_away)
        before = place.record(f"{UNDO}{number}/{RECORD}")
        again = actions.filter(pc.equal(actions["state"], FORMER))
        known = dict(zip(again["name"].to_pylist(), again["etag"].to_pylist(), strict=True)) | etags
        theirs = actions.filter(pc.not_equal(actions["former_etag"], etags_of(actions, before)).fill_null(True))
        for name in theirs["name"].to_pylist():
            known.pop(name, None)  # what stood there before was somebody else's, and is again
        place.write_record(_with_etags(before, record, known))
        place.end()
        place.forget(number)
        return Undone(place.store.uri, len(etags), len(gone), tuple(self._left), tuple(self._lost))

    def _each(self, actions: pa.Table, act: Callable[[str, str | None], str | None]) -> dict[str, str]:
        """Do something for each name; what it gave by name, where it was done."""
        done: dict[str, str] = {}
        with ThreadPoolExecutor(_THREADS) as threads:
            for rows in pieces(actions):
                found = threads.map(lambda row: act(row["name"], row["etag"]), rows)
                done |= {row["name"]: etag for row, etag in zip(rows, list(found), strict=True) if etag is not None}
        return done

    def _restored(self, name: str, etag: str | None) -> str | None:
        """Put the former picture back where `etag` stands; its new etag."""
        place, copy = self._place, self._place.backup(self._number, name)
        try:
            return place.store.copy(place.records, copy, name, content_type_of(name), standing=etag, fence=place.fence)
        except FileNotFoundError:
            self._lost.append(name)
        except Changed:
            self._left.append(name)
        return None

    def _taken_away(self, name: str, etag: str | None) -> str | None:
        """Remove a picture that was added and is still that with `etag`."""
        try:
            if etag is None or self._place.store.delete(name, etag, self._place.fence):
                return ""
        except Changed:
            if self._place.store.head(name) is None:
                return ""
        self._left.append(name)
        return None


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
