"""A customer's table that is in this process's memory: any Arrow table or frame, or a list of dicts.

No library of frames is imported: polars, pandas (from 2.2 on), DuckDB and Arrow itself hand their tables over through
the Arrow PyCapsule interface. What comes out has the types that our reader of Parquet gives it: a frame, and the file
that Arrow or pandas writes of it, are the same job.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from pressrun.jobs.tables.table_reader import DECODED_BYTES
from pressrun.jobs.text.wording import shortened
from pressrun.pipeline.errors import JobError

_UNREADABLE = (pa.ArrowException, TypeError, ValueError, OverflowError)
"""What Arrow, and the libraries that hand over to it, raise for values that make no column."""

_VIEWS = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
_LARGE = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_list_view, pa.types.is_large_list_view)


def table_of(rows: object, max_bytes: int = DECODED_BYTES) -> pa.Table:
    """`rows` as a table: an Arrow table, a frame, or a list of dicts whose keys are the columns (a key that a dict
    lacks is null there).

    The index that pandas gives a frame by itself is no column; one that has a name is. Raises JobError for what is no
    table, and for one that takes more than `max_bytes` bytes.
    """
    if hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "__arrow_c_array__"):
        table = _handed_over(rows)
    elif isinstance(rows, Sequence) and not isinstance(rows, str | bytes | bytearray):
        table = _of_dicts(rows)
    else:
        raise JobError(
            f"`manifest` is of type {shortened(type(rows).__name__)}; give a path, an Arrow table, a frame of polars, "
            "pandas (from 2.2 on) or DuckDB, or a list of dicts.",
            code="bad_manifest",
        )
    if table.nbytes > max_bytes:
        raise JobError(
            f"The manifest takes more than {max_bytes / 2**20:,.0f} MiB of memory; split it into several jobs or drop "
            "columns that pictures do not need.",
            code="manifest_too_large",
        )
    columns = [_plain(column) for column in table.columns]
    return pa.table(columns, names=table.column_names)


def _handed_over(rows: object) -> pa.Table:
    try:
        table = pa.table(rows)
    except _UNREADABLE as error:
        reason = "; ".join(str(word).split("\n")[0].rstrip(".") for word in error.args if word)
        raise JobError(
            f"The {shortened(type(rows).__name__)} that `manifest` is cannot be read as a table "
            f"({shortened(reason, 200)}); give every column a name and values of one kind.",
            code="bad_manifest",
        ) from error
    unnamed = set(_unnamed_index(table.schema.metadata or {}))
    return table.drop_columns([name for name in table.column_names if name in unnamed])


def _unnamed_index(metadata: Mapping[bytes, bytes]) -> Iterable[str]:
    """The columns that pandas made of an index without a name."""
    try:
        columns = json.loads(metadata[b"pandas"])["index_columns"]
    except (KeyError, ValueError, TypeError):
        return ()
    return [name for name in columns if isinstance(name, str) and name.startswith("__index_level_")]


def _of_dicts(rows: Sequence[Any]) -> pa.Table:
    odd = [number for number, row in enumerate(rows, 1) if not isinstance(row, Mapping)]
    if odd:
        kind = shortened(type(rows[odd[0] - 1]).__name__)
        raise JobError(
            f"`manifest` is a list whose entry {odd[0]:,} is of type {kind}; give a dict for each row.",
            code="bad_manifest",
        )
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        if not isinstance(name, str):
            raise JobError(
                f"A row has the key {shortened(name)}, which is no text; name columns by texts.", code="bad_manifest"
            )
    return pa.table([_column(name, [row.get(name) for row in rows]) for name in names], names=names)


def _column(name: str, values: list[Any]) -> pa.Array:
    try:
        return pa.array([_as_text(value) for value in values])
    except _UNREADABLE as error:
        raise JobError(
            f"Column “{shortened(name)}” has values that make no column ({shortened(str(error).rstrip('.'), 200)}); "
            "give all of them one kind.",
            code="bad_manifest",
        ) from error


def _as_text(value: Any) -> Any:
    """A path, also one in a list, as its text: references are often `pathlib.Path`."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return [_as_text(one) for one in value] if isinstance(value, list | tuple) else value


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column in the type that it would have if it came from a file; as it is where there is no way to that."""
    kind = _plain_type(column.type)
    if column.type.equals(kind):
        return column
    try:
        if pa.types.is_dictionary(column.type):
            return pa.chunked_array([_values_of(chunk, kind) for chunk in column.chunks], kind)
        return column.cast(kind)
    except pa.ArrowNotImplementedError:  # such as lists of dictionaries of views
        return pa.chunked_array([pa.array(column.to_pylist(), kind)])


def _values_of(chunk: pa.DictionaryArray, kind: pa.DataType) -> pa.Array:
    return chunk.dictionary.cast(kind).take(chunk.indices)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """`kind` without dictionaries, views, 64-bit offsets and extensions, at any depth."""
    if isinstance(kind, pa.BaseExtensionType):
        return _plain_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_map(kind):
        return pa.map_(_plain_type(kind.key_type), _plain_type(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain_type(field.type)) for field in kind.fields])
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_plain_type(kind.value_type)), kind.list_size)
    if any(check(kind) for check in _LISTS):
        return pa.list_(kind.value_field.with_type(_plain_type(kind.value_type)))
    return _VIEWS.get(kind) or _LARGE.get(kind) or kind
