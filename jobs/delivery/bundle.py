"""Bundles: a job's pictures as one zip for each value of a column, named as whoever gets them wants them named.

A zip is written picture by picture and never stands in memory or on this disk; pictures are stored as they are, since
they are compressed already. The same job gives the same bytes. A zip says in its comment what it is and of which job:
nothing but a bundle is ever replaced by one.
"""

import hashlib
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.store import Store
from pressrun.cluster.store.uri import local_path
from pressrun.jobs.decisions.decision_folder import read_decisions
from pressrun.jobs.delivery.zip_stream import Counted, ZipWindow
from pressrun.jobs.folder.job_file import find_job, read_manifest_copy
from pressrun.jobs.folder.new_place import standing
from pressrun.jobs.folder.result_schema import is_done, read_results
from pressrun.jobs.manifest.output_names import NameTemplate
from pressrun.jobs.tables.coercion import as_text
from pressrun.jobs.text.wording import first_of, shortened
from pressrun.pipeline.errors import JobError, RequestError

BUNDLES = "bundles"
_AHEAD = 16
"""Pictures that are read ahead of the zip that they go into."""

_COMMENT = b"Pressrun bundle of job "
_END_BYTES = 22
"""Of the record that ends a zip, before its comment."""

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class Bundle:
    """One zip: its column's value, where it is, how many pictures it holds, its bytes."""

    value: str
    path: str
    pictures: int
    bytes: int


@dataclass(frozen=True)
class _Picture:
    uri: str
    sha256: str
    name: str
    finished: datetime


class Bundles:
    """What a job's pictures make when they are told apart by the column `by`: `left_out` rows have no picture there,
    and with `approved` the pictures of `unapproved` rows are not, and left out as well.

    `name` is a template over the manifest's columns (None: as in the job), `rendition` the one to take instead of the
    picture itself. Raises JobError with everything that stands in the way.
    """

    def __init__(
        self, store: Store, by: str, name: str | None = None, rendition: str = "", approved: bool = False
    ) -> None:
        job = find_job(store)
        self._store = store
        self._comment = _COMMENT + str(job["fingerprint"]).encode()
        manifest = read_manifest_copy(store)
        if by not in manifest.column_names:
            raise JobError(
                f"`by` {shortened(by)} is no column of the manifest, which has {first_of(manifest.column_names, 50)}.",
                code="bad_option",
            )
        template = NameTemplate.parse(name, plain=True) if name else None
        if template:
            template.check(manifest.column_names)
        results, self.unapproved = _pictures(store, approved)
        places = pc.index_in(manifest["custom_id"], results["custom_id"].combine_chunks())
        values = as_text(manifest[by], f"`by` {shortened(by)}")
        there = pc.and_(pc.is_valid(places), pc.greater(pc.binary_length(values).fill_null(0), 0))
        self.left_out = manifest.num_rows - (pc.sum(there).as_py() or 0) - self.unapproved
        groups = values.filter(there).combine_chunks().dictionary_encode()
        self._manifest = manifest.filter(there)
        self._results = results.take(places.filter(there).combine_chunks())
        if rendition:
            self._results = _of_rendition(self._results, rendition)
        self._template, self._own = template, NameTemplate.parse(str(job["name"]), plain=True)
        distinct = groups.dictionary
        if not len(distinct):
            what, first = ("approved picture", "approve some") if self.unapproved else ("picture", "render it")
            raise JobError(
                f"{store.uri} has no {what} to bundle by {shortened(by)}; {first} first.", code="nothing_to_do"
            )
        self._files = _file_names(distinct, by)
        self._empty = _names_without(values.drop_null().unique(), self._files)
        self._distinct = distinct.to_pylist()
        codes = groups.indices.to_numpy(zero_copy_only=False)
        ends = np.cumsum(np.bincount(codes, minlength=len(distinct)))
        members = np.split(np.argsort(codes, kind="stable"), ends[:-1]) if len(distinct) else []
        self._named = [(rows, self._names(rows, rendition)) for rows in members]

    def write(self, out: str | None = None) -> Iterator[Bundle]:
        """Write the zips, one after the other, into `out` (None: `bundles/` in the job's own place).

        Raises JobError where a name is taken by what is no bundle, and for a picture that is not what the results say,
        StorageError when a store does not answer.
        """
        place = (out or f"{self._store.uri}/{BUNDLES}").rstrip("/")
        self._refuse_foreign(place)
        if not place.lower().startswith("s3://"):
            try:
                Path(local_path(place)).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise JobError(
                    f"{place} cannot be made a folder ({error.strerror}): choose another `out`.", code="bad_place"
                ) from None
        for value, file, (rows, names) in zip(self._distinct, self._files.to_pylist(), self._named, strict=True):
            path = f"{place}/{file}"
            counted = Counted(self._chunks(rows, names))
            try:
                self._store.stores.write(path, counted, "application/zip")
            except RequestError as error:
                raise JobError(str(error), code="bad_place") from None
            yield Bundle(value, path, len(rows), counted.bytes)

    def outdated(self, out: str | None = None) -> list[str]:
        """Earlier bundles of this job in `out` whose value has no picture any more that could be in them."""
        store = self._store.stores.open((out or f"{self._store.uri}/{BUNDLES}").rstrip("/"))
        return [f"{store.uri}/{file}" for file in standing(store, self._empty) if self._is_ours(store, file)]

    def _is_ours(self, store: Store, file: str) -> bool:
        return is_bundle(store, file, self._comment)

    def _refuse_foreign(self, place: str) -> None:
        """Raises JobError with all names that hold something else than a bundle."""
        store = self._store.stores.open(place)
        taken = [file for file in standing(store, self._files.to_pylist()) if not is_bundle(store, file)]
        if taken:
            raise JobError(
                f"{place} has {first_of(taken)} already, which `pressrun bundle` did not write: choose another `out`, "
                "or move that away.",
                code="bad_place",
            )

    def _names(self, rows: np.ndarray, rendition: str) -> pa.Array:
        """The names that some rows' pictures have in their zip."""
        some = self._manifest.take(pa.array(rows))
        images = self._results["image"].take(pa.array(rows)).combine_chunks()
        [ending] = pc.unique(pc.replace_substring_regex(images, r"^.*\.", "")).to_pylist()
        if self._template is None:  # this job's name for it, also where an earlier job that made it had another
            names = self._own.names(some, ending)[0]
            return pc.replace_substring_regex(names, r"\.[^.]*$", f"@{rendition}.{ending}") if rendition else names
        names, nameless = self._template.names(some, ending)
        if nameless.num_rows:
            raise JobError(
                f"{nameless.num_rows} pictures cannot be named: {nameless['error_message'][0].as_py()}", code="bad_name"
            )
        return names

    def _chunks(self, rows: np.ndarray, names: pa.Array) -> Iterator[bytes]:
        """The bytes of one zip, a picture at a time."""
        buffer = ZipWindow()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file, ThreadPoolExecutor(_AHEAD) as threads:
            file.comment = self._comment
            for picture, data in _mapped_ahead(threads, self._read, self._pictures(rows, names)):
                stamp = max(picture.finished, datetime(1980, 1, 1, tzinfo=UTC)).timetuple()[:6]
                info = zipfile.ZipInfo(picture.name, stamp)
                info.external_attr = 0o644 << 16
                file.writestr(info, data)
                yield buffer.taken()
        yield buffer.taken()

    def _pictures(self, rows: np.ndarray, names: pa.Array) -> Iterator[_Picture]:
        columns = self._results.take(pa.array(rows)).select(["image", "sha256", "finished_at"])
        for batch, start in _batches(columns):
            for row, name in zip(batch.to_pylist(), names.slice(start, batch.num_rows).to_pylist(), strict=True):
                yield _Picture(row["image"], row["sha256"], name, row["finished_at"])

    def _read(self, picture: _Picture) -> tuple[_Picture, bytes]:
        ours = picture.uri.startswith("images/")
        try:
            data = self._store.get(picture.uri) if ours else self._store.stores.read(picture.uri)
        except (FileNotFoundError, PermissionError, RequestError) as error:
            raise JobError(f"{error} `pressrun verify` says what else is missing.", code="damaged_job") from None
        if hashlib.sha256(data).hexdigest() != picture.sha256:
            raise JobError(
                f"{picture.uri} has other bytes than were written; `pressrun verify` says what else has.",
                code="damaged_job",
            )
        return picture, data


def _pictures(store: Store, approved: bool) -> tuple[pa.Table, int]:
    """A job's pictures, or those that are approved; and how many others there are."""
    results = read_results(store, ("image", "sha256", "renditions", "finished_at"))
    results = results.filter(pa.array(is_done(results)))
    if not approved:
        return results, 0
    told = (results[name].combine_chunks() for name in ("custom_id", "sha256"))
    chosen = results.filter(read_decisions(store).approved(*told))
    return chosen, results.num_rows - chosen.num_rows


def _names_without(values: pa.Array, files: pa.Array) -> list[str]:
    """What zips of values would be called, now or before their names were for people, that are not among `files`."""
    table = pa.table({"value": values})
    called = {
        name
        for plain in (True, False)
        for name in NameTemplate.parse("{value}", plain).names(table, "zip")[0].to_pylist()
    }
    return sorted({name for name in called if name} - {*files.to_pylist()})


def _file_names(values: pa.Array, by: str) -> pa.Array:
    """The name of each value's zip."""
    files, nameless = NameTemplate.parse("{value}", plain=True).names(pa.table({"value": values}), "zip")
    if nameless.num_rows:
        raise JobError(f"`by` {shortened(by)}: {nameless['error_message'][0].as_py()}", code="bad_option")
    return files


def is_bundle(store: Store, path: str, comment: bytes = _COMMENT) -> bool:
    """Whether an object is a zip whose comment says that it is a bundle, of whatever job, or begins with `comment`."""
    entry, length = store.head(path), len(_COMMENT) + 64  # a fingerprint's digits
    if entry is None or entry.size < _END_BYTES + length:
        return False
    end = store.get_range(path, entry.size - _END_BYTES - length, _END_BYTES + length)
    says = int.from_bytes(end[_END_BYTES - 2 : _END_BYTES], "little")
    return end.startswith(b"PK\5\6") and says == length and end[_END_BYTES:].startswith(comment)


def _of_rendition(results: pa.Table, rendition: str) -> pa.Table:
    """The results with image and digest of a rendition in the place of the picture's own."""
    lists = results["renditions"].combine_chunks()
    flat, parents = pc.list_flatten(lists), pc.list_parent_indices(lists).to_numpy()
    names = pc.struct_field(flat, "name")
    chosen = pc.equal(names, rendition).fill_null(False).to_numpy(zero_copy_only=False)
    if chosen.sum() != results.num_rows or not np.array_equal(parents[chosen], np.arange(results.num_rows)):
        known = sorted(filter(None, pc.unique(names).to_pylist()))
        raise JobError(
            f"The job has no rendition “{shortened(rendition)}”; it has {first_of(known) or 'none'}.", code="bad_option"
        )
    for column in ("image", "sha256"):
        place = results.column_names.index(column)
        results = results.set_column(place, column, pc.struct_field(flat, column).filter(pa.array(chosen)))
    return results


def _batches(table: pa.Table) -> Iterator[tuple[pa.RecordBatch, int]]:
    start = 0
    for batch in table.to_batches(max_chunksize=8_192):
        yield batch, start
        start += batch.num_rows


def _mapped_ahead(threads: ThreadPoolExecutor, call: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """`call` of each item, in order, a few items ahead and never more."""
    source = iter(items)
    waiting: deque[Future[T]] = deque(threads.submit(call, item) for item in islice(source, _AHEAD))
    while waiting:
        done = waiting.popleft().result()
        waiting.extend(threads.submit(call, item) for item in islice(source, 1))
        yield done
