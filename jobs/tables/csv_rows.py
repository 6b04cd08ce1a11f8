"""The rows of a CSV file as CSV takes them: whether that is what was meant, and where a row has too many cells."""

import re

from pressrun.jobs.tables.csv_dialect import Dialect
from pressrun.jobs.text.wording import several, shortened
from pressrun.pipeline.errors import JobError

_QUOTED = rb'"[^"]*+(?:""[^"]*+)*+"'


def check_quotes(content: bytes, dialect: Dialect, name: str) -> None:
    r"""Raise JobError, with the line, for a quote that CSV would not take for what it was meant to be.

    PHP and MySQL write `\"` where CSV has `""`; people write a blank behind each comma, and then a quote is a part of
    the text. What stands behind it would be changed, split or swallowed without a word.
    """
    if b'"' not in content:
        return
    proper = re.compile(rb"(?:%b(?:%b|[\r\n]++|\Z))*+" % (_cell(dialect.sign), re.escape(dialect.sign.encode())))
    found = proper.match(content, dialect.start)
    start = found.end() if found else dialect.start
    if start < len(content):
        raise JobError(f"Line {_improper(content, start, name)}.", code="bad_manifest")


def _cell(sign: str) -> bytes:
    """A pattern of cells that leave no doubt: in quotes, or without a quote at their beginning, also behind blanks."""
    between = re.escape(sign.encode())
    blanks = rb"[%b]" % b" \t".replace(sign.encode(), b"")
    apart = rb"%b++%b%b*+(?:%b|[\r\n]|\Z)" % (blanks, _QUOTED, blanks, between)
    split = rb'="[^"\r\n%b]*+(?:%b|[\r\n]|\Z)' % (between, between)
    return rb'(?:%b|(?!"|%b|%b)[^\r\n%b]*+)' % (_QUOTED, apart, split, between)


def _improper(content: bytes, start: int, name: str) -> str:
    """The line of a cell that begins at `start` and is not proper, and what is wrong with it."""
    behind = re.compile(rb"[ \t]*+").match(content, start)
    quote = behind.end() if behind else start
    if content[start : start + 2] == b'="':
        return (
            f'{_line(content, start):,} of “{name}” begins a text with =" that does not end in its cell; '
            "write the text in quotes, without ="
        )
    if quote > start:
        text = _shown(content, quote)
        return (
            f"{_line(content, start):,} of “{name}” has a blank before a quote (“{text}”), which CSV then takes for a "
            "part of the text; remove the blanks between sign and quote"
        )
    closed = re.compile(_QUOTED).match(content, start)
    end = closed.end() if closed else len(content)
    if (escaped := content.find(b'\\"', start, end)) >= 0:
        return (
            f'{_line(content, escaped):,} of “{name}” has a quote with a backslash (\\"), which CSV reads otherwise; '
            'write it twice (""), as CSV does'
        )
    if not closed:
        return f"{_line(content, start):,} of “{name}” opens a quote that is never closed; close it"
    return (
        f"{_line(content, end):,} of “{name}” goes on behind a closing quote (“{_shown(content, end)}”); "
        "write a quote twice that is part of a text"
    )


def wrong_length(content: bytes, dialect: Dialect, name: str) -> str:
    """The first line that has another number of cells than the header, in a sentence; "" where there is none."""
    wanted, between, cell = len(dialect.columns), re.escape(dialect.sign.encode()), _cell(dialect.sign)
    row = rb"%b(?:%b%b){%d}" % (cell, between, cell, wanted - 1)
    right = re.compile(rb"[\r\n]*+(?:%b(?:[\r\n]++|\Z))*+" % row).match(content, dialect.start)
    start = right.end() if right else dialect.start
    if start >= len(content):
        return ""
    cells, place = 0, start - 1
    while cells == 0 or content[place : place + 1] == dialect.sign.encode():
        found = re.compile(cell).match(content, place + 1)
        cells, place = cells + 1, found.end() if found else len(content)
    sign = "a tab" if dialect.sign == "\t" else f"“{dialect.sign}”"
    return (
        f"Line {_line(content, start):,} of “{name}” has {several(cells, 'cell')}, but the first line names "
        f"{several(wanted, 'column')}; a text with {sign} or a line break in it has to stand in quotes."
    )


def _shown(content: bytes, place: int) -> str:
    """What stands at a place, up to the line's end."""
    return shortened(re.split(rb"[\r\n]", content[place : place + 20])[0].decode(errors="replace"), 20)


def _line(content: bytes, place: int) -> int:
    return (content.count(b"\n", 0, place) or content.count(b"\r", 0, place)) + 1
