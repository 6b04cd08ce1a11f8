"""What a publication has to do: a job's pictures compared with what stands in the place and what is recorded of it."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.store import Store
from pressrun.jobs.decisions.decision_folder import read_decisions
from pressrun.jobs.delivery.publish_target import ACTIONS, PublishedPlace
from pressrun.jobs.delivery.standing import etags_of
from pressrun.jobs.folder.job_file import IMAGES, find_job, read_manifest_copy
from pressrun.jobs.folder.result_schema import is_done, read_results
from pressrun.jobs.manifest.output_names import NameTemplate
from pressrun.pipeline.finishing.codec import extension

_RANK = {"add": 0, "replace": 1, "remove": 2}
_WORDS = {"add": "added", "replace": "replaced", "remove": "removed"}


@dataclass(frozen=True)
class PublicationPlan:
    """The `actions` (see `jobs.delivery.publish_target.ACTIONS`), in the order in which they are done, and `counts`, by
    the names of `Published`'s fields."""

    actions: pa.Table
    counts: dict[str, int]


def planned(store: Store, place: PublishedPlace, remove: bool, approved: bool = False) -> PublicationPlan:
    """What has to be done, in the order in which it is done: columns joined, nothing asked for one by one. With
    `approved` only pictures that are approved are wanted, and what was rejected is gone."""
    wanted, unready = wanted_of(store, approved)
    names = wanted["name"].combine_chunks()
    listed = place.listed(names)
    record = place.respelled(place.record(), names)
    there = etags_of(wanted, listed)
    known = pc.index_in(names, record["name"].combine_chunks())
    same_bytes = pc.equal(_taken(record["sha256"], known), wanted["sha256"].combine_chunks())
    same = pc.and_(same_bytes, pc.equal(_taken(record["etag"], known), there)).fill_null(False)
    new = wanted.append_column("former_etag", there).append_column(
        "action", pc.if_else(pc.is_null(there), "add", "replace")
    )
    new = new.filter(pc.invert(same))
    foreign = pc.and_(pc.is_valid(there), pc.is_null(known))
    now = etags_of(record, listed)
    ours = pc.equal(record["etag"].combine_chunks(), now).fill_null(False)
    gone = pc.and_(pc.invert(pc.is_in(record["name"], names)), pc.invert(pc.is_in(record["custom_id"], unready)))
    old = record.append_column("former_etag", now).filter(pc.and_(ours, gone.combine_chunks()))
    actions = new.select(ACTIONS.names)
    if remove:
        columns = {
            "action": pa.array(["remove"] * old.num_rows, pa.string()),
            "source": pa.nulls(old.num_rows, pa.string()),
            "bytes": pa.nulls(old.num_rows, pa.int64()),
        }
        leaving = pa.table(
            {name: columns.get(name, old[name] if name in old.column_names else None) for name in ACTIONS.names}
        )
        actions = pa.concat_tables([actions, leaving.cast(ACTIONS)])
    ranks = pc.index_in(actions["action"].combine_chunks(), pa.array(list(_RANK)))
    actions = actions.take(pc.array_sort_indices(ranks)).cast(ACTIONS)
    counts = counted(actions) | {
        "unchanged": pc.sum(same).as_py() or 0,
        "foreign": pc.sum(foreign).as_py() or 0,
        "superfluous": 0 if remove else old.num_rows,
        "not_ready": len(unready),
    }
    return PublicationPlan(actions, counts)


def counted(actions: pa.Table) -> dict[str, int]:
    """How many pictures the actions add, replace and remove."""
    return {word: pc.sum(pc.equal(actions["action"], verb)).as_py() or 0 for verb, word in _WORDS.items()}


def wanted_of(store: Store, approved: bool = False) -> tuple[pa.Table, pa.Array]:
    """What a job has to publish: names, digests, rows and the URIs of its pictures, renditions included; and the
    custom_ids of the rows that have no picture, or with `approved` none that is decided on.

    Raises JobError if the job is damaged.
    """
    job = find_job(store)
    manifest = read_manifest_copy(store)
    paths, _ = NameTemplate.parse(str(job["name"])).names(manifest, extension(str(job["format"])))
    results = read_results(store, ("image", "sha256", "bytes", "renditions"))
    results = results.filter(pa.array(is_done(results))).combine_chunks()
    ids, rejected = manifest["custom_id"].combine_chunks(), pa.array([], pa.string())
    if approved:
        decisions, pictures = read_decisions(store), [results[name] for name in ("custom_id", "sha256")]
        pictures = [column.combine_chunks() for column in pictures]
        rejected = pictures[0].filter(decisions.rejected(*pictures))
        results = results.filter(decisions.approved(*pictures)).combine_chunks()
    done = results["custom_id"].combine_chunks()
    names = paths.take(pc.index_in(done, ids))
    renditions = results["renditions"].combine_chunks()
    flat, parents = pc.list_flatten(renditions), pc.list_parent_indices(renditions)
    beside = pc.struct_field(flat, "image")
    stems = pc.replace_substring_regex(names.take(parents), r"\.[^.]*$", "")
    suffixes = pc.replace_substring_regex(beside, r"^.*(@[^@/]*)$", r"\1")
    sources = pa.concat_arrays([results["image"].combine_chunks(), beside])
    here = pc.binary_join_element_wise(pa.scalar(f"{store.uri}/", pa.string()), sources, "")
    wanted = pa.table(
        {
            "name": pa.concat_arrays([names, pc.binary_join_element_wise(stems, suffixes, "")]),
            "sha256": pa.concat_arrays([results["sha256"].combine_chunks(), pc.struct_field(flat, "sha256")]),
            "custom_id": pa.concat_arrays([done, done.take(parents)]),
            "source": pc.if_else(pc.starts_with(sources, IMAGES), here, sources),
            "bytes": pa.concat_arrays([results["bytes"].combine_chunks(), pc.struct_field(flat, "bytes")]),
        }
    )
    return wanted, ids.filter(pc.invert(pc.is_in(ids, pa.concat_arrays([done, rejected]))))


def _taken(column: pa.ChunkedArray, places: pa.Array) -> pa.Array:
    return column.combine_chunks().take(places)
