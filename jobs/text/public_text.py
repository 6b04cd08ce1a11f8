"""What others may see of a table's texts: pages, captions and sidecars hold a customer's columns without the secrets.

Whole columns are looked at in pyarrow; Python only sees what may hold a secret. What a column holds once is cut once.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.net.url import shown
from pressrun.jobs.text.column_types import is_list, is_text
from pressrun.jobs.text.value_text import bare, is_binary, is_string, text_of, texts, values
from pressrun.pipeline.redaction import MARKED, tells_of_secret, without_secrets

Column: TypeAlias = pa.Array | pa.ChunkedArray

_KEPT = frozenset(("custom_id", "image", "thumb"))
"""What a row and its files are called: cut, they would be another row's."""
_ADDRESS = "[?#@]|^(?i:data:)"
"""What a reference has that `shown` cuts, and a few that it does not cut."""


def public(column: Column) -> pa.ChunkedArray:
    """A column of a customer's own, its texts without secrets, also those in lists. What is harmless stays: people read
    it, and asset managers follow the addresses in it."""
    return _cleaned(_chunked(column), without_secrets, MARKED)


def public_column(name: str, column: Column) -> pa.ChunkedArray:
    """Any column of a table, by its name. References are addresses for us alone: they lose their whole query."""
    if name == "references":
        return _cleaned(_chunked(column), shown, _ADDRESS)
    return _chunked(column) if name in _KEPT else public(column)


def public_table(table: pa.Table) -> pa.Table:
    """Every column of `table` as others may see it."""
    return pa.table({name: public_column(name, table[name]) for name in table.column_names})


def _chunked(column: Column) -> pa.ChunkedArray:
    return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])


def _cleaned(column: pa.ChunkedArray, clean: Callable[[str], str], marked: str) -> pa.ChunkedArray:
    kind = column.type
    if not pa.types.is_nested(bare(kind)):
        if is_binary(bare(kind)) or (is_string(bare(kind)) and not is_text(kind)):
            column = texts(column)
        return _texts(column, clean, marked) if is_text(column.type) else column
    if is_list(kind) and is_text(kind.value_type):
        if not pc.any(pc.match_substring_regex(pc.list_flatten(column), marked)).as_py():
            return column
    found = values(column)
    cleaned = [_nested(value, clean) for value in found]
    if cleaned == found:
        return column
    try:
        return pa.chunked_array([pa.array(cleaned, kind)])
    except (pa.ArrowException, TypeError, ValueError, OverflowError):  # such as bytes that are told in words
        return pa.chunked_array([[None if value is None else text_of(value) for value in cleaned]], pa.string())


def _texts(column: pa.ChunkedArray, clean: Callable[[str], str], marked: str) -> pa.ChunkedArray:
    """A column of texts; what is no UTF-8 stays as it is."""
    whole = column.combine_chunks()
    hits = pc.fill_null(pc.match_substring_regex(whole, marked), False)
    if not pc.any(hits).as_py():
        return column
    raw = pa.large_binary() if pa.types.is_large_string(whole.type) else pa.binary()
    found = whole.view(raw).filter(hits).dictionary_encode()
    texts = (value.decode(errors="surrogateescape") for value in found.dictionary.to_pylist())
    cleaned = pa.array([clean(text).encode(errors="surrogateescape") for text in texts], raw)
    return pa.chunked_array([pc.replace_with_mask(whole, hits, cleaned.take(found.indices).view(whole.type))])


def _nested(value: Any, clean: Callable[[str], str]) -> Any:
    """Lists, structs and maps with their texts cleaned."""
    match value:
        case str():
            return clean(value)
        case list():
            return [_nested(each, clean) for each in value]
        case dict():
            return {name: _named(name, each, clean) for name, each in value.items()}
        case (str() as name, each):  # of a map
            return name, _named(name, each, clean)
    return value


def _named(name: str, value: Any, clean: Callable[[str], str]) -> Any:
    return "…" if isinstance(value, str) and tells_of_secret(name) else _nested(value, clean)
