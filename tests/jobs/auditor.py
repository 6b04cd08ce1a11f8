"""An auditor of jobs that shares no code with what it audits: it knows the files of a job as their documentation tells
of them, and nothing of the program. `python -m tests.jobs.auditor FOLDER` says what is wrong with the job in a folder.

It is for jobs without references, renditions, checks and captions, of names that are custom_ids. It reads what stands
in a job as bytes by path (`files_under` has them of a folder) and says in stable words what is wrong: job, manifest,
results, missing_result, double_result, unknown_result, wrong_result, missing_picture, wrong_bytes, wrong_picture,
wrong_record, wrong_key, shared_picture, extra_picture, missing_page, unfinished, summary.
"""

import hashlib
import html
import io
import json
import os
import re
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pyarrow as pa
import pyarrow.parquet as pq

DONE = ("succeeded", "cached")
STATUSES = (*DONE, "failed", "rejected")
PART = re.compile(r"results/part-\d{6}(-[0-9a-f]+-\d+)?\.parquet")
CLUTTER = re.compile(r"(.*/)?(\.DS_Store|Thumbs\.db|desktop\.ini|\._[^/]*)|(.*/)?@eaDir/.*", re.DOTALL)

Elsewhere = Callable[[str], bytes | None]


def audit(job: Mapping[str, bytes], elsewhere: Elsewhere) -> list[str]:
    """What is wrong with a job, given by everything that stands in its folder; `elsewhere` reads the pictures that it
    names by their URIs. Each finding is a word and what it is about."""
    about = json.loads(job["job.json"])
    manifest = _table(job.get("manifest.parquet"))
    if manifest is None:
        return ["manifest: it is missing or damaged"]
    found = [*_identity(about, manifest)]
    parts = {path: _table(job[path]) for path in sorted(job) if PART.fullmatch(path)}
    found += [f"results: {path} is damaged" for path, part in parts.items() if part is None]
    rows = [row for part in parts.values() if part is not None for row in part.to_pylist()]
    asked = {row["custom_id"]: row for row in manifest.to_pylist()}
    told = Counter(row["custom_id"] for row in rows)
    found += [f"missing_result: {one}" for one in asked if not told[one]]
    found += [f"double_result: {one}" for one in asked if told[one] > 1]
    found += [f"unknown_result: {one}" for one in told.keys() - asked.keys()]
    last = {row["custom_id"]: row for row in sorted(rows, key=lambda row: row["status"] in DONE)}
    last = {one: last[one] for one in asked if one in last}
    for custom_id, row in last.items():
        found += _row(about, asked[custom_id], row, job, elsewhere)
    images = Counter(row["image"] for row in last.values() if row["status"] in DONE)
    found += [f"shared_picture: {path}" for path, count in images.items() if count > 1]
    standing = (path for path in sorted(job) if path.startswith("images/") and path[-1] != "/")
    found += [f"extra_picture: {path}" for path in standing if path not in images and not CLUTTER.fullmatch(path)]
    return found + _summary(job, len(asked), list(last.values()))


def _identity(about: dict[str, Any], manifest: pa.Table) -> Iterator[str]:
    """Whether job.json agrees with itself and with the manifest."""
    decides = ("rows", "manifest_digest", "model_digest", "precision", "finishing_digest", "name")
    said = json.dumps({name: about.get(name) for name in decides}, sort_keys=True)
    if hashlib.sha256(said.encode()).hexdigest() != about["fingerprint"]:
        yield "job: its fingerprint is not that of its fields"
    if about["finishing"].get("format") != about["format"]:
        yield "job: it names two formats"
    if manifest.num_rows != about["rows"] or _digest(manifest) != about["manifest_digest"]:
        yield "manifest: it is not the one of job.json"


def _row(
    about: dict[str, Any], asked: dict[str, Any], row: dict[str, Any], job: Mapping[str, bytes], elsewhere: Elsewhere
) -> Iterator[str]:
    """Whether an outcome is one of its request, and its picture is what it says."""
    one = row["custom_id"]
    if row["status"] not in STATUSES:
        yield f"wrong_result: {one} has the status {row['status']}"
    if row["model_digest"] not in (about["model_digest"], *[None] * (row["status"] not in DONE)):
        yield f"wrong_result: {one} is of another model"
    if row["status"] not in DONE:
        if row["status"] in STATUSES and (row["image"] or not (row["error_code"] and row["error_message"])):
            yield f"wrong_result: {one} has failed, and has a picture or no reason"
        return
    if not row["image"]:
        yield f"missing_picture: {one} has none"
        return
    if row["render_key"] != _render_key(about, asked) or row["seed"] != asked["seed"]:
        yield f"wrong_key: {one} is not of what was asked for"
    ours = row["image"].startswith("images/")
    if row["image"] != f"images/{_encoded(one)}.{about['format']}" and (ours or row["status"] == "succeeded"):
        yield f"wrong_result: {one} has its picture at {row['image']}"
    data = job.get(row["image"]) if ours else elsewhere(row["image"])
    if data is None:
        yield f"missing_picture: {row['image']}"
    elif hashlib.sha256(data).hexdigest() != row["sha256"] or len(data) != row["bytes"]:
        yield f"wrong_bytes: {row['image']}"
    elif not {_looks(data), (row["format"], row["width"], row["height"])} == {_wanted(about, asked)}:
        yield f"wrong_picture: {row['image']} is {_looks(data)}"
    else:
        said = record(data)
        keys = {"custom_id": one, "render_key": row["render_key"], "finish_key": row["finish_key"], "rendition": ""}
        if {name: said.get(name, "") for name in keys} != keys:
            yield f"wrong_record: {row['image']} says that it is {said}"
        elif said.get("model") != row["model"] != about["model"]:
            yield f"wrong_result: {one} was made by {said.get('model')}"


def _summary(job: Mapping[str, bytes], rows: int, last: list[dict[str, Any]]) -> list[str]:
    if "summary.json" not in job:
        return ["unfinished: there is no summary.json"]
    found = [f"missing_page: {name}" for name in ("index.html", "metadata.csv") if name not in job]
    counts = Counter(row["status"] for row in last)
    flagged = sum(row["status"] in DONE and row["flags"] is not None for row in last)
    try:
        summary = json.loads(job["summary.json"])
        told = [summary[name] for name in (*STATUSES, "flagged", "rows")]
        if told == [*(counts[name] for name in STATUSES), flagged, rows] and len(last) == rows:
            if not summary.get("pending") and not summary.get("stopped"):
                return found
    except (ValueError, KeyError, TypeError):
        pass
    return [*found, "summary: summary.json does not add up to the results"]


def _render_key(about: dict[str, Any], asked: dict[str, Any]) -> str:
    """The digest of all that decides the pixels, as canonical JSON."""
    names = ("prompt", "width", "height", "steps", "guidance", "seed", "references")
    decides = {name: asked[name] for name in names}
    decides |= {"model": about["model_digest"], "precision": about["precision"], "revision": 1}
    return hashlib.sha256(json.dumps(decides, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _encoded(text: str) -> str:
    """A custom_id as it is part of a name: letters, digits and -._~ stay."""
    kept = (one if one.isalnum() or one in "-._~" else "".join(f"%{byte:02X}" for byte in one.encode()) for one in text)
    return "".join(kept)


def _wanted(about: dict[str, Any], asked: dict[str, Any]) -> tuple[str, int, int]:
    return about["format"], asked["width"], asked["height"]


def _looks(data: bytes) -> tuple[str, int, int]:
    """Format and size of a PNG whose chunks are whole."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        return "no png", 0, 0
    place = 8
    while place < len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if data[end : end + 4] != zlib.crc32(data[place + 4 : end]).to_bytes(4, "big"):
            return "broken png", 0, 0
        place = end + 4
    return "png", int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


_TAGS = {
    "custom_id": "dc:identifier",
    "render_key": "pressrun:renderKey",
    "finish_key": "pressrun:finishKey",
    "rendition": "pressrun:rendition",
    "model": "Iptc4xmpExt:AISystemUsed",
}


def record(data: bytes) -> dict[str, str]:
    """What a picture's XMP says of it, found in its raw bytes."""
    said = {}
    for name, tag in _TAGS.items():
        if match := re.search(rf"<{tag}>(.*?)</{tag}>".encode(), data, re.DOTALL):
            text = html.unescape(match[1].decode(errors="replace"))
            if text.startswith("percent:"):
                text = unquote_to_bytes(text.removeprefix("percent:")).decode("utf-8", "surrogatepass")
            said[name] = text
    return said


def _table(data: bytes | None) -> pa.Table | None:
    try:
        return None if data is None else pq.ParquetFile(io.BytesIO(data)).read()
    except (pa.ArrowException, OSError):
        return None


def _digest(table: pa.Table) -> str:
    """As job.json has it: over the columns, each by the digest of its Arrow stream."""
    digest = hashlib.sha256()
    for name in table.column_names:
        sink = io.BytesIO()
        column = pa.table({name: table[name].combine_chunks()})
        with pa.ipc.new_stream(sink, column.schema) as stream:
            stream.write_table(column)
        digest.update(hashlib.sha256(sink.getvalue()).digest())
    return digest.hexdigest()


def files_under(folder: str) -> dict[str, bytes]:
    """Every file under a folder, by its path there; links are followed, but none that leads back."""
    found = {}
    for place, folders, names in os.walk(folder, followlinks=True):
        here = os.path.realpath(place)
        folders[:] = [one for one in folders if not f"{here}/".startswith(os.path.realpath(Path(place, one)) + "/")]
        for name in names:
            path = Path(place, name)
            if path.is_file():
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def read_file(path: str) -> bytes | None:
    """The bytes of a file, None where there is none."""
    return Path(path).read_bytes() if Path(path).is_file() else None


if __name__ == "__main__":
    print(*audit(files_under(sys.argv[1]), read_file) or ["nothing is wrong"], sep="\n")
