"""What single cells hold: numbers, texts and lists, read from whatever type a customer's column has.

Each function takes a whole column and works on it in pyarrow and numpy; Python looks at bad cells only.
"""

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.wording import shortened
from pipeline.errors import JobError

# C0 and C1 controls except tab, line feed and carriage return; what overrides or isolates a text's direction.
CONTROLS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{9f}\x{202a}-\x{202e}\x{2066}-\x{2069}]"

_WHOLE = r"^\s*[+-]?\d{1,19}([.,]0*)?\s*$"
_DECIMAL = r"^\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d{1,3})?\s*$"


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: `values`, where a cell is `empty`, and where it holds no number of the wanted kind."""

    values: np.ndarray
    empty: np.ndarray
    wrong: np.ndarray


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type holds numbers; a truth value is none."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type holds lists."""
    return any(check(kind) for check in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def whole_numbers(column: pa.ChunkedArray) -> Numbers:
    """int64 values of integers, of floats without a fraction (spreadsheets make 128.0) and of such texts."""
    column = _without_blanks(column)
    kind = column.type
    empty = _mask(pc.is_null(column))
    if pa.types.is_null(kind):
        return Numbers(np.zeros(len(column), np.int64), empty, ~empty)
    if pa.types.is_integer(kind):
        numbers = _filled(column)
        wrong = numbers > np.iinfo(np.int64).max if pa.types.is_uint64(kind) else np.zeros(len(column), bool)
        return Numbers(np.where(wrong, 0, numbers).astype(np.int64), empty, wrong & ~empty)
    if is_text(kind):
        fits = pc.fill_null(pc.match_substring_regex(column, _WHOLE), False)
        digits = pc.replace_substring_regex(pc.utf8_trim_whitespace(column), r"^\+|[.,]0*$", "")
        floats = _filled(pc.if_else(fits, digits, "0").cast(pa.float64()))
        fits = pc.and_(fits, pa.array(np.abs(floats) < 2.0**63))
        values = _filled(pc.if_else(fits, digits, "0").cast(pa.int64()))
        return Numbers(values, empty, ~_mask(fits) & ~empty)
    floats = _filled(column.cast(pa.float64(), safe=False))
    with np.errstate(invalid="ignore"):
        wrong = ~(np.isfinite(floats) & (np.floor(floats) == floats) & (np.abs(floats) < 2.0**63))
    return Numbers(np.where(wrong, 0, floats).astype(np.int64), empty, wrong & ~empty)


def decimal_numbers(column: pa.ChunkedArray) -> Numbers:
    """float64 values of numbers and of texts, with a decimal point or comma; what is not finite is wrong."""
    column = _without_blanks(column)
    empty = _mask(pc.is_null(column))
    if pa.types.is_null(column.type):
        return Numbers(np.zeros(len(column)), empty, ~empty)
    wrong = np.zeros(len(column), bool)
    if is_text(column.type):
        fits = pc.fill_null(pc.match_substring_regex(column, _DECIMAL), False)
        wrong = ~_mask(fits)
        points = pc.replace_substring(pc.utf8_trim_whitespace(column), ",", ".")
        column = pc.if_else(fits, pc.replace_substring_regex(points, r"^\+", ""), "0")
    floats = _filled(column.cast(pa.float64(), safe=False))
    wrong = (wrong | ~np.isfinite(floats)) & ~empty
    return Numbers(np.where(wrong, 0.0, floats), empty, wrong)


def _without_blanks(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A text of nothing but blanks is an empty cell."""
    if not is_text(column.type):
        return column
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), pa.scalar(None, column.type), column)


def lists_of_text(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """A `list<string>` for every row, empty for null, and where a cell holds something else.

    A text is read as a JSON list, or as values between `|`: that is how spreadsheets hold lists.
    """
    wanted = pa.list_(pa.string())
    wrong = np.zeros(len(column), bool)
    if is_list(column.type) and (is_text(column.type.value_type) or pa.types.is_null(column.type.value_type)):
        lists = column.cast(wanted).combine_chunks()
    elif is_text(column.type):
        distinct = pc.dictionary_encode(column.combine_chunks())
        read = [_list_in(text) for text in distinct.dictionary.to_pylist()]
        lists = pa.array(read, wanted).take(distinct.indices)
        refused = pa.array([entry is None for entry in read], pa.bool_()).take(distinct.indices)
        wrong = _mask(refused.fill_null(False))
    else:
        lists = pa.nulls(len(column), wanted)
    nothing = pa.array([[]], wanted)[0]
    return pc.if_else(pc.is_null(lists), nothing, lists), wrong


def _list_in(text: str) -> list[str] | None:
    stripped = text.strip()
    if not stripped.startswith("["):
        return [part.strip() for part in stripped.split("|")] if stripped else []
    try:
        values = json.loads(stripped)
    except (ValueError, RecursionError):
        return None
    return values if all(isinstance(value, str) for value in values) else None


def shown(column: pa.ChunkedArray, row: int) -> str:
    """A cell as messages show it."""
    value = column[row].as_py()
    return "nothing" if value is None else shortened(value, 40)


def _filled(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    merged = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return merged.fill_null(0).to_numpy(zero_copy_only=False)


def _mask(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    merged = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return merged.to_numpy(zero_copy_only=False)


def as_text(column: pa.ChunkedArray, asked: str) -> pa.ChunkedArray:
    """A column's values as text. Raises JobError for what `asked` for them (`--by tags`) where they have none."""
    try:
        return pc.cast(column, pa.string())
    except pa.ArrowException:
        raise JobError(f"{asked}: its values have no obvious text; name a column of text or numbers.") from None
