"""JSON lines as pyarrow reads them: each key one type, texts that look like dates as texts."""

import pyarrow as pa
import pyarrow.json

from pressrun.jobs.tables.csv_reader import block_size


def parsed(content: bytes) -> pa.Table:
    """The objects of a file. Raises ArrowException where a line is none, or a key changes its type."""
    schema = _inferred(content, None).schema
    table = _inferred(content, pa.schema([field.with_type(_dates_as_text(field.type)) for field in schema]))
    table.validate()  # pyarrow 26 loses values of lists that hold nothing but null
    return table


def _inferred(content: bytes, schema: pa.Schema | None) -> pa.Table:
    return pa.json.read_json(
        pa.BufferReader(content),
        read_options=pa.json.ReadOptions(block_size=block_size(content), use_threads=False),
        parse_options=pa.json.ParseOptions(explicit_schema=schema, newlines_in_values=False),
    )


def _dates_as_text(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_temporal(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_dates_as_text(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_dates_as_text(field.type)) for field in kind.fields])
    return kind
