"""Keeping: rows that an earlier job has the very picture of are not rendered again.

A row is kept where its custom_id, its render key and what finishes it are those of an outcome of the earlier job whose
picture is still there. In a folder its picture becomes a hard link, so that nothing depends on the other folder; in a
bucket the result refers to the picture where it was made, never to a row that was kept itself. A rejection is kept too:
the same pixels would be judged the same.

Everything is columns: a million rows against a million outcomes are joined, not asked for one by one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.protocol.picture_paths import rendition_suffix, thumbnail_path
from pressrun.cluster.store.store import never
from pressrun.jobs.folder.job_file import IMAGES
from pressrun.jobs.folder.result_schema import SCHEMA
from pressrun.jobs.references.references import References
from pressrun.jobs.resolve.resolved_job import ResolvedJob
from pressrun.jobs.results.changes import NOTHING, Changes, counted, note_changes, with_reasons
from pressrun.jobs.results.results import Results
from pressrun.jobs.reuse.earlier import Earlier
from pressrun.jobs.reuse.fingerprints import Fingerprints

_CHUNK = 65_536


@dataclass(frozen=True)
class CacheHits:
    """The manifest's rows that need no rendering because of earlier jobs, and what changed in the others."""

    rows: np.ndarray
    changes: Changes = NOTHING


class CacheLookup:
    """Compares an order with the jobs that it keeps from; `known` is what those noted of references. `fence` is called
    before anything is kept, and raises StorageError if somebody may be removing those jobs by now.

    Raises JobError where one of them cannot be read.
    """

    def __init__(self, order: ResolvedJob, fence: Callable[[], None] = never) -> None:
        store = order.store
        self._order, self._store, self._fence = order, store, fence
        self._earlier = [Earlier(store.stores, uri) for uri in order.earlier]
        # Which seed a row ends at depends on the job's other rows: it begins with its own.
        repeated = order.finishing.check("duplicate")
        self._seeds_differ = repeated is not None and repeated.action == "reseed"
        self.known = {uri: one for earlier in reversed(self._earlier) for uri, one in earlier.stamped.items()}

    def keep(self, rows: np.ndarray, references: References, results: Results | None) -> CacheHits:
        """Keep what can be kept of `rows`, of which none is bad; with `results` in truth, else only on paper.

        Raises:
            StorageError: a store failed although it was asked again.
        """
        if not self._earlier:
            return CacheHits(rows[:0])
        job, earlier_job = self._order.job, self._earlier[0].job
        # A model that is not on this machine yet, in a dry run, is taken for the one that it was.
        was = str(earlier_job["model_digest"]) if earlier_job["model"] == job.model else ""
        tonight = Fingerprints.of(self._order, rows, references, job.model_digest or was)
        left = np.ones(len(rows), bool)
        finds, reasons = [], []
        for earlier in self._earlier:
            places = np.where(left, earlier.places(tonight.ids), -1)
            same = np.flatnonzero(earlier.unchanged(tonight, places))
            again = same[earlier.reseeded(places[same])] if self._seeds_differ else same[:0]
            same = np.setdiff1d(same, again)
            standing = earlier.standing(places[same])
            left[same[standing]] = False
            finds.append(same[standing])
            not_kept = np.where(left, places, -1)
            reasons.append(earlier.reasons(self._order.job, tonight, not_kept, same[~standing], again))
        changes = self._changes(tonight, left, reasons)
        since = self._earlier[0].uri
        if results is None:
            return CacheHits(rows[~left], counted(since, changes))
        references.note(self._store)
        note_changes(self._store, since, tonight.ids, changes)
        for earlier, found in zip(self._earlier, finds, strict=True):
            left[found] = ~self._have(earlier, rows[found], results)
        gone = tonight.ids.filter(pa.array(left & np.isin(np.arange(len(rows)), np.concatenate(finds))))
        if len(gone):
            note_changes(self._store, since, gone, with_reasons(gone, {"picture missing": np.ones(len(gone), bool)}))
        return CacheHits(rows[~left], counted(since, changes))

    def _changes(self, tonight: Fingerprints, left: np.ndarray, reasons: Sequence[dict[str, np.ndarray]]) -> pa.Table:
        """Why each row is not kept: as the newest of the jobs says that has an outcome of it."""
        merged: dict[str, np.ndarray] = {}
        explained = np.zeros(len(left), bool)
        for of in reasons:
            news = np.any([*of.values(), np.zeros(len(left), bool)], axis=0) & ~explained
            for name, rows in of.items():
                merged[name] = merged.get(name, np.zeros(len(left), bool)) | (rows & news)
            explained |= news
        listed = np.zeros(len(left), bool)
        for earlier in self._earlier:
            listed |= pc.is_in(tonight.ids, earlier.ids).to_numpy(zero_copy_only=False)
        merged["no picture before"] = merged.get("no picture before", False) | (left & ~explained & listed)
        merged["new"] = left & ~explained & ~listed
        merged = {name: of & left for name, of in merged.items()}
        before = self._earlier[0].ids
        removed = before.filter(pc.invert(pc.is_in(before, self._order.manifest.table["custom_id"].combine_chunks())))
        gone = with_reasons(removed, {"removed": np.ones(len(removed), bool)})
        return pa.concat_tables([with_reasons(tonight.ids, merged), gone])

    def _have(self, earlier: Earlier, rows: np.ndarray, results: Results) -> np.ndarray:
        """Take over the outcomes of `rows`, pictures first; which of them could be."""
        have = np.zeros(len(rows), bool)
        if not len(rows):
            return have
        ids = self._order.manifest.table["custom_id"].combine_chunks().take(pa.array(rows))
        outcomes = earlier.outcomes(ids, SCHEMA.names)
        for start in range(0, len(rows), _CHUNK):
            some, found = rows[start : start + _CHUNK], outcomes.slice(start, _CHUNK).combine_chunks()
            images, renditions = found["image"].combine_chunks(), found["renditions"].combine_chunks()
            beside = pc.struct_field(pc.list_flatten(renditions), "image")
            parents = pc.list_parent_indices(renditions)
            if earlier.uri.startswith("s3://") and self._store.uri.startswith("s3://"):
                taken = np.ones(len(some), bool)
                here, beside_here = earlier.addresses(images), earlier.addresses(beside)
            else:
                here = pc.if_else(pc.is_valid(images), self._order.paths.take(pa.array(some)), images)
                beside_here = self._rendition_paths(here, renditions)
                # Renditions first, as when they are made: where a picture stands, its renditions stand as well.
                taken = np.ones(len(some), bool)
                taken[parents.to_numpy()[~self._adopt(earlier, beside, beside_here)]] = False
                taken &= self._adopt(earlier, images, here, thumbnails=True)
            found = found.set_column(found.schema.get_field_index("image"), "image", here)
            found = found.set_column(
                found.schema.get_field_index("renditions"), "renditions", _renamed(renditions, beside_here)
            )
            have[start : start + _CHUNK] = taken
            self._fence()
            results.keep(some[taken], found.filter(pa.array(taken)))
        return have

    def _rendition_paths(self, paths: pa.Array, renditions: pa.ListArray) -> pa.Array:
        """Where each of the rows' renditions belongs beside the picture at its path."""
        wanted = self._order.finishing.renditions
        names = pc.struct_field(pc.list_flatten(renditions), "name")
        which = pc.index_in(names, pa.array([one.name for one in wanted], pa.string()))
        suffixes = pa.array([rendition_suffix(one) for one in wanted], pa.string()).take(which)
        stems = pc.replace_substring_regex(paths.take(pc.list_parent_indices(renditions)), r"\.[^.]*$", "")
        return pc.binary_join_element_wise(stems, suffixes, "")

    def _adopt(self, earlier: Earlier, images: pa.Array, here: pa.Array, thumbnails: bool = False) -> np.ndarray:
        """Have earlier pictures (null: a rejected row's) stand at `here` too, with `thumbnails` those there are."""
        taken = np.ones(len(images), bool)
        pairs: dict[str, list[tuple[int, str, str]]] = {}
        stores = {earlier.uri: earlier.store}
        for number, (image, path) in enumerate(zip(images.to_pylist(), here.to_pylist(), strict=True)):
            if image is None:
                continue
            store, there = (earlier.store, image) if image.startswith(IMAGES) else earlier.store.stores.find(image)
            stores.setdefault(store.uri, store)
            pairs.setdefault(store.uri, []).append((number, there, path))
        for uri, of_one in pairs.items():
            if thumbnails:
                small = [(_thumbnail(there), thumbnail_path(path)) for _, there, path in of_one]
                self._store.adopt(stores[uri], small)
            numbers = [number for number, _, _ in of_one]
            taken[numbers] = self._store.adopt(stores[uri], [(there, path) for _, there, path in of_one])
        return taken


def _renamed(renditions: pa.ListArray, images: pa.Array) -> pa.ListArray:
    """Lists of renditions with other paths or URIs."""
    flat = pc.list_flatten(renditions)
    fields = list(flat.type)
    columns = [images if field.name == "image" else pc.struct_field(flat, field.name) for field in fields]
    lengths = pc.list_value_length(renditions).fill_null(0).to_numpy()
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    return pa.ListArray.from_arrays(
        offsets, pa.StructArray.from_arrays(columns, fields=fields), mask=pc.is_null(renditions)
    )


def _thumbnail(image: str) -> str:
    """Where the thumbnail of a picture lies, given by its path in its own job or by its key in a bucket."""
    if image.startswith(IMAGES):
        return thumbnail_path(image)
    maker, _, name = image.rpartition(f"/{IMAGES}")
    return f"{maker}/{thumbnail_path(IMAGES + name)}"
