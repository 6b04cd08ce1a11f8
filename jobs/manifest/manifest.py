"""The manifest: a customer's table, checked whole before anything starts, kept as columns and never as objects.

What is wrong with the table refuses the job, all reasons together; what is wrong with one row fails that row alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.opening import Stores
from pressrun.jobs.folder.result_schema import SCHEMA
from pressrun.jobs.manifest.doubtful_texts import doubts, refuse_errors
from pressrun.jobs.manifest.odd_texts import filled, key_problem, of_ours, refuse_odd
from pressrun.jobs.manifest.repeats import repeated, row_numbers
from pressrun.jobs.manifest.request_columns import KINDS, READERS, checked_columns, readable_texts
from pressrun.jobs.manifest.spoken_pictures import spoken_pictures
from pressrun.jobs.tables.near_misses import hint, settled
from pressrun.jobs.tables.parquet_reader import TEXT_CELLS
from pressrun.jobs.tables.raw_cells import COLUMN as AS_WRITTEN
from pressrun.jobs.tables.raw_cells import RawCells, odd_texts, restored
from pressrun.jobs.tables.row_errors import BadRows
from pressrun.jobs.tables.sandbox import read_apart
from pressrun.jobs.tables.table_notes import notes_of
from pressrun.jobs.tables.table_reader import DECODED_BYTES, manifest_place
from pressrun.jobs.text.column_types import is_list, is_number, is_text
from pressrun.jobs.text.wording import first_of, listed, shortened
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.request import FIELDS, RenderRequest

REQUEST_SCHEMA = pa.schema([(name, KINDS[field.kind]) for name, field in FIELDS.items()])
"""The columns of a normalised manifest that are ours; the customer's follow."""

RESERVED = tuple(name for name in SCHEMA.names if name not in FIELDS)
"""Result columns that no manifest may bring along: the results carry the customer's columns beside them."""

CHUNK_ROWS = 8_192


@dataclass(frozen=True)
class Manifest:
    """A checked manifest.

    `table` has every row of the source, in its order: the columns of `REQUEST_SCHEMA` with defaults filled in, then the
    customer's. `bad` (see `jobs.tables.row_errors.SCHEMA`) says which rows cannot be rendered and why; their cells may
    be null where a value does not fit its column; `lost` then has what the customer wrote (see
    `jobs.tables.raw_cells`). `source` is the URI that the table came from. `notes` are sentences about columns and rows
    that were not taken as they stand, for a person to read before anything is rendered.
    """

    table: pa.Table
    bad: pa.Table
    source: str
    lost: pa.ChunkedArray | None = None
    notes: tuple[str, ...] = ()

    @property
    def frozen(self) -> pa.Table:
        """What manifest.parquet holds: the table, and beside it the cells that it could not keep."""
        return self.table if self.lost is None else self.table.append_column(AS_WRITTEN, self.lost)

    @property
    def good(self) -> np.ndarray:
        """Indices of the rows that can be rendered, ascending."""
        keep = np.ones(self.table.num_rows, dtype=bool)
        keep[self.bad["row"].to_numpy()] = False
        return np.flatnonzero(keep)

    @property
    def customer_columns(self) -> list[str]:
        """Names of the columns that are carried into the results untouched."""
        return list(self.table.column_names[len(REQUEST_SCHEMA) :])


def read_manifest(stores: Stores, uri: str, limit: int | None = None, max_bytes: int = DECODED_BYTES) -> pa.Table:
    """The first `limit` rows (all, if None) of a Parquet file, a folder of parts, JSONL or CSV, local or in `s3://`.

    Read by a process of its own (see `jobs.tables.sandbox`). Raises JobError for what cannot be read or takes more than
    `max_bytes` bytes of memory, StorageError when the store does not answer.
    """
    return read_apart(stores, uri, limit, max_bytes)


def normalise(table: pa.Table, model: Model, source: str) -> Manifest:
    """Check `table`, fill in the defaults of `model` and give every column its type.

    `source` is the manifest's URI; relative references are resolved against the place where it stands.
    Raises JobError with every reason for which the job as a whole cannot run.
    """
    table, theirs_odd = odd_texts(restored(table))
    odd = of_ours(theirs_odd, table.column_names)
    near = settled(table)
    notes, table = (*notes_of(table), *near.notes), near.table
    problems = [*near.problems, *_column_problems(table)]
    if problems:
        raise JobError(
            *problems, *(near.notes if near.problems else ()), code="bad_manifest"
        )  # who mends its columns wants to know all
    bad, lost = BadRows(), RawCells()
    ours = [name for name in table.column_names if name in REQUEST_SCHEMA.names]
    theirs = [name for name in table.column_names if name not in REQUEST_SCHEMA.names]
    texts = {name: readable_texts(table[name], name, bad, lost) for name in [*ours, *theirs]}
    custom_ids, prompts = _as_text(texts["custom_id"]), _as_text(texts["prompt"])
    problems = [key_problem(odd["custom_id"])] if odd.get("custom_id") else _key_problems(custom_ids)
    if problems:
        raise JobError(*problems, code="bad_manifest")
    refuse_odd(odd.get("prompt", {}), table.num_rows, bad, lost)
    refuse_errors(custom_ids, "custom_id", bad)
    refuse_errors(prompts, "prompt", bad)
    texts |= {"custom_id": custom_ids, "prompt": filled(prompts, odd.get("prompt", {}))}
    columns = checked_columns(texts, model, bad, lost, manifest_place(source))
    columns["prompt"] = filled(pa.chunked_array([columns["prompt"]]), odd.get("prompt", {}), nothing=True)
    arrays = [columns[field.name].cast(field.type) for field in REQUEST_SCHEMA] + [texts[name] for name in theirs]
    schema = pa.schema([*REQUEST_SCHEMA, *(pa.field(name, texts[name].type) for name in theirs)])
    whole = pa.table(arrays, schema=schema).combine_chunks()
    notes += (*doubts(prompts, bad.rows()), *spoken_pictures(whole))
    return Manifest(whole, bad.table(), source, lost.column(table.num_rows), notes)


def requests(table: pa.Table) -> Iterator[RenderRequest]:
    """The requests of a normalised table's rows, none of them bad; objects are made a few thousand at a time."""
    for batch in table.select(REQUEST_SCHEMA.names).to_batches(max_chunksize=CHUNK_ROWS):
        for row in batch.to_pylist():
            yield RenderRequest(**{**row, "references": tuple(row["references"])})


def _column_problems(table: pa.Table) -> list[str]:
    """Everything that is wrong with the columns themselves."""
    names = table.column_names
    problems = []
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        problems.append(f"The manifest has several columns of one name: {first_of(doubled)}; rename all but one.")
    for required in ("custom_id", "prompt"):
        if required not in names:
            problems.append(f"The manifest has no column “{required}”, which is required; {hint(required, names)}.")
    reserved = [name for name in names if name.lower() in (*RESERVED, AS_WRITTEN)]
    if reserved:
        alike = [f"“{name}”" for name in reserved if name != name.lower()]
        why = f", from which many programs cannot tell {first_of(alike)}" if alike else ""
        theirs = first_of([name.lower() for name in reserved])
        more = " Reference pictures belong into “references”." if "image" in map(str.lower, reserved) else ""
        problems.append(f"The results have columns of their own called {theirs}{why}; rename the manifest's.{more}")
    text_cells = (table.schema.metadata or {}).items() >= TEXT_CELLS.items()
    for field in table.schema:
        wanted = _type_problem(field, table, text_cells) if names.count(field.name) == 1 else None
        if wanted:
            kind = shortened(str(field.type), 40)
            problems.append(f"Column “{field.name}” is of type {kind}, but {wanted} is needed.")
    if table.num_rows == 0:
        problems.append("The manifest has no rows, so there is nothing to render.")
    return problems


def _type_problem(field: pa.Field, table: pa.Table, text_cells: bool) -> str | None:
    """What a column of ours should hold, if it holds something else; a column of nulls counts as left out."""
    kind = field.type
    if field.name not in REQUEST_SCHEMA.names or pa.types.is_null(kind) or (text_cells and is_text(kind)):
        return None
    if field.name == "prompt":
        return None if is_text(kind) else "text"
    if field.name == "custom_id":
        return None if is_text(kind) or pa.types.is_integer(kind) else "text or a whole number"
    if field.name == "references":
        inner = kind.value_type if is_list(kind) else kind
        return None if is_text(inner) or (is_list(kind) and pa.types.is_null(inner)) else "a list of texts"
    read, wanted = READERS[FIELDS[field.name].kind]
    if not is_text(kind):
        return None if is_number(kind) else wanted
    try:
        numbers = read(table[field.name])
    except pa.ArrowInvalid:  # text that is no UTF-8: its rows are told
        return None
    return wanted if numbers.wrong.all() else None  # where one cell is a number, the others are bad rows


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string())


def _key_problems(custom_ids: pa.ChunkedArray) -> list[str]:
    """Rows without a custom_id, and custom_ids of several rows."""
    problems = []
    without = np.flatnonzero(pc.fill_null(pc.equal(pc.binary_length(custom_ids), 0), True).to_numpy())
    if len(without):
        cases = (f"{row + 1}" for row in without.tolist())
        rows, have = ("row", "has") if len(without) == 1 else ("rows", "have")
        named = listed(cases, len(without))
        problems.append(f"{len(without):,} {rows} {have} no custom_id; name every row: {rows} {named}.")
    doubled = [rows for rows in repeated(custom_ids.combine_chunks()) if custom_ids[rows[0]].as_py()]
    if doubled:
        cases = (f"“{shortened(custom_ids[rows[0]].as_py())}” in {row_numbers(rows)}" for rows in doubled)
        problems.append(
            f"{len(doubled):,} custom_ids occur in several rows; each row needs its own: {listed(cases, len(doubled))}."
        )
    return problems
