"""What single cells hold: numbers, texts and lists, read from whatever type a customer's column has.

Each function takes a whole column and works on it in pyarrow and numpy; Python looks at bad cells only.
"""

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.tables.addresses import addresses_in
from pressrun.jobs.text.column_types import is_list, is_text
from pressrun.jobs.text.value_text import obvious_texts
from pressrun.jobs.text.wording import shortened
from pressrun.pipeline.errors import JobError

# C0 and C1 controls except tab, line feed and carriage return; what overrides or isolates a text's direction.
CONTROLS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{9f}\x{202a}-\x{202e}\x{2066}-\x{2069}]"

EXACT = {16: 2**11 - 1, 32: 2**24 - 1, 64: 2**53 - 1}
"""By bits, the largest whole number that no other one is rounded to in floating point."""

GROUPED = r"^[+-]?(?:[1-9]\d{0,2}[.,]\d{3}|[1-9]\d{0,3},\d{4})$"
"""A text that is a thousand and more where signs group digits (by four in China and Japan), and a small number where
they divide off a fraction; a whole number of four such digits is more than any guidance."""

_LARGEST = np.iinfo(np.int64).max
_WHOLE = r"^[+-]?\d{1,19}([.,]0*)?$"
_DECIMAL = r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d{1,3})?$"
_GROUPED_BY_COMMA = r"^[+-]?[1-9]\d{0,2},\d{3}$"  # a point is what every program writes before a fraction


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: `values`, where a cell is `empty`, and where it holds no number of the wanted kind."""

    values: np.ndarray
    empty: np.ndarray
    wrong: np.ndarray


def whole_numbers(column: pa.ChunkedArray) -> Numbers:
    """int64 values of whole numbers of any type, exact or wrong: of integers and decimals, of floats without a fraction
    that none was rounded to (spreadsheets make 128.0), and of texts in digits that can mean one number only."""
    column = _without_blanks(column)
    kind = column.type
    empty = _mask(pc.is_null(column))
    if pa.types.is_null(kind):
        return Numbers(np.zeros(len(column), np.int64), empty, ~empty)
    if is_text(kind):
        values, wrong = _whole_texts(column)
    elif pa.types.is_decimal(kind):
        values, wrong = _whole_decimals(column)
    elif pa.types.is_integer(kind):
        values = _filled(column)
        wrong = values > _LARGEST if pa.types.is_uint64(kind) else np.zeros(len(column), bool)
    else:
        values = _filled(column.cast(pa.float64(), safe=False))
        with np.errstate(invalid="ignore"):
            wrong = ~((np.floor(values) == values) & (np.abs(values) <= EXACT[kind.bit_width]))
    return Numbers(np.where(wrong, 0, values).astype(np.int64), empty, wrong & ~empty)


def _whole_texts(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Values, and where there is none; never by way of floating point.

    A fraction of zeros shows that a program counted in floating point: beyond its exact numbers it is wrong.
    """
    texts = pc.utf8_trim_whitespace(column)
    fits = _matches(texts, _WHOLE) & ~_matches(texts, GROUPED)
    digits = pc.replace_substring_regex(pc.if_else(pa.array(fits), texts, "0"), r"^[+-]|[.,]0*$", "")
    sizes = _filled(digits.cast(pa.uint64()))  # 19 digits always fit
    fits &= sizes <= np.where(_matches(texts, "[.,]"), EXACT[64], _LARGEST).astype(np.uint64)
    values = np.where(fits, sizes, 0).astype(np.int64)
    return np.where(_matches(texts, "^-"), -values, values), ~fits


def _whole_decimals(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    kind = pa.decimal256(76, max(0, column.type.scale))
    try:
        column = column.cast(kind)
    except pa.ArrowInvalid:  # numbers of more digits than any that we could take
        return np.zeros(len(column), np.int64), np.ones(len(column), bool)
    whole = column.cast(pa.decimal256(76, 0), safe=False)
    small = pc.and_(pc.less_equal(whole, pa.scalar(_LARGEST)), pc.greater_equal(whole, pa.scalar(-_LARGEST)))
    fits = pc.fill_null(pc.and_(pc.equal(whole.cast(kind, safe=False), column), small), False)
    return _filled(pc.if_else(fits, whole, pa.scalar(0, whole.type)).cast(pa.int64())), ~_mask(fits)


def decimal_numbers(column: pa.ChunkedArray) -> Numbers:
    """float64 values of numbers and of texts, with a decimal point or comma; what is not finite is wrong, and so is a
    comma that may as well group digits."""
    column = _without_blanks(column)
    empty = _mask(pc.is_null(column))
    if pa.types.is_null(column.type):
        return Numbers(np.zeros(len(column)), empty, ~empty)
    wrong = np.zeros(len(column), bool)
    if is_text(column.type):
        texts = pc.utf8_trim_whitespace(column)
        fits = _matches(texts, _DECIMAL) & ~_matches(texts, _GROUPED_BY_COMMA)
        wrong = ~fits
        points = pc.replace_substring(pc.if_else(pa.array(fits), texts, "0"), ",", ".")
        column = pc.replace_substring_regex(points, r"^\+", "")
    floats = _filled(column.cast(pa.float64(), safe=False))
    wrong = (wrong | ~np.isfinite(floats)) & ~empty
    return Numbers(np.where(wrong, 0.0, floats), empty, wrong)


def _matches(texts: pa.ChunkedArray, pattern: str) -> np.ndarray:
    """Which texts match; an empty cell does not."""
    return _mask(pc.fill_null(pc.match_substring_regex(texts, pattern), False))


def _without_blanks(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A text of nothing but blanks is an empty cell."""
    if not is_text(column.type):
        return column
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), pa.scalar(None, column.type), column)


def lists_of_text(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """A `list<string>` for every row, empty for null, and where a cell holds something else.

    A text is read as a JSON list, or as values between `|` (see `addresses_in`): that is how spreadsheets hold lists.
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
        return addresses_in(stripped) if stripped else []
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
    return np.asarray(merged.fill_null(0).to_numpy(zero_copy_only=False))


def _mask(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    merged = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.asarray(merged.to_numpy(zero_copy_only=False))


def as_text(column: pa.ChunkedArray, asked: str) -> pa.ChunkedArray:
    """A column's values as text. Raises JobError for what `asked` for them, as “`by` tags”, where they have none."""
    found = obvious_texts(column)
    if found is None:
        raise JobError(
            f"{asked}: its values have no obvious text; name a column of text or numbers.", code="bad_option"
        )
    return found
