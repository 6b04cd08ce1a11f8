"""What still refers to purged pictures, or holds them: told in sentences, for a person to decide about."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.store import Store
from pressrun.jobs.decisions.decision_folder import read_decisions
from pressrun.jobs.delivery.bundle import BUNDLES
from pressrun.jobs.delivery.publish_target import PublishedPlace
from pressrun.jobs.delivery.records_place import FOLDER, OWNER
from pressrun.jobs.folder.job_file import DECISIONS, IMAGES, MATRIX, SHEET, find_job, read_manifest_copy
from pressrun.jobs.folder.result_schema import is_done, read_results
from pressrun.jobs.purge.purged_names import PurgedNames
from pressrun.jobs.purge.purged_pages import PurgedPages
from pressrun.jobs.purge.traces import Traces
from pressrun.jobs.text.wording import first_of, shortened
from pressrun.pipeline.errors import JobError


class PurgeMentions:
    """Looks for what tells of purged pictures after they are gone."""

    def __init__(self, names: PurgedNames, traces: Traces, pages: PurgedPages) -> None:
        self._names, self._traces, self._pages = names, traces, pages

    def in_job(self, job: Store) -> Iterator[str]:
        """What in a job's folder holds a picture, names one, or comes to the same one.

        Raises:
            StorageError: the store failed although it was asked again.
        """
        yield from self._pages_in(job, {SHEET})
        for entry in job.level(BUNDLES)[1]:
            if entry.path.endswith(".zip") and (members := self._members(job, entry.path, entry.size)):
                more = "remove the zip, or make it again with pressrun bundle"
                yield f"{job.uri}/{entry.path} holds it ({first_of(members)}): {more}."
        yield from self._decisions(job)
        yield from self._alike(job)
        yield from self._references(job)

    def _decisions(self, job: Store) -> Iterator[str]:
        """Decisions on the pictures, which may have comments, names and prompts in them."""
        try:
            told = [one for one in read_decisions(job).all if one.sha256 in self._traces.digests]
        except JobError:
            return
        if told:
            ids = first_of([*dict.fromkeys(one.custom_id for one in told)])
            yield f"{job.uri}/{DECISIONS} has what was decided of {ids}: remove those files if that is to go as well."

    def _pages_in(self, place: Store, but: set[str]) -> Iterator[str]:
        """The pages directly in a place that name a picture."""
        pages = [entry.path for entry in place.level()[1] if entry.path.endswith((".html", ".htm"))]
        for path in [path for path in pages if path not in but]:
            if self._pages.tells(place.get(path)):
                holds = "holds a small copy of it" if path == MATRIX else "names it"
                yield f"{place.uri}/{path} {holds}: remove the page, or make it again."

    def in_prefix(self, prefix: Store, records: Store) -> Iterator[str]:
        """What refers to a picture beside the nights: pages, and other places that they are published to."""
        yield from self._pages_in(prefix, set())
        for name in prefix.level(FOLDER)[0]:
            folder = f"{FOLDER}/{name}"
            if f"{prefix.uri}/{folder}" == records.uri:
                continue
            try:
                other = str(json.loads(prefix.get(f"{folder}/{OWNER}"))["place"])
                record = PublishedPlace(prefix.stores, other, f"{prefix.uri}/job", None).record()
            except (FileNotFoundError, ValueError, KeyError, TypeError, JobError):
                continue
            same = pc.is_in(record["sha256"], pa.array(sorted(self._traces.digests), pa.string()))
            for there in record["name"].filter(pc.or_(same, self._names.where(record["name"]))).to_pylist():
                command = f"pressrun publish `to` {other} `purge` {there}"
                yield f"{other} has a picture of that name, or the same one, as {shortened(there)}: {command}"

    def in_manifest(self, job: Store, ids: Iterable[str]) -> Iterator[str]:
        """The manifest whose rows the next night may draw again."""
        try:
            manifest = find_job(job)["manifest"]
        except (JobError, KeyError):
            return
        rows, why = first_of(list(ids)), "with another prompt, seed, model or finish its next night draws it again"
        yield f"{manifest} has the row {rows}: {why}; leave the row out if no such picture is to be."

    def _alike(self, job: Store) -> Iterator[str]:
        """Other rows that come to the same pixels."""
        results = read_results(job, ("image", "render_key"))
        same = pc.is_in(results["render_key"], pa.array(sorted(self._traces.render_keys), pa.string()))
        found = results.filter(pc.and_(same, pa.chunked_array([pa.array(is_done(results))])))
        for row in found.to_pylist():
            where = f"{job.uri}/{row['image']}" if row["image"].startswith(IMAGES) else row["image"]
            if where not in self._traces.uris:
                yield f"{where} of row {shortened(row['custom_id'])} has the same pixels: purge it, by its own name."

    def _references(self, job: Store) -> Iterator[str]:
        """Rows that a picture is a reference of."""
        try:
            manifest = read_manifest_copy(job)
        except JobError:
            return
        lists = manifest["references"].combine_chunks()
        used = pc.is_in(pc.list_flatten(lists), pa.array(sorted(self._traces.uris), pa.string()))
        rows = pc.unique(pc.list_parent_indices(lists).filter(used))
        if len(rows):
            ids = manifest["custom_id"].take(rows).to_pylist()
            yield f"{job.uri} renders {first_of(ids)} with it as a reference: give those rows another one."

    def _members(self, job: Store, path: str, size: int) -> list[str]:
        """The pictures in a zip that have the names or the bytes of purged ones."""
        found = []
        try:
            with zipfile.ZipFile(io.BufferedReader(_Remote(job, path, size), 1 << 16)) as file:
                for member in file.infolist():
                    named = self._names.among([member.filename])
                    if not named and member.file_size in self._traces.sizes:
                        named = [*named, *self._same(file, member)]
                    found += named
        except (zipfile.BadZipFile, FileNotFoundError, OSError):
            return found  # nobody can take a picture out of it
        return found

    def _same(self, file: zipfile.ZipFile, member: zipfile.ZipInfo) -> list[str]:
        return [member.filename] if hashlib.sha256(file.read(member)).hexdigest() in self._traces.digests else []


class _Remote(io.RawIOBase):
    """An object as a file that is read here and there, of which only that is fetched."""

    def __init__(self, store: Store, path: str, size: int) -> None:
        self._store, self._path, self._size, self._at = store, path, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        wanted = min(len(view), self._size - self._at)
        data = self._store.get_range(self._path, self._at, wanted) if wanted > 0 else b""
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
