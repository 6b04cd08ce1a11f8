"""The sidecar `metadata.csv`: one line for every picture that a job made, as asset managers import them in bulk.

UTF-8, commas, one header line; docs/metadata.md says how three of them take it. A text that a spreadsheet would run as
a formula has a ' before it. What may be a secret in a customer's text is cut; an address that is none stays whole,
because asset managers follow it.
"""

import io
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pressrun.jobs.finish.row_metadata import SEPARATOR
from pressrun.jobs.folder.result_schema import is_done
from pressrun.jobs.folder.schema_version import NAME, VERSION
from pressrun.jobs.resolve.resolved_job import ResolvedJob
from pressrun.jobs.text.column_types import is_list
from pressrun.jobs.text.public_text import public
from pressrun.jobs.text.value_text import bare, is_binary, is_string, joined, texts
from pressrun.pipeline.finishing.metadata import COMPOSITE, GENERATED, SOURCE_TYPES
from pressrun.pipeline.finishing.provenance import BREAKS, TEXTS, UNREADABLE

_RUNS = r"^([=+\-@\t\r\n])"
"""What a spreadsheet takes for the beginning of a formula."""
_BATCH_ROWS = 65_536


def sidecar(order: ResolvedJob, results: pa.Table) -> bytes:
    """The bytes of metadata.csv; `results` is the closed job's table, a row for each of the manifest's."""
    file = io.BytesIO()
    options = pa.csv.WriteOptions(include_header=True)
    for start in range(0, results.num_rows, _BATCH_ROWS):
        some, rows = (table.slice(start, _BATCH_ROWS) for table in (results, order.manifest.table))
        pa.csv.write_csv(_lines(order, some, rows), file, options)
        options = pa.csv.WriteOptions(include_header=False)
    return file.getvalue()


def _lines(order: ResolvedJob, results: pa.Table, manifest: pa.Table) -> pa.Table:
    done = np.flatnonzero(is_done(results) & results["image"].is_valid().to_numpy())
    results, manifest = (table.take(pa.array(done)).combine_chunks() for table in (results, manifest))
    files, parents = _files(results)
    manifest = manifest.take(parents)
    captions = order.captions.table(manifest)
    edited = pc.greater(pc.list_value_length(manifest["references"]), 0)
    marks = pc.if_else(edited, SOURCE_TYPES + COMPOSITE, SOURCE_TYPES + GENERATED)
    columns = {
        "path": files["image"],
        "filename": pc.replace_substring_regex(files["image"], "^.*/", ""),
        "custom_id": manifest["custom_id"],
        **{name: files[name] for name in ("rendition", "width", "height", "format")},
        **{name: captions[name] for name in TEXTS},
        "keywords": captions["keywords"],
        "digital_source_type": marks,
    }
    # What a file is called finds it again; percent-encoded, it runs nothing.
    columns = {name: _cells(values) if name not in ("path", "filename") else values for name, values in columns.items()}
    headers, cells = list(columns), list(columns.values())
    for name in order.manifest.customer_columns:
        values = _cells(public(manifest[name]))
        if name in columns and columns[name].equals(values):
            continue
        # a name of ours means something else to the customer
        headers.append(f"manifest_{name}" if name in (*columns, NAME) else re.sub(_RUNS, r"'\1", name))
        cells.append(values)
    # Last, for importers that go by a column's place.
    return pa.table([*cells, pa.array([str(VERSION)] * len(parents), pa.string())], names=[*headers, NAME])


def _files(results: pa.Table) -> tuple[pa.Table, pa.Array]:
    """Every file of some rows, each picture followed by its renditions, and the row that each is of."""
    lists = results["renditions"].combine_chunks()
    beside = pc.list_flatten(lists)
    rows = np.concatenate([np.arange(results.num_rows), pc.list_parent_indices(lists).to_numpy()])
    order = pa.array(np.argsort(rows, kind="stable"))

    def column(name: str) -> pa.Array:
        ours = results[name].combine_chunks() if name != "name" else pa.array([""] * results.num_rows, pa.string())
        return pa.concat_arrays([ours, pc.struct_field(beside, name)]).take(order)

    names = {"image": "image", "rendition": "name", "width": "width", "height": "height", "format": "format"}
    return pa.table({ours: column(name) for ours, name in names.items()}), pa.array(rows).take(order)


def _cells(values: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray:
    """A column as a CSV file can hold it: texts that run nothing, lists with | between their values."""
    kind = bare(values.type)
    plain = is_list(values.type) and not pa.types.is_nested(bare(kind.value_type))
    told = joined(values, SEPARATOR) if plain else texts(values)
    if told.null_count != values.null_count:
        told = pc.coalesce(told, texts(values))  # a list with a null in it is JSON
    if not (pa.types.is_nested(kind) or is_string(kind) or is_binary(kind)):
        return told
    told = pc.replace_substring_regex(pc.replace_substring_regex(told, BREAKS, " "), UNREADABLE, "")
    return pc.replace_substring_regex(told, _RUNS, r"'\1")
