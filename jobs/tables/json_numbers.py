"""Numbers in JSON that floating point does not hold as they are written: none of them is rounded in silence.

Of a number that a program wrote from floating point nothing is lost, however many digits it has; of an article's
number of twenty digits a fifth is. What is lost shows where the float, to as many digits, reads otherwise.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, localcontext
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_NUMBER = re.compile(r"-?(?:\d{16}|(?:0\.0*+)?+[\d.]{19}|[\d.]++[eE][+-]?\d{3})")
"""A number that floating point may not hold: of sixteen digits before a point, of eighteen in all, or out of reach."""
_LIKELY = r"[\d.]{16}|[\d.][eE][+-]?\d{3}"
"""What RE2 finds in a cell that may hold such a number."""
_LONG = re.compile(
    rb"\.(?:0*+[1-9]\d{17}|%b)" % b"|".join(rb"(?<=[1-9]\d{%d}\.)\d{%d}" % (n, 17 - n) for n in range(16))
)
_SMALL = re.compile(rb"[eE]-\d{3}")
"""Find in a file what no value tells: eighteen digits, some of them behind a point, and what may become nothing."""
_LARGE = 1e15
"""Of less than this floating point holds every whole number, and one digit behind a point."""

MAX_DIGITS = 4_300
"""Digits of a number that are looked at; one of more is held by nothing."""


class Number(str):
    """A number as it is written."""


def may_round(content: bytes, table: pa.Table) -> bool:
    """Whether a file that was read as `table` has numbers that floating point, where it is used, may not hold."""
    if not any(map(has_floats, table.schema.types)):
        return False
    large = any(_has_large(chunk) for column in table.columns for chunk in column.chunks)
    return large or bool(_LONG.search(content) or _SMALL.search(content))


def _has_large(array: pa.Array) -> bool:
    kind = array.type
    if not has_floats(kind):
        return False
    if pa.types.is_struct(kind):
        return any(map(_has_large, array.flatten()))
    if pa.types.is_list(kind):
        return _has_large(array.flatten())
    return bool(pc.any(pc.greater_equal(pc.abs(array), _LARGE)).as_py())


def has_floats(kind: pa.DataType) -> bool:
    """Whether a column of this type holds floating point, at any depth."""
    if pa.types.is_list(kind):
        return has_floats(kind.value_type)
    if pa.types.is_struct(kind):
        return any(has_floats(field.type) for field in kind.fields)
    return bool(pa.types.is_floating(kind))


def first_lost(column: pa.ChunkedArray) -> str | None:
    """The first of these numbers, each as text, that floating point does not hold; None where it holds all."""
    likely = column.filter(pc.fill_null(pc.match_substring_regex(column, _LIKELY), False))
    return next((text for text in pc.unique(likely).to_pylist() if _is_lost(text)), None)


def first_lost_within(column: pa.ChunkedArray, values: pa.ChunkedArray, decode: Callable[[str], Any]) -> str | None:
    """As `first_lost`, for lists and objects: `column` has them as JSON, `values` as they were read; `decode` makes of
    JSON what it says, each number a `Number`."""
    likely = pc.fill_null(pc.match_substring_regex(column, _LIKELY), False)
    pairs = zip(values.filter(likely).to_pylist(), column.filter(likely).to_pylist(), strict=True)
    return next((lost for value, text in pairs if (lost := _lost_in(value, decode(text)))), None)


def _lost_in(value: Any, written: Any) -> str | None:
    """The first number of `written` that `value`, which was read from it, does not hold."""
    if isinstance(written, Number):
        return written if isinstance(value, float) and _is_lost(written) else None
    if isinstance(written, Mapping) and isinstance(value, Mapping):
        pairs = [(value.get(key), member) for key, member in written.items()]
    elif isinstance(written, list) and isinstance(value, list):
        pairs = list(zip(value, written, strict=False))
    else:
        return None
    return next((lost for pair in pairs if (lost := _lost_in(*pair))), None)


def _is_lost(text: str) -> bool:
    if not _NUMBER.match(text):
        return False
    if len(text) > MAX_DIGITS:
        return True
    held = float(text)
    if held in (float("inf"), float("-inf")):
        return True
    try:
        with localcontext() as context:
            written = Decimal(text)
            context.prec = len(written.as_tuple().digits)
            return +Decimal(held) != written
    except ArithmeticError:  # an exponent beyond all numbers
        return True
