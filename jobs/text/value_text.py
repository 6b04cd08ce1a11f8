"""The text of any value: whatever type a customer's column has, people can read it, and nothing here ever raises.

What pyarrow prints well stays as it prints it, because names and finish keys are made of that. The rest: times beyond
the calendars of pyarrow and of Python, time zones that nobody knows, bytes, what is nested, extension types. What has
no text says what it is (`16 bytes`).
"""

import contextlib
import json
import re
from collections.abc import Sequence
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.text.column_types import is_text
from pressrun.jobs.text.wording import several

Column: TypeAlias = pa.Array | pa.ChunkedArray

_DIGESTS = (16, 20, 28, 32, 48, 64)
"""Bytes of MD5 and of the SHA family: shown as people compare them, in hexadecimal."""
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""What bytes that are a text do not hold, also where they happen to be UTF-8."""
_SIZE = r"^[\d,]+ bytes?$"
"""How bytes without a text are told."""

_FAR_SEC = 500_000_000_000
"""Seconds from 1970, 16,000 years, up to which pyarrow's own calendar goes in every unit."""
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY_SEC = 86_400

_UNHELD = (OverflowError, ValueError, KeyError, pa.ArrowException)
"""Raised for values that Python's types do not hold; of these a zone that is not installed is a KeyError."""


def texts(column: Column) -> pa.ChunkedArray:
    """The text of each value, null where it is null. What is nested is JSON."""
    return pa.chunked_array([_texts(chunk) for chunk in _chunks(column)], pa.string())


def obvious_texts(column: Column) -> pa.ChunkedArray | None:
    """As `texts`, for what has to tell values apart; None where a value is nested, or bytes without a text."""
    if pa.types.is_nested(bare(column.type)):
        return None
    if not is_binary(bare(column.type)):
        return texts(column)
    with contextlib.suppress(pa.ArrowException):  # all of it is UTF-8, whatever signs there are
        if is_binary(column.type):
            return pa.chunked_array([chunk.cast(pa.string()) for chunk in _chunks(column)], pa.string())
    told = texts(column)
    return None if pc.any(pc.match_substring_regex(told, _SIZE)).as_py() else told


def values(column: Column) -> list[Any]:
    """The values as Python objects, lists and dictionaries; what Python's types do not hold, and bytes, as text."""
    return [value for chunk in _chunks(column) for value in _values(chunk)]


def joined(column: Column, separator: str) -> pa.ChunkedArray:
    """The texts of each list's values with `separator` between them; null where one of them is null."""
    return pa.chunked_array([_joined(chunk, separator) for chunk in _chunks(column)], pa.string())


def text_of(value: Any) -> str:
    """The text of one of `values`."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def bare(kind: pa.DataType) -> pa.DataType:
    """The type of the values themselves: without dictionaries, runs and extension types around them."""
    while True:
        if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
            kind = kind.value_type
        elif isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        else:
            return kind


def _chunks(column: Column) -> Sequence[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def _texts(array: pa.Array) -> pa.Array:
    kind = array.type
    if isinstance(kind, pa.UuidType):
        return pa.array([None if one is None else str(UUID(bytes=one)) for one in _bytes(array.storage)], pa.string())
    if isinstance(kind, pa.BaseExtensionType):
        return _texts(_storage(array))
    if pa.types.is_dictionary(kind):
        return _texts(array.dictionary).take(array.indices)
    if pa.types.is_run_end_encoded(kind):
        return _texts(array.values).take(pa.array(_runs(array)))
    if is_binary(kind) or is_string(kind):
        return _texts_of_bytes(array)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _texts_of_times(array)
    if pa.types.is_nested(kind) or pa.types.is_interval(kind):
        return pa.array([None if one is None else text_of(one) for one in _values(array)], pa.string())
    return pc.cast(array, pa.string())


def _values(array: pa.Array) -> list[Any]:
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType) and not isinstance(kind, pa.UuidType):
        return _values(_storage(array))
    if pa.types.is_dictionary(kind):
        known = _values(array.dictionary)
        return [None if code is None else known[code] for code in array.indices.to_pylist()]
    if pa.types.is_run_end_encoded(kind):
        known = _values(array.values)
        return [known[run] for run in _runs(array).tolist()]
    if pa.types.is_struct(kind):
        return _structs(array)
    if pa.types.is_union(kind):
        return _unions(array)
    if pa.types.is_nested(kind):
        return _lists(array, *_items(array, _values))
    if pa.types.is_interval(kind):
        return [None if one is None else "{} months, {} days, {} ns".format(*one) for one in array.to_pylist()]
    if is_binary(kind) or is_string(kind) or isinstance(kind, pa.UuidType):
        return list(_texts(array).to_pylist())
    return _held(array)


def _held(array: pa.Array) -> list[Any]:
    """Values as Python has them, as text where it does not."""
    kind, odd = array.type, set()
    told = _texts(array).to_pylist() if pa.types.is_temporal(kind) else []
    if pa.types.is_time(kind):  # Python would count from midnight again
        odd = {row for row, text in enumerate(told) if text and text.startswith("<")}
    try:
        if not odd:
            return list(array.to_pylist())
    except _UNHELD:
        pass
    unit = f" {kind.unit}" if pa.types.is_duration(kind) else ""

    def held(row: int) -> Any:
        try:
            return told[row] if row in odd else array[row].as_py()
        except _UNHELD:
            return f"{told[row]}{unit}"

    return [held(row) for row in range(len(array))]


def _structs(array: pa.StructArray) -> list[Any]:
    names = [field.name for field in array.type]
    columns = [_values(array.field(place)) for place in range(len(names))]
    rows: list[Any] = [
        dict(zip(names, row, strict=True)) if len(set(names)) == len(names) else [*zip(names, row, strict=True)]
        for row in (zip(*columns, strict=True) if columns else [()] * len(array))
    ]
    return [row if valid else None for row, valid in zip(rows, array.is_valid().to_pylist(), strict=True)]


def _unions(array: pa.UnionArray) -> list[Any]:
    kind, rows = array.type, slice(array.offset, array.offset + len(array))
    columns = [_values(array.field(place)) for place in range(kind.num_fields)]
    children = {code: columns[place] for place, code in enumerate(kind.type_codes)}
    _, codes, offsets = (*array.buffers(), None)[:3]  # pyarrow's own do not know of slices
    places = np.frombuffer(offsets, np.int32)[rows].tolist() if kind.mode == "dense" else range(len(array))
    told = np.frombuffer(codes, np.int8)[rows].tolist() if len(array) else []
    return [children[code][place] for code, place in zip(told, places, strict=True)]


def _items(array: pa.Array, read: Any) -> tuple[list[Any], list[int], list[int]]:
    """What `read` makes of the values of all lists, and where each list starts and ends among them."""
    kind = array.type
    if pa.types.is_fixed_size_list(kind):
        starts = range(0, len(array) * kind.list_size, kind.list_size) if kind.list_size else [0] * len(array)
        inner = array.values.slice(array.offset * kind.list_size, len(array) * kind.list_size)
        return read(inner), [*starts], [start + kind.list_size for start in starts]
    offsets = array.offsets.to_pylist()
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        return read(array.values), offsets, [sum(pair) for pair in zip(offsets, array.sizes.to_pylist(), strict=True)]
    first, last = (offsets[0], offsets[-1]) if offsets else (0, 0)
    places = [offset - first for offset in offsets]
    if pa.types.is_map(kind):
        keys, values = (read(half.slice(first, last - first)) for half in (array.keys, array.items))
        return [*zip(keys, values, strict=True)], places[:-1], places[1:]
    return read(array.values.slice(first, last - first)), places[:-1], places[1:]


def _lists(array: pa.Array, items: list[Any], starts: list[int], ends: list[int]) -> list[Any]:
    valid = array.is_valid().to_pylist()
    return [items[start:end] if ok else None for start, end, ok in zip(starts, ends, valid, strict=True)]


def _joined(array: pa.Array, separator: str) -> pa.Array:
    inner = array.type.value_type
    if is_string(inner) or (pa.types.is_primitive(inner) and not pa.types.is_temporal(inner)):
        return pc.binary_join(array.cast(pa.list_(pa.string())), separator)
    lists = _lists(array, *_items(array, lambda inner: _texts(inner).to_pylist()))
    found = [None if one is None or None in one else separator.join(one) for one in lists]
    return pa.array(found, pa.string())


def _storage(array: pa.ExtensionArray) -> pa.Array:
    return array.storage.cast(pa.bool_()) if isinstance(array.type, pa.Bool8Type) else array.storage


def _runs(array: pa.RunEndEncodedArray) -> np.ndarray:
    """Of each value the run that it belongs to."""
    rows = np.arange(array.offset, array.offset + len(array))
    return np.searchsorted(array.run_ends.to_numpy(), rows, side="right")


def is_string(kind: pa.DataType) -> bool:
    """Whether a type is one of pyarrow's for texts."""
    return is_text(kind) or bool(pa.types.is_string_view(kind))


def is_binary(kind: pa.DataType) -> bool:
    """Whether a type is one of pyarrow's for bytes."""
    checks = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(check(kind) for check in checks)


def _bytes(array: pa.Array) -> list[bytes | None]:
    return list(pc.cast(array, pa.large_binary()).to_pylist())


def _texts_of_bytes(array: pa.Array) -> pa.Array:
    """Of a column of texts, or of bytes."""
    whole = pc.cast(array, pa.large_binary())
    try:
        found = whole.cast(pa.string())  # looks whether it is UTF-8
        if is_string(array.type) or not pc.any(pc.match_substring_regex(found, _NO_TEXT.pattern)).as_py():
            return found
    except pa.ArrowInvalid:
        pass
    told = (None if one is None else _text_of_bytes(one, array.type) for one in whole.to_pylist())
    return pa.array(told, pa.string())


def _text_of_bytes(value: bytes, kind: pa.DataType) -> str:
    """The text that bytes of a type are, else the digits of a UUID or of a digest, or how many they are."""
    if is_string(kind):
        return value.decode(errors="replace")
    with contextlib.suppress(UnicodeDecodeError):
        if not _NO_TEXT.search(text := value.decode()):
            return text
    if pa.types.is_fixed_size_binary(kind) and len(value) == 16:
        return str(UUID(bytes=value))
    return value.hex() if len(value) in _DIGESTS else several(len(value), "byte")


def _texts_of_times(array: pa.Array) -> pa.Array:
    kind = array.type
    unit = kind.unit if pa.types.is_timestamp(kind) else "D"
    zone = "Z" if pa.types.is_timestamp(kind) and kind.tz else ""
    if pa.types.is_date(kind):
        raw = array.view(pa.int32()).cast(pa.int64()) if pa.types.is_date32(kind) else array.view(pa.int64())
    else:
        raw = array.view(pa.int64())
    counts = raw.fill_null(0).to_numpy(zero_copy_only=False)
    if pa.types.is_date64(kind):
        counts = counts // (_DAY_SEC * 1000)
    limit = _FAR_SEC // _DAY_SEC if unit == "D" else min(_FAR_SEC * _PER_SECOND[unit], 2**63 - 1)
    far = (counts > limit) | (counts < -limit)
    near = pc.if_else(pa.array(far), pa.scalar(None, kind), array) if far.any() else array
    try:
        found = pc.cast(near, pa.string())
    except pa.ArrowInvalid:  # nobody here knows its zone: it is said in the one that everybody knows
        found = pc.cast(near.view(pa.timestamp(unit, "UTC")), pa.string())
    if not far.any():
        return found
    calendar = np.datetime_as_string(counts[far].astype(f"datetime64[{unit}]")).tolist()
    beyond = [
        f"{count} {unit} from 1970" if text == "NaT" else text.replace("T", " ") + zone
        for count, text in zip(counts[far].tolist(), calendar, strict=True)
    ]
    return pc.replace_with_mask(found, pa.array(far), pa.array(beyond, pa.string()))
