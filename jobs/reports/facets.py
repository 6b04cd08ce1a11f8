"""Facets: the columns that a contact sheet filters by, because they divide a job's rows into groups.

A price, a headline or an address names or describes a row although many rows have the same, and of columns that all
divide the rows in the same way one is enough.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

MOST = 50
"""Distinct values up to which a column becomes a facet."""

AT_ONCE = 14
"""Values that the page lists at once."""

_LEVEL = 0.5
"""Share of the greatest entropy under which a column says the same of nearly all rows."""

_CHARACTERS, _WORDS = 30, 4
"""On average, of a value that is still a name."""

_AMOUNT = re.compile(r"[€$£¥₹]\s?\d|\d\s?(?:[€$£¥₹円元]|[A-Z]{3}$)|^\D{0,5}\d[\d.,'’\s]*[.,]\d{2,3}\D{0,5}$")
_SENTENCE = re.compile(r"\s.*[.!?…]$|[。！？]$", re.DOTALL)
_ADDRESS = re.compile(r"://|^[/\\~]|^\w:\\|[/\\].*\.\w{2,5}$")


@dataclass(frozen=True)
class Candidate:
    """A column: its name, its type, its distinct values in the order of first occurrence, and which of them each row
    has."""

    name: str
    type: pa.DataType
    values: Sequence[bool | int | float | str | None]
    codes: Sequence[int]


def choose_facets(candidates: Iterable[Candidate]) -> list[str]:
    """Names of the columns to filter by, the most useful first: few values, evenly used, in the manifest's order."""
    by_division: dict[tuple[int, ...], Candidate] = {}
    for one in candidates:
        if _divides(one) and not _describes(one):
            division = tuple(one.codes)
            before = by_division.setdefault(division, one)
            if _has_digits(before) and not _has_digits(one):  # a word says more than a number of an article
                by_division[division] = one
    # A dictionary keeps the place of the first of those that divide alike; sorting keeps the order of equals.
    return [one.name for one in sorted(by_division.values(), key=_rank)]


def _divides(one: Candidate) -> bool:
    """Whether there are few values, and most of them belong to several rows."""
    if not 2 <= len(one.values) <= MOST or 2 * len(one.values) > len(one.codes):
        return False
    return bool(np.median(np.bincount(one.codes)) >= 2)


def _describes(one: Candidate) -> bool:
    """Whether the values are measures, sentences or addresses."""
    texts = [value for value in one.values if isinstance(value, str)]
    if pa.types.is_decimal(one.type) or any(isinstance(value, float) for value in one.values):
        return True
    if not texts:
        return False
    too_long = np.mean([len(text) for text in texts]) > _CHARACTERS
    too_many = np.mean([len(text.split()) for text in texts]) > _WORDS
    return bool(too_long or too_many) or any(_mostly(kind, texts) for kind in (_AMOUNT, _SENTENCE, _ADDRESS))


def _mostly(kind: re.Pattern[str], texts: Sequence[str]) -> bool:
    return 2 * sum(kind.search(text) is not None for text in texts) >= len(texts)


def _has_digits(one: Candidate) -> bool:
    return 2 * sum(any(map(str.isdigit, str(value))) for value in one.values) > len(one.values)


def _rank(one: Candidate) -> tuple[bool, bool]:
    shares = np.bincount(one.codes) / len(one.codes)
    entropy = -np.sum(shares * np.log(shares)) / np.log(len(shares))
    return len(one.values) > AT_ONCE, bool(entropy < _LEVEL)
