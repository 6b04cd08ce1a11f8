"""An earlier job, read for what a later one can keep of it: a few columns, joined by custom_id."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pressrun.cluster.store.store import Opener
from pressrun.jobs.folder.job_file import IMAGES, MANIFEST, Job, find_job
from pressrun.jobs.folder.result_schema import is_done, mask, read_results
from pressrun.jobs.references.references import rows_digests
from pressrun.jobs.references.validators import Stamped, read_stamped
from pressrun.jobs.reuse.comparison import COMPARED, compared, noted_digests, unequal
from pressrun.jobs.reuse.fingerprints import Fingerprints
from pressrun.jobs.reuse.recovery import paths_in
from pressrun.pipeline.errors import JobError


class Earlier:
    """The job at `uri`. `job` is its job.json, `results` the outcomes that count, in no order.

    Raises JobError if there is none there, or its results are damaged.
    """

    def __init__(self, stores: Opener, uri: str) -> None:
        self.store = stores.open(uri)
        self.uri = self.store.uri
        self.job = find_job(self.store)
        self.results = read_results(
            self.store, ("image", "render_key", "finish_key", "renditions", "reseeds")
        ).combine_chunks()

    @cached_property
    def stamped(self) -> dict[str, Stamped]:
        """What it notes of its references."""
        return read_stamped(self.store)

    @cached_property
    def ids(self) -> pa.Array:
        """The custom_ids of its manifest. Raises JobError if that is damaged."""
        return self.manifest("custom_id")["custom_id"].combine_chunks()

    def manifest(self, *columns: str) -> pa.Table:
        """Some columns of its frozen manifest.

        Raises JobError if it is damaged.
        """
        try:
            return pq.ParquetFile(pa.BufferReader(self.store.get(MANIFEST))).read(list(columns))
        except (FileNotFoundError, pa.ArrowException, OSError):
            problem = f"{self.uri}/{MANIFEST} is missing or damaged; render that job again to put it back"
            raise JobError(f"{problem}, or give another `since`.", code="damaged_job") from None

    def places(self, ids: pa.Array) -> np.ndarray:
        """For each custom_id the place of its outcome in `results`, -1 if it has none."""
        return np.asarray(pc.index_in(ids, self._column("custom_id")).fill_null(-1).to_numpy(), np.int64)

    def unchanged(self, tonight: Fingerprints, places: np.ndarray) -> np.ndarray:
        """Whether the outcome at each place (-1: none) is what the request would come to tonight."""
        unchanged = np.zeros(len(places), bool)
        known = np.flatnonzero(places >= 0)
        outcomes = self.results.take(pa.array(places[known]))
        reseeds = outcomes["reseeds"].combine_chunks().fill_null(0).to_numpy()
        keys = tonight.keys_after(known, reseeds)
        unchanged[known] = (
            ~unequal(outcomes["render_key"], keys)
            & ~unequal(outcomes["finish_key"], tonight.finish_keys.take(pa.array(known)))
            & (is_done(outcomes) | mask(pc.equal(outcomes["status"], "rejected")))
        )
        return unchanged

    def reseeded(self, places: np.ndarray) -> np.ndarray:
        """Whether the outcome at each of `places` is of another seed than its row's own."""
        return np.asarray(self.results["reseeds"].fill_null(0).to_numpy()[places] > 0)

    def standing(self, places: np.ndarray) -> np.ndarray:
        """Whether the pictures of the outcomes at `places` are there with their renditions; a rejection needs none."""
        outcomes = self.results.take(pa.array(places))
        renditions = outcomes["renditions"].combine_chunks()
        images = outcomes["image"].combine_chunks()
        beside = pc.struct_field(pc.list_flatten(renditions), "image")
        images = pa.concat_arrays([images, beside])
        elsewhere = images.filter(pc.invert(pc.starts_with(images, IMAGES)).fill_null(False))
        pieces = [paths_in(self.store, IMAGES)] if len(images) else [pa.array([], pa.string())]
        for maker in pc.unique(pc.replace_substring_regex(elsewhere, f"^(.*)/{IMAGES}.*$", r"\1")).to_pylist():
            paths = paths_in(self.store.stores.open(maker), IMAGES)
            pieces.append(pc.binary_join_element_wise(pa.scalar(f"{maker}/", pa.string()), paths, ""))
        there = mask(pc.is_in(images, pa.concat_arrays(pieces)))
        standing: np.ndarray = there[: len(places)] | mask(pc.equal(outcomes["status"], "rejected"))
        standing[pc.list_parent_indices(renditions).to_numpy()[~there[len(places) :]]] = False
        return standing

    def addresses(self, images: pa.Array) -> pa.Array:
        """Pictures as this job's results name them, by their URIs; those of other jobs have theirs already."""
        here = pc.binary_join_element_wise(pa.scalar(f"{self.uri}/", pa.string()), images, "")
        return pc.if_else(pc.starts_with(images, IMAGES), here, images)

    def reasons(
        self, job: Job, tonight: Fingerprints, places: np.ndarray, missing: np.ndarray, reseeded: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Why the requests that have an outcome here (at `places`, -1: none, or kept) are not kept; for each reason
        the rows that it holds for. `missing` are those whose picture is gone, `reseeded` those that begin with their
        own seed again."""
        changed = np.flatnonzero(places >= 0)
        count = len(places)
        if not len(changed):
            return {}
        ours = tonight.table.select(COMPARED).take(pa.array(tonight.rows[changed]))
        theirs = self.manifest(*COMPARED)
        theirs = theirs.take(pc.index_in(tonight.ids.take(pa.array(changed)), theirs["custom_id"].combine_chunks()))
        digests = rows_digests(tonight.mentions, tonight.digests, tonight.rows[changed])
        of = compared(theirs, ours, noted_digests(theirs, self.stamped), digests)
        recipe = ("model_digest", "precision")
        remade = any(self.job.get(name) != getattr(job, name) for name in recipe if getattr(job, name))
        of["model"] = np.full(len(changed), remade)
        outcomes = self.results.take(pa.array(places[changed]))
        of["finish"] = unequal(outcomes["finish_key"], tonight.finish_keys.take(pa.array(changed)))
        of["no picture before"] = ~(is_done(outcomes) | mask(pc.equal(outcomes["status"], "rejected")))
        of["picture missing"] = np.isin(changed, missing)
        of["reseeded"] = np.isin(changed, reseeded)
        of["sampling"] = ~np.any(list(of.values()), axis=0)
        spread = {}
        for reason, rows in of.items():
            spread[reason] = np.zeros(count, bool)
            spread[reason][changed] = rows
        return spread

    def outcomes(self, ids: pa.Array, columns: Sequence[str]) -> pa.Table:
        """`columns` of the outcomes of some custom_ids, all of which have one."""
        table = read_results(self.store, columns)
        return table.take(pc.index_in(ids, table["custom_id"].combine_chunks()))

    def _column(self, name: str) -> pa.Array:
        return self.results[name].combine_chunks()
