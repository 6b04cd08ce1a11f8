"""What in a job's folder is the job's own: whoever removes a job removes that, and leaves alone what others put there.

A picture is the job's own if a result tells of it and it has that result's bytes: its size is compared always, its
digest where it was written after its result was. A picture that no result tells of must carry a record of its own.
"""

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.protocol.picture_paths import REPLACEMENTS
from pressrun.cluster.store.store import Store
from pressrun.cluster.store.unlisted import unlisted
from pressrun.jobs.delivery.bundle import BUNDLES, is_bundle
from pressrun.jobs.folder.job_file import DECISIONS, FILES, IMAGES, PIXELS, PRUNED, find_job, read_manifest_copy
from pressrun.jobs.folder.result_schema import PART, SCHEMA, joined, read_parts
from pressrun.jobs.manifest.output_names import NameTemplate
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.finishing.codec import extension
from pressrun.pipeline.finishing.metadata import read_record

THUMBNAILS = "thumbs/"
_OTHERS = re.compile(
    rf"{PIXELS}/[0-9a-f]{{2}}/[0-9a-f]{{64}}\.png|{REPLACEMENTS}[0-9a-f]{{64}}|\.lock/[0-9]{{8,}}\.json|"
    rf"{DECISIONS}[0-9A-Z]{{26}}\.json"
)
_THREADS = 16
_PIECE = 65_536
_TOLD = pa.schema([SCHEMA.field(name) for name in ("image", "bytes", "sha256", "finished_at")])
_STANDING = pa.schema([("path", pa.string()), ("size", pa.int64()), ("modified", pa.timestamp("ms", tz="UTC"))])


@dataclass(frozen=True)
class Belongings:
    """The paths of a job's `pictures`, of everything else that it wrote (`files`), and of what others put there."""

    pictures: pa.Array
    files: tuple[str, ...]
    foreign: tuple[str, ...]


def belongings(job: Store) -> Belongings:
    """Tell apart what stands in a job's folder, also of a job that was pruned in part.

    Raises:
        StorageError: the store failed although it was asked again.
    """
    standing, told, named = _standing(job), _told(job), _named(job)
    images = pc.starts_with(standing["path"], IMAGES)
    pictures = _own_pictures(job, standing.filter(images), told, named)
    names = pa.concat_arrays([named, told["image"].combine_chunks(), pictures])
    small = pc.binary_join_element_wise(THUMBNAILS, pc.replace_substring_regex(names, f"^{IMAGES}", ""), ".webp", "")
    files: list[str] = []
    foreign: list[str] = []
    for path in standing.filter(pc.invert(pc.is_in(standing["path"], pictures)))["path"].to_pylist():
        if path.startswith(IMAGES):
            foreign.append(path)
        elif path.startswith(THUMBNAILS):
            files.append(path)
        else:
            (files if _is_own(job, path) else foreign).append(path)
    thumbnails = pa.array([path for path in files if path.startswith(THUMBNAILS)], pa.string())
    strange = thumbnails.filter(pc.invert(pc.is_in(thumbnails, small))).to_pylist()
    foreign += [*strange, *unlisted(job.uri)]
    return Belongings(pictures, tuple(path for path in files if path not in set(strange)), tuple(foreign))


def pictures_that_stay(job: Store) -> dict[str, int]:
    """The pictures, with their bytes, that a pruning left for other jobs, as its marker tells; empty for any other."""
    try:
        found = json.loads(job.get(PRUNED)).get("pictures")
    except (FileNotFoundError, ValueError, AttributeError):
        return {}
    return {str(path): int(size) for path, size in found.items()} if isinstance(found, dict) else {}


def _is_own(job: Store, path: str) -> bool:
    """Whether Pressrun wrote a file that is neither a picture nor a thumbnail."""
    if path.startswith(f"{BUNDLES}/"):
        return path.endswith(".zip") and is_bundle(job, path)
    return path in FILES or PART.match(path) is not None or _OTHERS.fullmatch(path) is not None


def _standing(job: Store) -> pa.Table:
    """Paths, sizes and times of everything that stands there."""
    entries, pieces = job.list(), [_STANDING.empty_table()]
    while some := list(islice(entries, _PIECE)):
        columns = {"path": [one.path for one in some], "size": [one.size for one in some]}
        pieces.append(pa.table({**columns, "modified": [one.modified for one in some]}, schema=_STANDING))
    return pa.concat_tables(pieces).combine_chunks()


def _told(job: Store) -> pa.Table:
    """Every picture and rendition of its own that the job's results tell of, some twice; damaged parts tell nothing."""
    schema = pa.schema([*_TOLD, SCHEMA.field("renditions")])
    parts = [part for part in read_parts(job, schema.names).values() if part is not None]
    results = joined(parts, schema).combine_chunks()
    lists = results["renditions"].combine_chunks()
    beside, parents = pc.list_flatten(lists), pc.list_parent_indices(lists)
    renditions = {name: pc.struct_field(beside, name) for name in ("image", "bytes", "sha256")}
    renditions["finished_at"] = results["finished_at"].take(parents)
    stays = pictures_that_stay(job)
    kept: dict[str, Any] = {"image": list(stays), "bytes": list(stays.values())}
    kept |= {name: pa.nulls(len(stays), _TOLD.field(name).type) for name in ("sha256", "finished_at")}
    tables = [results.select(_TOLD.names), pa.table(renditions, schema=_TOLD), pa.table(kept, schema=_TOLD)]
    table = pa.concat_tables(tables)
    return table.filter(pc.starts_with(table["image"], IMAGES).fill_null(False)).combine_chunks()


def _named(job: Store) -> pa.Array:
    """Where the manifest's rows have their pictures; nothing where the job cannot be read any more."""
    try:
        about, manifest = find_job(job), read_manifest_copy(job)
        names, _ = NameTemplate.parse(str(about["name"])).names(manifest, extension(str(about["format"])))
    except (JobError, KeyError):
        return pa.array([], pa.string())
    return pc.binary_join_element_wise(pa.scalar(IMAGES, pa.string()), names.drop_null(), "")


def _own_pictures(job: Store, images: pa.Table, told: pa.Table, named: pa.Array) -> pa.Array:
    """The paths of the job's own among what stands in `images/`."""
    paths = images["path"].combine_chunks()
    place = pc.index_in(told["image"].combine_chunks(), paths)
    told = told.append_column("size", images["size"].combine_chunks().take(place))
    told = told.append_column("modified", images["modified"].combine_chunks().take(place))
    fits = told.filter(pc.equal(told["size"], told["bytes"]))
    later = pc.greater(fits["modified"], fits["finished_at"]).fill_null(False)
    with ThreadPoolExecutor(_THREADS) as threads:
        doubtful = fits.filter(later).select(["image", "sha256"]).to_pylist()
        same = [*threads.map(lambda one: _digest(job, one["image"]) == one["sha256"], doubtful)]
        # Of a run that was killed, or of a pruning by a version whose marker did not list what stays.
        untold = paths.filter(pc.invert(pc.is_in(paths, told["image"].combine_chunks())))
        stems = pc.replace_substring_regex(named, r"\.[^.]*$", "")
        if len(named):
            untold = untold.filter(pc.is_in(pc.replace_substring_regex(untold, r"(@[^@/]*|\.[^.]*)$", ""), stems))
        recorded = [*threads.map(lambda path: _carries_record(job, path), untold.to_pylist())]
    pieces = [fits.filter(pc.invert(later))["image"].combine_chunks()]
    pieces.append(pa.array([one["image"] for one, is_same in zip(doubtful, same, strict=True) if is_same], pa.string()))
    pieces.append(untold.filter(pa.array(recorded, pa.bool_())))
    return pc.unique(pa.concat_arrays(pieces))


def _digest(job: Store, path: str) -> str:
    try:
        return hashlib.sha256(job.get(path)).hexdigest()
    except (FileNotFoundError, ValueError):
        return ""


def _carries_record(job: Store, path: str) -> bool:
    try:
        return read_record(job.get(path)) is not None
    except (FileNotFoundError, ValueError):
        return False
