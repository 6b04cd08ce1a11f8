"""What to write instead of a cell that was to be a number and is none.

Nothing is guessed from such a cell: its row is refused, with a sentence that names the ways out.
"""

import math
import re
from collections.abc import Callable

import pyarrow as pa

from pressrun.jobs.manifest.doubtful_texts import ERROR, NOTHING
from pressrun.jobs.tables.coercion import EXACT, GROUPED
from pressrun.jobs.text.wording import shortened

_ROUNDED = "a column of floating point does not hold so large a number exactly: write its digits, as text or integers"
_NONE = "leave the cell empty where there is none"
_SIGNS = "[.,'’_ \u00a0\u2009\u202f]"
_GROUPS = rf"[+-]?(?:\d{{1,3}}(?:{_SIGNS}\d{{2,3}})*{_SIGNS}\d{{3}}|\d{{1,4}}(?:{_SIGNS}\d{{4}})+)(?:[.,]\d+)?"
_DATE = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ T].*)?"


def _either(found: re.Match[str]) -> str:
    whole, _, fraction = found[0].replace(",", ".").partition(".")
    small = whole if not fraction.strip("0") else f"{whole}.{fraction}"
    return f"it may mean {small} or {whole}{fraction}: write the one that is meant"


def _unit(found: re.Match[str]) -> str:
    return f"write the number alone, without “{shortened(found[1], 20)}”"


_ADVICE: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (GROUPED, _either),
    (_DATE, "it looks like a date: write the number"),
    (_GROUPS, "write its digits without signs between them"),
    (r"[+-]?[\d.,]+\s*[%‰٪]", "write the number that is meant, without a percent sign"),
    (r"[+-]?(?:0[xX][0-9a-fA-F]+|[#$][0-9a-fA-F]+)", "write it in decimal digits"),
    (r"[+-]?[\d.,]+[eE][+-]?\d+", "an exponent may have lost digits: write all of them, as text or integers"),
    (r"[+-]?\d{16,}[.,]0*", _ROUNDED),
    (r"[+-]?\d[\d.,]*\s*([^\W\d].*|[″\"'])", _unit),
    (r"(?i:true|false|yes|no|on|off)", "write a number"),
    (NOTHING, _NONE),
    (ERROR, "it is an error of Excel's: mend the formula"),
)


def advice(cell: pa.Scalar) -> str:
    """How a cell that is no number of the wanted kind is to be written, "" where nothing more can be said of it."""
    value = cell.as_py()
    if isinstance(value, float):
        if math.isnan(value):
            return _NONE
        exact = EXACT.get(cell.type.bit_width, 0)
        return _ROUNDED if value.is_integer() and exact < abs(value) < 2.0**63 else ""
    if not isinstance(value, str):
        return ""
    text = value.strip()
    for pattern, words in _ADVICE:
        if found := re.fullmatch(pattern, text):
            return words if isinstance(words, str) else words(found)
    return ""
