"""A job that pictures are purged from: its rows are rejected, their files go, and its pages tell of them no more.

A purged row is a rejected one, which a resume leaves alone and the next night keeps: what would come to the very same
picture is not rendered again. Its row says so before its files go, so that nothing is drawn anew whatever ends a purge.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pressrun.cluster.protocol.picture_paths import kept_path, thumbnail_path
from pressrun.cluster.store.store import Changed, Store
from pressrun.jobs.delivery.belongings import THUMBNAILS
from pressrun.jobs.folder.job_file import IMAGES, PARQUET, PIXELS, find_job, read_manifest_copy
from pressrun.jobs.folder.result_schema import SCHEMA, mask, read_parts, shaped
from pressrun.jobs.manifest.output_names import NameTemplate
from pressrun.jobs.purge.purged_names import PurgedNames
from pressrun.jobs.purge.traces import Traces
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.finishing.codec import extension
from pressrun.pipeline.finishing.metadata import read_record

PURGED = "purged"
"""The error_code of a row whose picture was purged."""
_MESSAGE = "The picture was purged; give the row another prompt or seed to have another one."

_OF_A_PICTURE = ("image", "width", "height", "format", "sha256", "bytes", "renditions", "device", "likeness", "flags")
"""Columns that a purged row leaves empty; without a device it has no thumbnail (see
`jobs.run.closing.contact_sheet`)."""

_READ = pa.schema(
    [
        SCHEMA.field(name)
        for name in ("custom_id", "status", "image", "bytes", "sha256", "render_key", "renditions", "error_code")
    ]
)


@dataclass
class Gone:
    """What a purge removed: `rows` as (job, custom_id), `files` as URIs; what was `left`, each with why."""

    rows: list[tuple[str, str]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


class PurgedJob:
    """The job in a store, or what a pruning left of one. `fence` is called before every change; None: nothing is
    changed, and told is what would be.

    After `purge`, `touched` says whether there was, or had been, something to purge, and `pending` has the custom_ids
    that were not rendered yet.
    """

    def __init__(self, store: Store, names: PurgedNames, fence: Callable[[], None] | None) -> None:
        self.store, self._names, self._fence = store, names, fence
        self._named, self._known = self._rows_of_names()
        self.touched = False
        self.pending = self._named

    def trace(self, traces: Traces) -> None:
        """Add what the results tell of the pictures that have the names here."""
        traces.names |= set(self._known.to_pylist())
        for part in self._parts().values():
            if part is not None:
                traces.add(self.store, part.filter(pa.array(self._concerned(part, Traces()))).to_pylist())

    def trace_kept(self, traces: Traces) -> bool:
        """Add what they tell of the same pictures under other names; whether there was anything new."""
        before = len(traces.uris), len(traces.render_keys)
        for part in self._parts().values():
            if part is not None:
                traces.add(self.store, part.filter(pa.array(self._concerned(part, traces))).to_pylist())
        return before != (len(traces.uris), len(traces.render_keys))

    def purge(self, traces: Traces, gone: Gone) -> None:
        """Reject the rows, then remove the files.

        Raises:
            StorageError: the store failed although it was asked again, or somebody else took over.
        """
        for path, part in self._parts().items():
            if part is None:
                gone.left.append(f"{self.store.uri}/{path}: is damaged; render that job again, then purge again.")
                continue
            self.pending = self.pending.filter(pc.invert(pc.is_in(self.pending, part["custom_id"].combine_chunks())))
            told = pc.equal(part["error_code"], PURGED).fill_null(False)
            fresh = self._concerned(part, traces) & ~mask(told)
            self.touched |= bool(fresh.any()) or bool(pc.any(told).as_py())
            if fresh.any() and self.put(path, partial(self._rejected, path, fresh), PARQUET, gone):
                ids = part["custom_id"].filter(pa.array(fresh)).to_pylist()
                gone.rows += [(self.store.uri, custom_id) for custom_id in ids]
        own = traces.of_job(self.store)
        for path in sorted({*own, *self._names.standing(self.store, IMAGES)}):
            self._remove_picture(path, traces, gone)
        small = {thumbnail_path(path) for path in own} | {*self._names.standing(self.store, THUMBNAILS, ".webp")}
        kept = {f"{PIXELS}/{kept_path(key)}" for key in traces.render_keys}
        for path in (*sorted(small), *sorted(kept)):
            if self.store.head(path) is not None:
                self._remove(path, gone)

    def put(self, path: str, made: Callable[[], bytes], content_type: str, gone: Gone) -> bool:
        """Replace a file with what is made for it, unless it is behind a link; whether it was not."""
        if self.store.linked(path):
            gone.left.append(f"{self.store.uri}/{path}: lies behind a link, and still tells of what is purged.")
            return False
        if self._fence is not None:
            data = made()
            self._fence()
            self.store.put(path, data, content_type)
        return True

    def _parts(self) -> dict[str, pa.Table | None]:
        found = read_parts(self.store, _READ.names)
        return {path: None if part is None else shaped(part, _READ) for path, part in found.items()}

    def _rows_of_names(self) -> tuple[pa.Array, pa.Array]:
        """The custom_ids whose pictures have the names here, and these; of what is no whole job, the results' paths
        tell."""
        try:
            about, manifest = find_job(self.store), read_manifest_copy(self.store)
            names, _ = NameTemplate.parse(str(about["name"])).names(manifest, extension(str(about["format"])))
        except (JobError, KeyError):
            return pa.array([], pa.string()), pa.array([], pa.string())
        ours = self._names.where(names)
        return manifest["custom_id"].combine_chunks().filter(ours), names.filter(ours)

    def _concerned(self, part: pa.Table, traces: Traces) -> np.ndarray:
        """Which outcomes are of rows with the names, or of the very pictures."""
        images = part["image"].combine_chunks()
        ours = pc.starts_with(images, IMAGES)
        here = pc.if_else(ours, pc.binary_join_element_wise(pa.scalar(f"{self.store.uri}/"), images, ""), images)
        found = pc.is_in(part["custom_id"].combine_chunks(), self._named)
        found = pc.or_(found, self._names.where(pc.replace_substring_regex(images, f"^{IMAGES}", "")))
        found = pc.or_(found, pc.is_in(here, pa.array(sorted(traces.uris), pa.string())))
        digests = pa.array(sorted(traces.digests - {""}), pa.string())
        return mask(pa.chunked_array([pc.or_(found, pc.is_in(part["sha256"].combine_chunks(), digests))]))

    def _rejected(self, path: str, rows: np.ndarray) -> bytes:
        """A part in which some rows' pictures are purged."""
        table = pq.ParquetFile(pa.BufferReader(self.store.get(path))).read()
        said: dict[str, Any] = dict.fromkeys(_OF_A_PICTURE)
        said |= {"status": "rejected", "error_code": PURGED, "error_message": _MESSAGE}
        said["finished_at"] = datetime.now(UTC)
        for name in [name for name in table.column_names if name in said]:
            field, place = table.schema.field(name), table.schema.get_field_index(name)
            value = pa.scalar(said[name], field.type)
            table = table.set_column(place, field, pc.if_else(pa.array(rows), value, table[name].combine_chunks()))
        file = BytesIO()
        pq.write_table(table, file, compression="zstd")
        return file.getvalue()

    def _remove_picture(self, path: str, traces: Traces, gone: Gone) -> None:
        """Remove a picture or a rendition, if it is Pressrun's."""
        entry = self.store.head(path)
        if entry is None:
            return
        data = self.store.get(path)
        if hashlib.sha256(data).hexdigest() in traces.digests or read_record(data) is not None:
            self._remove(path, gone, entry.etag)
        else:
            gone.left.append(f"{self.store.uri}/{path}: is not Pressrun's; remove it by hand if it is to go.")

    def _remove(self, path: str, gone: Gone, etag: str | None = None) -> None:
        uri = f"{self.store.uri}/{path}"
        try:
            behind = self.store.linked(path)
            if not behind and self._fence is not None:
                behind = not (
                    self.store.delete(path, etag, self._fence) if etag else self.store.delete(path, fence=self._fence)
                )
        except Changed:
            gone.left.append(f"{uri}: was changed just now; purge again.")
            return
        if behind:
            gone.left.append(f"{uri}: lies behind a link; remove by hand what it leads to.")
        else:
            gone.files.append(uri)
