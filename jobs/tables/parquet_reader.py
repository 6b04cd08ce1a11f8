"""Parquet from strangers: bounded in memory, and without running anything that a schema asks for.

A Parquet file may name Arrow extension types, whose Python classes are called while the schema is read (CVE-2026-41486
came in that way). The Arrow schema stands in the footer under one key; a file that mentions extension types there is
read as if it did not, so that every column is plain storage. A file of kilobytes may also hold gigabytes:
what the footer declares is checked first, then values are read as dictionaries, in which form a bomb is still small,
and their decoded size is counted before they are expanded.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pressrun.jobs.text.wording import shortened
from pressrun.pipeline.errors import JobError

MAX_ROWS = 50_000_000
MAX_COLUMNS = 1_000
MAX_ROW_GROUPS = 20_000
MAX_ROW_GROUP_BYTES = 1 << 30
MAX_FOOTER = 64 << 20
BATCH_ROWS = 65_536
BATCH_ROWS_PLAIN = 128
"""Rows read at once where no dictionary stands between a bomb and its bytes: prefix-compressed text."""

TEXT_CELLS = {b"pressrun:cells": b"text"}
"""Schema metadata of a table whose cells are texts (CSV): numbers and lists are still to be read from them."""

_MAGIC = b"PAR1"
_ARROW_SCHEMA = b"ARROW:schema"
_HIDDEN_SCHEMA = b"XRROW:schema"
_EXTENSION = b"ARROW:extension"
_NO_EXTENSION = b"XRROW:extension"


def read_parquet(source: pa.NativeFile, name: str, rows: int | None, max_bytes: int) -> pa.Table:
    """The first `rows` rows (all, if None) of a Parquet file.

    `name` is what messages call the file. Raises JobError for a file that is not Parquet, is damaged, or whose values
    take more than `max_bytes` bytes in memory.
    """
    try:
        footer = _footer(source, name)
        peek = pq.ParquetFile(pa.BufferReader(_masked(footer)), arrow_extensions_enabled=False)
        _check_declared(peek.metadata, name, max_bytes)
        if _mentions_extensions(footer, peek.metadata):
            source = _with_footer(source, footer, _without_extensions(footer, peek.metadata), name, max_bytes)
        if _has_list_views(source):
            source = _with_footer(source, footer, _masked(footer)[len(_MAGIC) :], name, max_bytes)
        return _table(source, peek.metadata, name, rows, max_bytes)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise JobError(
            f"“{name}” is a damaged Parquet file ({_reason(error)}); write it again.", code="bad_manifest"
        ) from None


def _footer(source: pa.NativeFile, name: str) -> bytes:
    """The file's last bytes: metadata, its length and the magic number."""
    size = source.size()
    problem = f"“{name}” is not a Parquet file"
    if size < 12:
        raise JobError(f"{problem}: it has only {size} bytes; give a Parquet, JSONL or CSV file.", code="bad_manifest")
    source.seek(size - 8)
    tail = source.read(8)
    if tail[4:] == b"PARE":
        raise JobError(f"“{name}” is encrypted; give a Parquet file without encryption.", code="bad_manifest")
    if tail[4:] != _MAGIC:
        source.seek(0)
        cut = source.read(4) == _MAGIC
        raise JobError(
            f"“{name}” is a Parquet file without its end, probably cut off while it was copied; copy it again."
            if cut
            else f"{problem}; give a Parquet, JSONL or CSV file with the ending .parquet, .jsonl or .csv.",
            code="bad_manifest",
        )
    length = int.from_bytes(tail[:4], "little")
    if length > min(size - 12, MAX_FOOTER):
        raise JobError(
            f"“{name}” is a damaged Parquet file (its footer cannot be where it says); copy it again.",
            code="bad_manifest",
        )
    source.seek(size - 8 - length)
    footer: bytes = source.read(length + 8)
    return footer


def _masked(footer: bytes) -> bytes:
    """A file of nothing but this footer, in which no Arrow schema is found."""
    return _MAGIC + footer.replace(_ARROW_SCHEMA, _HIDDEN_SCHEMA)


def _with_footer(source: pa.NativeFile, footer: bytes, another: bytes, name: str, max_bytes: int) -> pa.BufferReader:
    """The file with another footer, as long as its own."""
    if source.size() > max_bytes:
        raise _too_large(name, max_bytes)
    source.seek(0)
    return pa.BufferReader(source.read()[: -len(footer)] + another)


def _without_extensions(footer: bytes, metadata: pq.FileMetaData) -> bytes:
    """A footer whose Arrow schema calls no type an extension, and says of every column what it said; no schema at all
    where it is not written as everybody writes it."""
    written = (metadata.metadata or {}).get(_HIDDEN_SCHEMA)
    if written is not None and footer.count(_ARROW_SCHEMA) == footer.count(written) == 1:
        schema = _decoded_schema(written)
        if schema is not None:
            return footer.replace(written, base64.b64encode(schema.replace(_EXTENSION, _NO_EXTENSION)))
    return _masked(footer)[len(_MAGIC) :]


def _decoded_schema(written: bytes) -> bytes | None:
    """The bytes of a schema in strict base64; None for any other."""
    try:
        schema = base64.b64decode(written, validate=True)
    except binascii.Error:
        return None
    return schema if base64.b64encode(schema) == written else None


def _mentions_extensions(footer: bytes, metadata: pq.FileMetaData) -> bool:
    """Whether the Arrow schema, read in the strictest way, could name an extension type."""
    written = (metadata.metadata or {}).get(_HIDDEN_SCHEMA)
    if footer.count(_ARROW_SCHEMA) == 0:
        return False
    if footer.count(_ARROW_SCHEMA) > 1 or written is None:
        return True
    schema = _decoded_schema(written)
    return schema is None or _EXTENSION in schema


def _has_list_views(source: pa.NativeFile) -> bool:
    """Whether lists are to come back as views, which pyarrow cannot cast; their storage is a plain list."""
    return any("list_view" in str(kind) for kind in pq.ParquetFile(source).schema_arrow.types)


def _check_declared(metadata: pq.FileMetaData, name: str, max_bytes: int) -> None:
    """Refuse what the footer itself calls too large, before any value is read."""
    if metadata.num_rows > MAX_ROWS or metadata.num_columns > MAX_COLUMNS:
        raise JobError(
            f"“{name}” has {metadata.num_rows:,} rows and {metadata.num_columns:,} columns; "
            f"at most {MAX_ROWS:,} and {MAX_COLUMNS:,} are read, so split it into several jobs.",
            code="manifest_too_large",
        )
    if metadata.num_row_groups > MAX_ROW_GROUPS:
        raise JobError(
            f"“{name}” has {metadata.num_row_groups:,} row groups; write at most {MAX_ROW_GROUPS:,}.",
            code="manifest_too_large",
        )
    declared = [metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups)]
    if sum(declared) > max_bytes:
        raise _too_large(name, max_bytes)
    if max(declared, default=0) > MAX_ROW_GROUP_BYTES:
        raise JobError(
            f"“{name}” has a row group of {max(declared) / 2**20:,.0f} MiB; "
            f"write row groups of at most {MAX_ROW_GROUP_BYTES / 2**20:,.0f} MiB.",
            code="manifest_too_large",
        )


def _too_large(name: str, max_bytes: int) -> JobError:
    return JobError(
        f"“{name}” takes more than {max_bytes / 2**20:,.0f} MiB of memory when it is read; "
        "split it into several jobs or drop columns that pictures do not need.",
        code="manifest_too_large",
    )


def _table(source: pa.NativeFile, metadata: pq.FileMetaData, name: str, rows: int | None, max_bytes: int) -> pa.Table:
    """All texts as dictionaries, or a few rows at a time where a file's encoding knows no dictionaries.

    The footer's column chunks would tell the encoding, but asking for a damaged one ends the process.
    """
    leaves = [metadata.schema.column(leaf) for leaf in range(metadata.num_columns)]
    texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    wanted = metadata.num_rows if rows is None else rows
    try:
        return _decoded_table(source, texts, BATCH_ROWS, name, wanted, max_bytes)
    except (pa.ArrowNotImplementedError, OSError) as error:
        if "implemented" not in str(error):
            raise
        return _decoded_table(source, [], BATCH_ROWS_PLAIN, name, wanted, max_bytes)


def _decoded_table(
    source: pa.NativeFile, dictionaries: list[str], batch_rows: int, name: str, rows: int, max_bytes: int
) -> pa.Table:
    """The first `rows` rows; raises JobError as soon as they take more than `max_bytes` bytes."""
    file = pq.ParquetFile(source, read_dictionary=dictionaries, arrow_extensions_enabled=False, pre_buffer=False)
    schema = pa.schema(
        [field.with_type(_plain(field.type)).remove_metadata() for field in file.schema_arrow],
        TEXT_CELLS if (file.metadata.metadata or {}).items() >= TEXT_CELLS.items() else None,
    )
    batches: list[pa.RecordBatch] = []
    read_names(schema)
    left = max_bytes
    for batch in _batches(file, batch_rows, rows):
        left -= sum(_decoded_size(column) for column in batch.columns)
        if left < 0:
            raise _too_large(name, max_bytes)
        batches.append(pa.record_batch([_decoded(column) for column in batch.columns], schema=schema))
    table = pa.Table.from_batches(batches, schema)
    table.validate()
    return table


def read_names(fields: Iterable[pa.Field]) -> None:
    """Raise UnicodeDecodeError for a name, at any depth, that is not UTF-8: pyarrow finds it only when it is asked."""
    for field in fields:
        assert isinstance(field.name, str)
        kind = field.type
        if pa.types.is_struct(kind):
            read_names(kind.fields)
        elif pa.types.is_map(kind):
            read_names((kind.key_field, kind.item_field))
        elif pa.types.is_nested(kind) and kind.num_fields:
            read_names((kind.field(0),))


def _batches(file: pq.ParquetFile, batch_rows: int, rows: int) -> Iterator[pa.RecordBatch]:
    """The first `rows` rows; row groups behind them are not touched.

    One row group at a time: pyarrow cannot put lists together whose dictionaries differ.
    """
    for group in range(file.num_row_groups):
        if rows <= 0:
            return
        for batch in file.iter_batches(batch_size=batch_rows, row_groups=[group], use_threads=False):
            yield batch.slice(0, rows)
            rows -= min(rows, batch.num_rows)


def _plain(kind: pa.DataType) -> pa.DataType:
    """`kind` with dictionaries replaced by their values, at any depth."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_map(kind):
        return pa.map_(_plain(kind.key_type), _plain(kind.item_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_plain(kind.value_type)))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_plain(kind.value_type)), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_plain(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type)) for field in kind.fields])
    return kind


def _decoded_size(column: pa.Array) -> int:
    """Bytes of a column once dictionaries inside it are expanded."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        lengths = pc.binary_length(column.dictionary) if _has_length(kind.value_type) else None
        if lengths is None:
            return len(column) * 8
        return 4 * len(column) + (pc.sum(lengths.take(column.indices)).as_py() or 0)
    if pa.types.is_struct(kind):
        return len(column) + sum(_decoded_size(child) for child in column.flatten())
    if pa.types.is_map(kind):
        return 4 * len(column) + _decoded_size(column.keys) + _decoded_size(column.items)
    if pa.types.is_nested(kind):
        return 4 * len(column) + _decoded_size(column.flatten())
    return int(column.nbytes)


def _has_length(kind: pa.DataType) -> bool:
    return any(
        check(kind)
        for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    )


def _decoded(column: pa.Array) -> pa.Array:
    plain = _plain(column.type)
    return column if column.type.equals(plain) else column.cast(plain)


def _reason(error: Exception) -> str:
    """The library's own words, first line only, without addresses and file names."""
    if isinstance(error, UnicodeDecodeError):
        return "a name in it is not UTF-8"
    words = str(error).split("\n")[0].strip().rstrip(".")
    return shortened(re.sub(r"0x[0-9a-fA-F]+|/[\w./-]+", "…", words)) or "it cannot be read"
