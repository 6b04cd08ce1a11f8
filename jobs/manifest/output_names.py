"""Names of finished pictures: a template over the manifest's columns, checked before anything is rendered.

A name is a path below the job's `images/` and the last part of an object's key, so it has to survive URLs, Windows
and macOS: what they trip over is percent-encoded, and names that such a file system takes for one are refused. A name
for people, in a zip, goes into no URL: there only what file systems trip over is encoded.
"""

import re
import sys
import unicodedata
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.manifest.repeats import repeated, row_numbers
from pressrun.jobs.manifest.template import split_template
from pressrun.jobs.tables.row_errors import BadRows
from pressrun.jobs.text.value_text import obvious_texts
from pressrun.jobs.text.wording import first_of, listed, shortened
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.redaction import without_secrets

DEFAULT_TEMPLATE = "{custom_id}"
MAX_NAME = 1024
"""Bytes of a whole name: S3's limit for a key."""
MAX_SEGMENT = 250
"""Bytes between two slashes: the limit of ext4, APFS and NTFS is 255, and a thumbnail adds `.webp`."""

# Letters, digits and combining marks of any script stay, and the four signs that RFC 3986 calls unreserved. Of ASCII
# the rest is replaced in whole columns, `%` first; what else there is to encode costs Python, value by value.
_TRIPPING = [code for code in (37, *range(37), *range(38, 128)) if not chr(code).isalnum() and chr(code) not in "-._~"]
_NEEDS_MORE = r"[^\pL\pN\pM_.~%-]|^\.|\.$"
_MORE = re.compile(r"[^\w.~%-]|^\.+|\.+$")
_UNFIT = r'[\x00-\x1f\x7f<>:"/\\|?*]|^[. ]+|[. ]+$'
"""What Windows and macOS do not take in a name, and what Windows takes away at its ends."""


@dataclass(frozen=True)
class NameTemplate:
    """A parsed template: `literals[0] + value + literals[1] + value + …`, one value for each of `fields`; `plain` ones
    make names for people."""

    text: str
    literals: tuple[str, ...]
    fields: tuple[str, ...]
    plain: bool = False

    @classmethod
    def parse(cls, text: str = DEFAULT_TEMPLATE, plain: bool = False) -> "NameTemplate":
        """Read a template such as `{sku}/{season}-{width}x{height}`; raises JobError for one that cannot name files."""
        problem = f"The name template “{shortened(text)}”"
        literals, fields = split_template(text, problem)
        segments = "\x00".join(literals).split("/")
        if not fields:
            raise JobError(
                f"{problem} names no column, so every picture would have one name; add {{custom_id}}.", code="bad_name"
            )
        if any(segment in ("", ".", "..") for segment in segments) or "\\" in text:
            raise JobError(
                f"{problem} must be a relative path with “/” between folders, without “..” or empty parts.",
                code="bad_name",
            )
        return cls(text, tuple(_encoded_literal(part, plain) for part in literals), tuple(fields), plain)

    def check(self, columns: list[str]) -> None:
        """Raise JobError if the template asks for a column that is not among `columns`."""
        unknown = [field for field in dict.fromkeys(self.fields) if field not in columns]
        if unknown:
            named = ", ".join(f"“{shortened(field)}”" for field in unknown)
            raise JobError(
                f"The name template asks for {named}, but the manifest has {first_of(columns, 50)}.", code="bad_name"
            )

    def names(self, table: pa.Table, extension: str, spare: int = 0) -> tuple[pa.Array, pa.Table]:
        """Every row's name with `extension` (null where it cannot be named), and the rows that have none, with why.
        A name leaves `spare` bytes of what a file's may have.

        Raises JobError where two rows have one name, also after folding case and NFC.
        """
        self.check(table.column_names)
        bad = BadRows()
        pieces: list[pa.Array | pa.Scalar] = [_scalar(self.literals[0])]
        for field, literal in zip(self.fields, self.literals[1:], strict=True):
            column = _text(table[field], field)
            empty = f"Column “{shortened(field)}”, which the name needs, is empty here."
            bad.add(column.is_null(), "bad_name", empty)
            pieces += [_plain(column) if self.plain else _encoded(column), _scalar(literal)]
        names = pc.binary_join_element_wise(*pieces, _scalar("." + extension.lstrip(".")), _scalar(""))
        names = _whole_names(names, bad, spare)
        _refuse_collisions(names)
        return names, bad.table()


def _scalar(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _text(column: pa.ChunkedArray, field: str) -> pa.Array:
    """A column's values as text, NFC; raises JobError for one whose values have no obvious text."""
    text = obvious_texts(column)
    if text is None:
        raise JobError(
            f"Column “{shortened(field)}” is of type {shortened(str(column.type))} and cannot be part of a name; "
            "use a column of text or numbers.",
            code="bad_name",
        )
    return pc.utf8_normalize(text.cast(pa.large_string()).combine_chunks(), "NFC")


def _encoded(values: pa.Array) -> pa.Array:
    """Values with everything percent-encoded that a URL or a file system trips over."""
    text = values.buffers()[2]
    present = np.bincount(np.frombuffer(text, np.uint8), minlength=256) if text else np.zeros(256, np.int64)
    for code in _TRIPPING:
        if present[code]:
            values = pc.replace_substring(values, chr(code), f"%{code:02X}")
    needs = pc.fill_null(pc.match_substring_regex(values, _NEEDS_MORE), False)
    if not pc.any(needs).as_py():
        return values
    distinct = pc.dictionary_encode(values.filter(needs))
    more = [_MORE.sub(_percent, value) for value in distinct.dictionary.to_pylist()]
    return pc.replace_with_mask(values, needs, pa.array(more, pa.large_string()).take(distinct.indices))


def _plain(values: pa.Array) -> pa.Array:
    """Values with everything percent-encoded that a file system does not take."""
    needs = pc.fill_null(pc.match_substring_regex(values, _UNFIT), False)
    if not pc.any(needs).as_py():
        return values
    more = [re.sub(_UNFIT, _percent, value) for value in values.filter(needs).to_pylist()]
    return pc.replace_with_mask(values, needs, pa.array(more, pa.large_string()))


def _encoded_literal(literal: str, plain: bool) -> str:
    trips = r'[\x00-\x1f\x7f<>:"|?*]' if plain else r"[^\w.~-]"
    return "/".join(re.sub(trips, _percent, part) for part in unicodedata.normalize("NFC", literal).split("/"))


def _percent(match: re.Match[str]) -> str:
    found = match.group()
    if unicodedata.category(found[0])[0] == "M":
        return found
    return "".join(f"%{byte:02X}" for byte in found.encode())


def _whole_names(names: pa.Array, bad: BadRows, spare: int) -> pa.Array:
    """Names put together, with null for those that are no safe relative path; the reasons go to `bad`."""

    def shown(row: int) -> str:
        return _shown(names[row].as_py())

    names = pc.utf8_normalize(names, "NFC")
    bad.add(
        pc.match_substring_regex(names, r"(^|/)\.{0,2}(/|$)"),
        "bad_name",
        lambda row: f"The name {shown(row)} has an empty part, “.” or “..”; mend the columns it is made of.",
    )
    length = pc.binary_length(names).fill_null(0).to_numpy(zero_copy_only=False)
    most, longest = MAX_NAME - spare, MAX_SEGMENT - spare
    bad.add(length > most, "bad_name", lambda row: f"The name {shown(row)} is longer than {most:,} bytes.")
    for row in np.flatnonzero((length > longest) & (length <= most)).tolist():
        if max(len(part.encode()) for part in names[row].as_py().split("/")) > longest:
            bad.add_row(row, "bad_name", f"A part of the name {shown(row)} is longer than {longest} bytes.")
    keep = np.ones(len(names), dtype=bool)
    keep[bad.rows()] = False
    return pc.if_else(pa.array(keep), names, pa.scalar(None, names.type)).cast(pa.string())


def _shown(name: str) -> str:
    """A name as messages show it; percent-encoded, a secret in it would not be known for one."""
    plain = unquote(name)
    public = without_secrets(plain)
    return f"“{shortened(name if public == plain else public)}”"


def _refuse_collisions(names: pa.Array) -> None:
    """Raise JobError where two names are one on a file system that folds case or NFC.

    No name is the folder of another: all have as many parts as the template.
    """
    doubled = repeated(_folded(names))
    if doubled:
        cases = (f"{_shown(names[rows[0]].as_py())} in {row_numbers(rows)}" for rows in doubled)
        raise JobError(
            f"{len(doubled):,} names would be used by several rows (upper and lower case count as equal); "
            f"add a column to the name template that tells them apart: {listed(cases, len(doubled))}.",
            code="bad_name",
        )


def _folded(names: pa.Array) -> pa.Array:
    """Names as a case-folding, normalising file system compares them; only rare letters cost Python."""
    folded = pc.utf8_lower(names)
    if pc.all(pc.string_is_ascii(names)).as_py() in (True, None):
        return folded
    rare = pc.fill_null(pc.match_substring_regex(names, _folding_further()), False)
    values = [name.casefold() for name in names.filter(rare).to_pylist()]
    return pc.utf8_normalize(pc.replace_with_mask(folded, rare, pa.array(values, folded.type)), "NFC")


@cache
def _folding_further() -> str:
    """Matches the letters that case folding changes more than lower case does, such as ß, which folds to ss."""
    letters = (chr(code) for code in range(128, sys.maxunicode + 1) if not 0xD800 <= code < 0xE000)
    return "[" + "".join(letter for letter in letters if letter.casefold() != letter.lower()) + "]"
