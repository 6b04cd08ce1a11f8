"""Picked rows become a manifest again: the ones that an art director wants once more, with new seeds if asked."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.job_file import find_job, read_manifest_copy
from pressrun.jobs.folder.result_schema import read_results
from pressrun.jobs.tables.raw_cells import restored
from pressrun.jobs.text.wording import first_of, shortened
from pressrun.pipeline.errors import JobError, PressrunError
from pressrun.pipeline.request import next_seed

RESEEDED = "reseeded_from"
"""The column that records the seed of the picture that was not wanted."""


def read_picks(stores: Stores, pick: str, option: str = "pick") -> list[str]:
    """custom_ids as the command line has them: `a,b,c`, or `@ids.txt` with one a line. `option` is where they stand.

    Raises JobError where there is none, or the file cannot be read.
    """
    if not pick.startswith("@"):
        found = pick.split(",")
    else:
        try:
            found = stores.read(pick[1:]).decode().splitlines()
        except (OSError, PressrunError, UnicodeDecodeError) as error:
            raise JobError(f"`{option}` {pick} cannot be read: {error}", code="bad_option") from None
    picks = list(dict.fromkeys(filter(None, map(str.strip, found))))
    if not picks:
        raise JobError(
            f"`{option}` names no row; give custom_ids with commas between them, or @ and a file of them.",
            code="bad_option",
        )
    return picks


def picked_rows(store: Store, picks: Sequence[str], reseed: bool) -> pa.Table:
    """The picked rows as the customer wrote them, in the manifest's order; with `reseed` each with the seed after the
    one that its picture has, which `reseeded_from` records. The same picks get the same seeds.

    Raises JobError for a pick that is no row of the manifest.
    """
    find_job(store)
    manifest = read_manifest_copy(store)
    ids = pa.array(picks, pa.string())
    unknown = ids.filter(pc.invert(pc.is_in(ids, manifest["custom_id"].combine_chunks()))).to_pylist()
    if unknown:
        raise JobError(
            f"`pick` names rows that {shortened(store.uri)} does not have: {first_of(unknown)}.", code="bad_option"
        )
    picked = manifest.filter(pc.is_in(manifest["custom_id"], ids))
    return restored(_reseeded(store, picked) if reseed else picked)


def _reseeded(store: Store, picked: pa.Table) -> pa.Table:
    results = read_results(store, ("seed",))
    places = pc.index_in(picked["custom_id"], results["custom_id"].combine_chunks()).combine_chunks()
    used = pc.coalesce(results["seed"].combine_chunks().take(places), picked["seed"].combine_chunks())
    seeds = pa.array([next_seed(seed) for seed in used.to_pylist()], pa.int64())
    picked = picked.set_column(picked.column_names.index("seed"), "seed", seeds)
    if RESEEDED in picked.column_names:
        return picked.set_column(picked.column_names.index(RESEEDED), RESEEDED, used)
    return picked.append_column(RESEEDED, used)
