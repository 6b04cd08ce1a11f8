"""The audit of a job's pictures: each is read, whole, and nothing else stands beside them."""

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.protocol.picture_paths import rendition_path, rendition_suffix
from pressrun.cluster.store.unlisted import unlisted
from pressrun.jobs.audit.audited import Audited, Discrepancy, Found, Unchecked
from pressrun.jobs.decisions.rerolls import rows_of
from pressrun.jobs.folder.clutter import CLUTTER
from pressrun.jobs.folder.job_file import IMAGES, JOB
from pressrun.jobs.folder.result_schema import is_done
from pressrun.jobs.manifest.output_names import NameTemplate
from pressrun.jobs.text.wording import several
from pressrun.pipeline.errors import JobError, RequestError
from pressrun.pipeline.finishing.codec import extension, is_sound, read_picture_header
from pressrun.pipeline.finishing.credentials import read_credentials
from pressrun.pipeline.finishing.metadata import read_record
from pressrun.pipeline.finishing.spec import FinishingSpec

_THREADS = 16
_ENDING = r"(@[^@/]*|\.[^.]*)$"
"""Of a picture's or a rendition's path, what is not its row's name."""

_LOOKED_AT = (
    *("custom_id", "status", "image", "width", "height", "format", "sha256", "bytes", "render_key", "finish_key"),
    *("renditions", "model"),
)


class PictureAudit:
    """Reads the pictures of an audited job; with `signatures` whether each is signed and unchanged since as well.
    `pictures` counts what stands in its images/, without what file browsers left there."""

    def __init__(self, audited: Audited, standing: pa.Array, signatures: bool) -> None:
        left = pc.match_substring_regex(standing, CLUTTER)
        self._audited, self._signatures = audited, signatures
        self._standing, self._clutter = standing.filter(pc.invert(left)), standing.filter(left)
        self.pictures = len(self._standing)

    def found(self) -> Iterator[Found]:
        """Every promised picture is there with the right bytes, record, size and name, and nothing else beside them."""
        try:
            places = self._places()
        except JobError as error:
            yield Discrepancy("job", JOB, f"The name template in job.json is not for this manifest: {error}")
            places = pa.nulls(self._audited.manifest.num_rows, pa.string())
        with ThreadPoolExecutor(_THREADS) as threads:
            for rows, outcomes, requests in self._audited.batches("width", "height"):
                done = pa.array(is_done(outcomes))
                where = places.take(pa.array(rows)).filter(done).to_pylist()
                sizes = zip(*(column.filter(done).to_pylist() for column in requests.columns), strict=True)
                told = outcomes.select(_LOOKED_AT).filter(done).to_pylist()
                promised: list[dict[str, Any]] = []
                for row, place, size in zip(told, where, sizes, strict=True):
                    if row["image"]:
                        yield from self._name(row, place)
                        yield from self._renditions(row)
                        promised += self._promised(row, *size)
                yield from filter(None, threads.map(self._picture, promised))
        yield from self._beside(places)

    def _places(self) -> pa.Array:
        """Where each row's picture belongs, null: nowhere. Raises JobError for a template that cannot name them."""
        job, finishing = self._audited.job, self._audited.finishing
        renditions = finishing.renditions if finishing else ()
        spare = max((len(rendition_suffix(each)) for each in renditions), default=0)
        names, _ = NameTemplate.parse(job["name"]).names(self._audited.manifest, extension(job["format"]), spare)
        return pc.binary_join_element_wise(pa.scalar(IMAGES, pa.string()), names, pa.scalar("", pa.string()))

    def _name(self, row: Mapping[str, Any], place: str | None) -> Iterator[Found]:
        """A picture of this job's own stands under its row's name; one that was kept may stand in another job."""
        ours = row["image"].startswith(IMAGES) or row["status"] == "succeeded"
        if ours and row["image"] != place:
            message = (
                f"Row {row['custom_id']} has its picture at {row['image']}; by its name it is {place or 'nowhere'}."
            )
            yield Discrepancy("wrong_name", row["custom_id"], message)

    def _renditions(self, row: Mapping[str, Any]) -> Iterator[Found]:
        """A row has the renditions that its job's finishing spec wants, no other, each where it belongs."""
        if self._audited.finishing is None:
            return
        there = [(one["name"], one["image"]) if one else (None, None) for one in row["renditions"] or ()]
        wanted = [(each.name, rendition_path(row["image"], each)) for each in self._audited.finishing.renditions]
        if there != wanted:
            has, due = (", ".join(f"{name} at {path}" for name, path in each) or "none" for each in (there, wanted))
            message = f"Row {row['custom_id']} has these renditions: {has}; the job's finishing spec wants {due}."
            yield Discrepancy("wrong_renditions", row["custom_id"], message)

    def _promised(self, row: Mapping[str, Any], width: int | None, height: int | None) -> Iterator[dict[str, Any]]:
        """What is promised of a row's picture and of each of its renditions, and as `wanted` format and size."""
        finishing = self._audited.finishing
        wanted = _wanted(finishing, width, height) if finishing and width and height else {}
        yield {**row, "name": "", "wanted": wanted.get("")}
        for one in row["renditions"] or ():
            if one and one["image"]:
                yield {**row, **one, "wanted": wanted.get(one["name"])}

    def _picture(self, row: Mapping[str, Any]) -> Discrepancy | None:
        """The first thing that is wrong with a picture."""
        path, whose = row["image"], f"{row['image']} of row {row['custom_id']}"
        try:
            data = self._audited.store.get(path) if path.startswith(IMAGES) else self._audited.store.stores.read(path)
        except (FileNotFoundError, PermissionError, ValueError, RequestError, JobError):
            return Discrepancy("missing_picture", path, f"{whose} is missing.")
        if hashlib.sha256(data).hexdigest() != row["sha256"] or len(data) != row["bytes"]:
            return Discrepancy("wrong_bytes", path, f"{whose} has other bytes than were written.")
        record = read_record(data)
        key = (row["custom_id"], row["render_key"], row["finish_key"] or "", row["name"])
        if record is None or not record.is_of(*key):
            return Discrepancy("wrong_record", path, f"{path} does not say that it belongs to row {row['custom_id']}.")
        if row["model"] not in (record.model, self._audited.job["model"]):  # one model may go by several names
            message = f"{whose} was made by {record.model}; the results say {row['model']}."
            return Discrepancy("wrong_model", path, message)
        return (_signature(path, data, row) if self._signatures else None) or _size(path, data, row)

    def _beside(self, places: pa.Array) -> Iterator[Found]:
        """Nothing stands in images/ that no row that succeeded has, and no two rows have the same; a picture that was
        decided against stands until its row has another."""
        outcomes = self._audited.outcomes.select(["custom_id", "image", "renditions"])
        done = outcomes.filter(pa.array(is_done(self._audited.outcomes)))
        images = done["image"].combine_chunks()
        renditions = pc.struct_field(pc.list_flatten(done["renditions"].combine_chunks()), "image")
        extra = pc.invert(pc.is_in(self._standing, pa.concat_arrays([images, renditions])))
        if former := rows_of(self._audited.manifest, self._audited.former):
            stems = pc.replace_substring_regex(places.take(pa.array(sorted(former))), _ENDING, "")
            own = pc.is_in(pc.replace_substring_regex(self._standing, _ENDING, ""), stems)
            extra = pc.and_(extra, pc.invert(own))
        for path in sorted(self._standing.filter(extra).to_pylist()):
            yield Discrepancy("extra_picture", path, f"{path} belongs to no row that succeeded.")
        again = pc.not_equal(pc.index_in(images, images), pa.array(np.arange(len(images))))
        for row in done.filter(pc.and_(again, pc.is_valid(images))).to_pylist():
            yield Discrepancy("shared_picture", row["custom_id"], f"Row {row['custom_id']} shares {row['image']}.")
        if len(self._clutter):
            files, example = several(len(self._clutter), "file"), self._clutter[0].as_py()
            yield Unchecked(f"{files} that file browsers left in {IMAGES} ({example}) were passed over.")
        if strange := unlisted(self._audited.store.uri, IMAGES):
            names, example = several(len(strange), "name"), strange[0]
            yield Unchecked(f"{names} in {IMAGES} ({example}) are not UTF-8 and were passed over.")


def _wanted(finishing: FinishingSpec, width: int, height: int) -> dict[str, tuple[str, int, int]]:
    """Format and size of the picture of a request of that size (""), and of each of its renditions."""
    copy = finishing.copy
    larger = copy.enlarge if copy and not copy.only_renditions else 1
    renditions = {each.name: (each.format, *each.size_of(width, height)) for each in finishing.renditions}
    return {"": (finishing.format, round(width * larger), round(height * larger)), **renditions}


def _size(path: str, data: bytes, row: Mapping[str, Any]) -> Discrepancy | None:
    """A file is of the format and size that the results tell, and of those that are wanted."""
    header, told = read_picture_header(data), (row["format"], row["width"], row["height"])
    if header is None or not is_sound(data):
        return Discrepancy("wrong_format", path, f"{path} of row {row['custom_id']} is no picture that can be read.")
    for other, who in ((told, "the results say"), (row["wanted"], "the job wants")):
        if other and other != tuple(header):
            kind = "wrong_size" if other[0] == header.format else "wrong_format"
            message = f"{path} of row {row['custom_id']} is {_said(*header)}; {who} {_said(*other)}."
            return Discrepancy(kind, path, message)
    return None


def _said(format: str, width: int, height: int) -> str:
    return f"{width} × {height} pixels in {format}"


def _signature(path: str, data: bytes, row: Mapping[str, Any]) -> Discrepancy | None:
    found = read_credentials(data, row["format"])
    if found is None:
        return Discrepancy("missing_signature", path, f"{path} of row {row['custom_id']} is not signed.")
    if found.state == "invalid":
        why = ", ".join(found.problems) or "no reason given"
        message = (
            f"{path} of row {row['custom_id']} was changed after it was signed, or its signature is damaged ({why})."
        )
        return Discrepancy("invalid_signature", path, message)
    return None
