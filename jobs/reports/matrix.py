"""The matrix: a job's pictures by two of its columns, as an art director looks at a campaign.

One HTML file with everything in it, small pictures included: it opens from a disk, a bucket or a mail, with no server.
"""

import base64
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.store import Store
from pressrun.jobs.decisions.decision import Decisions
from pressrun.jobs.decisions.decision_folder import read_decisions
from pressrun.jobs.decisions.rerolls import rerolled
from pressrun.jobs.folder.job_file import find_job, read_manifest_copy
from pressrun.jobs.folder.result_schema import is_done, mask, read_results
from pressrun.jobs.reports.contact_sheet import cells
from pressrun.jobs.reports.embedded_decisions import embedded_decisions
from pressrun.jobs.reports.page import as_json, page
from pressrun.jobs.results.picture_files import small_picture
from pressrun.jobs.tables.coercion import as_text
from pressrun.jobs.text.wording import first_of, shortened
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.finishing.codec import read_picture_header

MAX_PICTURES = 3_000
"""Pictures of one page: about 40 MB, which a browser still opens at once."""

_THREADS = 16


@dataclass(frozen=True)
class Matrix:
    """What a page shows: the columns down and across, which rows of the manifest (each column of `where` has one of its
    values; `undecided`: only those whose picture has no verdict), and which output of them."""

    down: tuple[str, ...]
    across: tuple[str, ...]
    where: Mapping[str, Sequence[str]]
    rendition: str = ""
    undecided: bool = False


def write_matrix(store: Store, matrix: Matrix) -> tuple[bytes, int]:
    """The page, and how many pictures it shows.

    Raises JobError where a column is none of the manifest's, or where there are too many pictures or none.
    """
    job, manifest, decisions = find_job(store), read_manifest_copy(store), read_decisions(store)
    _check_columns(manifest, matrix)
    results = _results(store, manifest)
    chosen = _chosen(manifest, results, decisions, matrix)
    own, results = manifest.take(chosen), results.take(chosen)
    standing = dict(zip(own["custom_id"].to_pylist(), results["sha256"].to_pylist(), strict=True))
    rows = rerolled(own, decisions.rerolls(standing))
    with ThreadPoolExecutor(_THREADS) as threads:
        pictures = list(threads.map(lambda row: _picture(store, row, matrix.rendition), results.to_pylist()))
    facts = _facts(rows)
    made = results.append_column("prompt", rows["prompt"])
    data = {
        "title": store.uri.rsplit("/", 1)[-1],
        "out": store.uri,
        "down": _headings(own, matrix.down),
        "across": _headings(own, matrix.across),
        "pictures": pictures,
        "ids": rows["custom_id"].to_pylist(),
        "facts": facts,
        **embedded_decisions(decisions, job["fingerprint"], made, cells("prompt", rows["prompt"]), own["prompt"]),
    }
    return page("matrix.html", str(data["title"]), as_json(data)), len(chosen)


def _results(store: Store, manifest: pa.Table) -> pa.Table:
    """What became of each row of the manifest, in its order; null of those that are not rendered yet."""
    names = ("image", "seed", "sha256", "error_code", "error_message", "renditions")
    results = read_results(store, names)
    places = pc.index_in(manifest["custom_id"], results["custom_id"].combine_chunks())
    found = results.take(places.combine_chunks())
    return found.set_column(found.column_names.index("custom_id"), "custom_id", manifest["custom_id"])


def _check_columns(manifest: pa.Table, matrix: Matrix) -> None:
    named = [("down", name) for name in matrix.down] + [("across", name) for name in matrix.across]
    problems = [
        f"`{field}` {shortened(name)} is no column of the manifest, which has {first_of(manifest.column_names, 50)}."
        for field, name in [*named, *(("where", name) for name in matrix.where)]
        if name not in manifest.column_names
    ]
    if problems:
        raise JobError(*problems, code="bad_option")


def _chosen(manifest: pa.Table, results: pa.Table, decisions: Decisions, matrix: Matrix) -> pa.Array:
    """The places of the rows that the page shows, in the manifest's order."""
    fits = np.ones(manifest.num_rows, bool)
    for name, values in matrix.where.items():
        texts = as_text(manifest[name], f"`where` {shortened(name)}")
        fits &= mask(pc.is_in(texts, pa.array(values, pa.string())))
    if not fits.any():
        raise JobError("No row has what `where` asks for.", code="nothing_to_do")
    if matrix.undecided:
        fits &= is_done(results)
        if not fits.any():
            raise JobError("There is no picture to decide on yet.", code="nothing_to_do")
        digests = results["custom_id"].combine_chunks(), results["sha256"].combine_chunks()
        fits &= ~mask(decisions.approved(*digests)) & ~mask(decisions.rejected(*digests))
        if not fits.any():
            raise JobError("Every picture is decided.", code="nothing_to_do")
    chosen = np.flatnonzero(fits)
    if len(chosen) > MAX_PICTURES:
        raise JobError(
            f"{len(chosen):,} pictures are more than a page of {MAX_PICTURES:,} can show; choose some of them, such as "
            f"`where` {shortened(matrix.down[0], 30)}=…",
            code="bad_option",
        )
    return pa.array(chosen)


def _headings(rows: pa.Table, names: Sequence[str]) -> dict[str, Any]:
    """Each distinct combination of the columns' values, in the order of first occurrence, and which one a row has."""
    values = list(zip(*(cells(name, rows[name]) for name in names), strict=True))
    known: dict[Any, int] = {}
    codes = [known.setdefault(value, len(known)) for value in values]
    return {"names": list(names), "values": [list(value) for value in known], "codes": codes}


def _facts(rows: pa.Table) -> list[dict[str, Any]]:
    """The manifest's columns with what they hold, for whoever looks at one picture."""
    return [{"name": name, "cells": cells(name, rows[name])} for name in rows.column_names if name != "custom_id"]


def _picture(store: Store, row: Mapping[str, Any], rendition: str) -> dict[str, Any]:
    """A row's small picture as a data: URI, or why there is none."""
    image = row["image"]
    if rendition and image:
        image = next((one["image"] for one in row["renditions"] or () if one["name"] == rendition), None)
        if image is None:
            raise JobError(
                f"Row {shortened(row['custom_id'])} has no rendition “{shortened(rendition)}”.", code="bad_option"
            )
    if not image:
        why = row["error_message"] or ("It is not rendered yet." if row["status"] is None else "There is no picture.")
        return {"status": row["status"] or "pending", "why": why}
    small = small_picture(store, image, stored=not rendition)
    if small is None:
        return {"status": row["status"], "why": f"{image} cannot be found or read; see pressrun verify."}
    header = read_picture_header(small)
    return {
        "status": row["status"],
        "image": image,
        "sha256": row["sha256"],
        "seed": str(row["seed"]),
        "ratio": header.width / header.height if header else 1,
        "small": "data:image/webp;base64," + base64.b64encode(small).decode(),
    }
