"""A published place that pictures are purged from, and what its records keep for undoing."""

import hashlib
from collections.abc import Iterable
from io import BytesIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pressrun.cluster.store.store import Changed
from pressrun.jobs.delivery.publish_target import RECORD, UNDO, UNDO_FILE, PublishedPlace
from pressrun.jobs.folder.job_file import PARQUET
from pressrun.jobs.purge.purged_job import Gone
from pressrun.jobs.purge.purged_names import PurgedNames
from pressrun.jobs.purge.traces import Traces


class PurgedPlace:
    """A place and its records; with `only_tell` nothing is changed, and told is what would be."""

    def __init__(self, place: PublishedPlace, names: PurgedNames, only_tell: bool) -> None:
        self._place, self._names, self._only_tell = place, names, only_tell

    def trace(self, traces: Traces) -> None:
        """Add what the records tell of what was published under the names."""
        for table in (self._place.record(), *map(self._place.actions, self._place.undos())):
            ours = table.filter(self._names.where(table["name"]))
            traces.digests |= set(ours["sha256"].drop_null().to_pylist())
            traces.names |= set(ours["name"].to_pylist())
        traces.names |= set(self._names.standing(self._place.store))

    def purge_served(self, traces: Traces, gone: Gone) -> None:
        """Remove what stands under the names and is Pressrun's, and then the names from the record.

        Raises:
            StorageError: a store failed although it was asked again, or somebody else took over.
        """
        place, record = self._place, self._place.record()
        ours = record.filter(self._names.where(record["name"]))
        etags = dict(zip(ours["name"].to_pylist(), ours["etag"].to_pylist(), strict=True))
        for name in sorted({*etags, *self._names.standing(place.store)}):
            self._remove_served(name, etags.get(name), traces, gone)
        if ours.num_rows and not self._only_tell:
            place.write_record(record.filter(pc.invert(self._names.where(record["name"]))))

    def purge_undos(self, gone: Gone) -> None:
        """Remove the copies that were made for undoing, and have an undoing know that they are lost.

        Raises:
            StorageError: a store failed although it was asked again, or somebody else took over.
        """
        records = self._place.records
        for number in self._place.undos():
            for path in self._names.standing(records, self._place.backup(number, "")):
                if self._only_tell or records.delete(path, fence=self._place.fence):
                    gone.files.append(f"{records.uri}/{path}")
                else:
                    gone.left.append(f"{records.uri}/{path}: lies behind a link; remove by hand what it leads to.")
            if not self._only_tell:
                self._forget_in(number)

    def other_names(self, traces: Traces) -> list[str]:
        """The names under which the same bytes are published besides."""
        record = self._place.record()
        same = pc.is_in(record["sha256"], pa.array(sorted(traces.digests), pa.string()))
        other = pc.and_(same, pc.invert(self._names.where(record["name"])))
        return list(record["name"].filter(other).to_pylist())

    def _remove_served(self, name: str, etag: str | None, traces: Traces, gone: Gone) -> None:
        store = self._place.store
        uri, there = f"{store.uri}/{name}", store.head(name)
        if there is None:
            return
        if store.linked(name):
            gone.left.append(f"{uri}: lies behind a link; remove by hand what it leads to.")
        elif there.etag != etag and hashlib.sha256(store.get(name)).hexdigest() not in traces.digests:
            gone.left.append(f"{uri}: somebody else put it there; remove it by hand if it is to go.")
        else:
            try:
                if not self._only_tell:
                    store.delete(name, there.etag, self._place.fence)
                gone.files.append(uri)
            except Changed:
                gone.left.append(f"{uri}: was changed just now; purge again.")

    def _forget_in(self, number: str) -> None:
        """Have a publication, when it is undone, find that what it replaced is gone from the place and lost, and know
        nothing of what it added."""
        path = f"{UNDO}{number}/{UNDO_FILE}"
        before = self._place.record(f"{UNDO}{number}/{RECORD}")
        self._write(f"{UNDO}{number}/{RECORD}", before, before.filter(pc.invert(self._names.where(before["name"]))))
        actions = self._place.actions(number)
        ours = self._names.where(actions["name"])
        stays = actions.filter(pc.invert(pc.and_(ours, pc.equal(actions["action"], "add"))))
        removed = self._names.where(stays["name"])
        for name, value in (("action", "remove"), ("source", None), ("bytes", None)):
            place, field = stays.schema.get_field_index(name), stays.schema.field(name)
            told = pc.if_else(removed, pa.scalar(value, field.type), stays[name])
            stays = stays.set_column(place, field, told)
        self._write(path, actions, stays)

    def _write(self, path: str, before: pa.Table, after: pa.Table) -> None:
        if after.equals(before):
            return
        file = BytesIO()
        pq.write_table(after, file, compression="zstd")
        self._place.fence()
        self._place.records.put(path, file.getvalue(), PARQUET)


def publications(place: PublishedPlace) -> Iterable[str]:
    """The URIs of the jobs that were published to a place, as far as its records still tell."""
    for number in place.undos():
        yield (place.actions(number).schema.metadata or {})[b"job"].decode()
