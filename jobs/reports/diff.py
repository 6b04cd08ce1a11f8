"""Two jobs beside each other: which pictures were added, changed or removed, and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.job_file import IMAGES, find_job, read_manifest_copy
from pressrun.jobs.folder.result_schema import is_done, read_results
from pressrun.jobs.references.validators import read_stamped
from pressrun.jobs.results.changes import REASONS
from pressrun.jobs.reuse.comparison import COMPARED, compared, noted_digests, unequal
from pressrun.jobs.text.public_text import public

CHANGES = ("added", "changed", "removed")
_KEYS = ("image", "sha256", "render_key", "finish_key", "width", "height")


@dataclass(frozen=True)
class Difference:
    """Counts of pictures, why those that changed did (a picture may have several reasons), and of every picture that is
    not the same its custom_id, its change, its reasons, and its URI, prompt and size on both sides (`rows`).

    A picture that changed although neither its request nor its finishing did counts under `elsewhere`: it was rendered
    by another kind of device or build.
    """

    before: str
    after: str
    added: int
    changed: int
    removed: int
    unchanged: int
    reasons: Mapping[str, int]
    rows: pa.Table = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        names = ("before", "after", "added", "changed", "removed", "unchanged", "reasons")
        return {name: getattr(self, name) for name in names} | {"pictures": self.rows.to_pylist()}


def diff(stores: Stores, before: str, after: str) -> Difference:
    """Compare what two jobs have rendered.

    Raises:
        JobError: one of them is no job, or damaged.
        StorageError: a store does not answer.
    """
    sides = [_Side(stores.open(uri)) for uri in (before, after)]
    was, now = sides
    place = pc.index_in(now.ids, was.ids)
    both = np.flatnonzero(pc.is_valid(place).to_numpy(zero_copy_only=False))
    there = place.take(pa.array(both)).to_numpy().astype(np.int64)
    other = unequal(now.results["sha256"].take(pa.array(both)), was.results["sha256"].take(pa.array(there)))
    changed, old = both[other], there[other]
    added = np.setdiff1d(np.arange(len(now.ids)), both)
    removed = np.setdiff1d(np.arange(len(was.ids)), there)
    reasons = _reasons(was, now, old, changed)
    counts = {name: int(reasons[name].sum()) for name in (*REASONS, "elsewhere") if name in reasons}
    names = [name for name, count in counts.items() if count]
    why = [[name for name in names if reasons[name][row]] for row in range(len(changed))]
    pieces = [
        _rows("added", now.ids.take(pa.array(added)), None, now.told(added), [[]] * len(added)),
        _rows("changed", now.ids.take(pa.array(changed)), was.told(old), now.told(changed), why),
        _rows("removed", was.ids.take(pa.array(removed)), was.told(removed), None, [[]] * len(removed)),
    ]
    sizes = (len(added), len(changed), len(removed), len(both) - len(changed))
    return Difference(
        was.store.uri, now.store.uri, *sizes, {name: counts[name] for name in names}, pa.concat_tables(pieces)
    )


class _Side:
    """A job's pictures, and the requests that they answer."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.job = find_job(store)
        results = read_results(store, _KEYS)
        results = results.filter(pa.array(is_done(results))).combine_chunks()
        finish = results.schema.get_field_index("finish_key")  # none in a job of before there were such keys
        self.results = results.set_column(finish, "finish_key", results["finish_key"].fill_null(""))
        self.ids = self.results["custom_id"].combine_chunks()
        manifest = read_manifest_copy(store).select(COMPARED)
        self.manifest = manifest.take(pc.index_in(self.ids, manifest["custom_id"].combine_chunks())).combine_chunks()

    def told(self, rows: np.ndarray) -> pa.Table:
        """Of some pictures their URIs, sizes, and prompts as others may read them."""
        results = self.results.take(pa.array(rows))
        images = results["image"].combine_chunks()
        here = pc.binary_join_element_wise(pa.scalar(f"{self.store.uri}/", pa.string()), images, "")
        return pa.table(
            {
                "image": pc.if_else(pc.starts_with(images, IMAGES), here, images),
                "prompt": public(self.manifest["prompt"].take(pa.array(rows))),
                "width": results["width"],
                "height": results["height"],
            }
        )


def _reasons(was: _Side, now: _Side, old: np.ndarray, changed: np.ndarray) -> dict[str, np.ndarray]:
    before, after = was.manifest.take(pa.array(old)), now.manifest.take(pa.array(changed))
    digests = [noted_digests(table, read_stamped(side.store)) for table, side in ((before, was), (after, now))]
    of = compared(before, after, *digests)
    remade = any(was.job.get(name) != now.job.get(name) for name in ("model_digest", "precision"))
    of["model"] = np.full(len(changed), remade)
    keys = {
        name: unequal(was.results[name].take(pa.array(old)), now.results[name].take(pa.array(changed)))
        for name in ("render_key", "finish_key")
    }
    of["finish"] = keys["finish_key"]
    explained = np.any(list(of.values()), axis=0)
    of["sampling"] = ~explained & keys["render_key"]
    of["elsewhere"] = ~explained & ~keys["render_key"]
    return of


def _rows(change: str, ids: pa.Array, was: pa.Table | None, now: pa.Table | None, why: list[list[str]]) -> pa.Table:
    columns: dict[str, Any] = {"custom_id": ids, "change": pa.array([change] * len(ids), pa.string())}
    columns["reasons"] = pa.array(why, pa.list_(pa.string()))
    kinds = {"image": pa.string(), "prompt": pa.string(), "width": pa.int32(), "height": pa.int32()}
    for side, table in (("before", was), ("after", now)):
        for name, kind in kinds.items():
            columns[f"{side}_{name}"] = pa.nulls(len(ids), kind) if table is None else table[name].cast(kind)
    return pa.table(columns)


def rows_of(difference: Difference, limit: int) -> Iterator[dict[str, Any]]:
    """The first rows, changed ones first, then added, then removed."""
    for change in ("changed", "added", "removed"):
        some = difference.rows.filter(pc.equal(difference.rows["change"], change)).slice(0, limit)
        limit -= some.num_rows
        yield from some.to_pylist()
