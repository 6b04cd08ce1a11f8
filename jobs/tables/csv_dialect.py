"""How a CSV file is written: where its table begins, its columns and the sign between its cells."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from pressrun.jobs.tables.near_misses import meaning
from pressrun.pipeline.errors import JobError

SIGNS = ",;\t|"
"""Between cells, the likeliest first."""

MAX_HEADER = 1 << 20
"""Bytes in which the columns are named."""

_SAMPLE_ROWS = 100
_SEP_LINE = re.compile(
    rb'"? *sep *=(?: +(?=[^ \r\n]))?(\\t|[\xc2-\xf4][\x80-\xbf]+|[^\r\n]?)"?[ \t,;|]*(\r\n|\r|\n|\Z)', re.IGNORECASE
)
_NOTHING = re.compile(rb"(?:[ \t,;|]*(?:\r\n|\r|\n))*+")
"""Lines of nothing but separators above a table."""


@dataclass(frozen=True)
class Dialect:
    """`sign` stands between cells; `columns` are the header's names; the table begins at byte `start`."""

    sign: str
    columns: list[str]
    start: int


def dialect_of(content: bytes, name: str) -> Dialect:
    """How a file in UTF-8 without a byte order mark is written.

    The sign is the one that Excel's own first line `sep=;` names, or that gives the columns that every manifest has,
    then rows as long as the header, then the most columns. Raises JobError where no columns are named.
    """
    start = _first_line(content, 0)
    told = _SEP_LINE.match(content, start)
    start = _first_line(content, told.end()) if told else start
    head = content[start : start + MAX_HEADER]
    text = head.decode(errors="surrogateescape")
    if told:
        sign = told[1].decode(errors="replace").replace("\\t", "\t")
        if not sign.isascii() or sign in ("", '"') or not sign.isprintable() | (sign == "\t"):
            raise JobError(
                f"The first line of “{name}” is “sep=” without a sign that can stand between cells.",
                code="bad_manifest",
            )
    else:
        whole = len(content) <= MAX_HEADER
        sign = max(SIGNS, key=lambda sign: _score(text, sign, whole))  # of equals the first
    try:
        columns = next(_rows(text, sign), [])
        "".join(columns).encode()
    except csv.Error:
        raise JobError(f"The first line of “{name}” does not name columns.", code="bad_manifest") from None
    return Dialect(sign, columns, start)


def _first_line(content: bytes, start: int) -> int:
    found = _NOTHING.match(content, start)
    return found.end() if found else start


def _rows(text: str, sign: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=sign)  # a name may hold line breaks


def _score(text: str, sign: str, whole: bool) -> tuple[int, float, int]:
    """How well a sign makes a table of a file's head, which is the `whole` file or is cut off."""
    rows: list[list[str]] = []
    try:
        rows.extend(islice(_rows(text, sign), _SAMPLE_ROWS))
    except csv.Error:
        pass  # a cell that is too long for this reader
    if not whole and len(rows) < _SAMPLE_ROWS:
        rows = rows[:-1] or rows
    if not rows:
        return 0, 0.0, 0
    header, others = rows[0], [row for row in rows[1:] if any(cell.strip() for cell in row)]
    required = sum(any(meaning(cell) == name for cell in header) for name in ("custom_id", "prompt"))
    alike = sum(len(row) == len(header) for row in others) / len(others) if others else 1.0
    return required, alike, len(header)
