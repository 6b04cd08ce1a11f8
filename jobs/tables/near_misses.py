"""Columns that nearly are ours: in another case, with blanks around them, or under another tool's name.

A column that means the same as one of ours is read as it, and that is said; of any other one it is said that it is only
carried along. Nothing is ever left out in silence: a default in the place of what a customer asked for is a picture
that nobody wants.
"""

import difflib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.tables.other_names import IDS, OTHERS, PROMPTS, REFERENCES, SAME
from pressrun.jobs.text.column_types import is_list, is_text
from pressrun.jobs.text.wording import first_of, shortened
from pressrun.pipeline.request import FIELDS

OURS = tuple(FIELDS)

_PICTURE = r"(?i)^\s*(\[\s*\")?((https?|s3|gs)://|//|data:image/)|\.(png|jpe?g|webp|avif|gif|tiff?|heic)\s*(\?.*)?$"
_FILE = r"(?i)^[^\n|,]*\.(png|jpe?g|webp|avif|tiff?|heic)\s*(\?\S*)?$"
_LOOKED_AT = 1_000
"""Rows of a column that tell whether it names pictures."""
_NEAR = 0.85
"""How like one of ours a name has to be to be a slip of the pen; “weight” is none of “height”."""


@dataclass(frozen=True)
class Settled:
    """A table whose columns are called as ours where they mean the same. `notes` say so, and which columns are only
    carried along; `problems` refuse the job."""

    table: pa.Table
    notes: tuple[str, ...]
    problems: tuple[str, ...]


@lru_cache(4_096)
def meaning(name: str) -> str:
    """The column of ours that a name means, or the name itself."""
    plain = _plain(name)
    side = _IN_PIXELS.fullmatch(plain)
    return side[1] if side else _MEANINGS.get(plain, name)


def settled(table: pa.Table) -> Settled:
    """Every column that means the same as one of ours under its name, and what is to be said of all that nearly do."""
    names = table.column_names
    notes, problems, renamed = [], [], dict(zip(names, names, strict=True))
    for ours in OURS:
        same = list(dict.fromkeys(name for name in names if name != ours and meaning(name) == ours))
        if ours in names:
            clear = [name for name in same if name.lower() != ours]  # others are refused: they differ in case only
            notes += [f"Column “{_shown(name)}” is only carried along; {ours} is read from “{ours}”." for name in clear]
        elif len(same) > 1:
            several = " and ".join(f"“{_shown(name)}”" for name in same)
            problems.append(f"Columns {several} mean the same; keep one of them, and call it {ours}.")
        elif same:
            renamed[same[0]] = ours
            notes.append(f"Column “{_shown(same[0])}” is read as {ours}.")
    table = table.rename_columns([renamed[name] for name in names]).replace_schema_metadata(table.schema.metadata)
    problems += _asking_for_references(table)
    told = {name: words for name in table.column_names if (words := _told(name, table.column_names))}
    notes += [*told.values(), *_of_pictures(table, told)]
    return Settled(table, tuple(dict.fromkeys(notes)), tuple(problems + _alike(table.column_names)))


def hint(required: str, names: list[str]) -> str:
    """Which of the columns may be the one that is missing: there is none that means it."""
    wanted = IDS if required == "custom_id" else PROMPTS
    found = [name for name in names if _plain(name) in map(_plain, wanted)]
    near = difflib.get_close_matches(required, {name.strip().lower(): name for name in names}, 1, 0.75)
    found = [name for name in names if near and name.strip().lower() == near[0]][:1] or found
    if found:
        return (
            f"rename “{_shown(found[0])}”" if near else f"rename the column that holds it, such as “{_shown(found[0])}”"
        )
    return f"there are {first_of(names) or 'no columns'}"


def _plain(name: str) -> str:
    """A name without what people do not see as a difference; what stands in brackets or behind a colon stays."""
    return _UNSEEN.sub("", unicodedata.normalize("NFKC", name)).lower()


_UNSEEN = re.compile(r"[\s_\-.:#*()\[\]{}\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]+")
_IN_PIXELS = re.compile(r"(width|height)(?:in)?(?:px|pixels?)")
_MEANINGS = {_plain(name): ours for ours in OURS for name in (ours, *SAME.get(ours, ()))}
_OTHERS = {_plain(name): (words, ours) for words, (ours, names) in OTHERS.items() for name in names}


def _told(name: str, names: list[str]) -> str:
    """What is to be said of a column that is carried along, if anything is."""
    if meaning(name) in OURS:
        return ""
    words, ours = next((_OTHERS[form] for form in _forms(name) if form in _OTHERS), ("", ()))
    if not words:
        ours = tuple(one for one in OURS if _is_slip(_plain(name), _plain(one)) or _speaks_of(name, one))
        words = f"if it is meant for {ours[0]}, rename it" if ours else ""
    return "" if not words or set(ours) & set(names) else f"Column “{_shown(name)}” is only carried along; {words}."


def _forms(name: str) -> list[str]:
    """A name as it stands, without quotes, without what is in brackets or a unit, and without a number at its end."""
    bare = re.sub(r"[\"'“”„‘’‚«»`]", "", unicodedata.normalize("NFKC", name))
    outside = re.sub(r"\([^)]*\)|\[[^\]]*\]|\{[^}]*\}|<[^>]*>", " ", bare)
    plain = [_plain(form) for form in (name, bare, outside)]
    return [*plain, *(re.sub(r"(?:in)?(?:px|pixels?|cm|mm)$|\d+$", "", form) for form in plain)]


def _speaks_of(name: str, ours: str) -> bool:
    """Whether a column of ours is one of the words of a name: `seed value`, `true_guidance`, `"width"`."""
    return ours in re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def _is_slip(name: str, ours: str) -> bool:
    return sorted(name) == sorted(ours) or difflib.SequenceMatcher(None, name, ours).ratio() >= _NEAR


def _asking_for_references(table: pa.Table) -> list[str]:
    """`reference` is a shop's word for an article's number as well; where its cells are pictures it is ours."""
    if "references" in table.column_names:
        return []
    return [
        f"Column “{_shown(name)}” names pictures, but Pressrun's column for reference pictures is references; "
        "rename it, to references if the pictures are to be used."
        for name in table.column_names
        if _plain(name).startswith("ref") and _OTHERS.get(_plain(name), ("",))[0] == REFERENCES
        if table.column_names.count(name) == 1 and _holds_pictures(table[name])
    ]


def _of_pictures(table: pa.Table, told: Mapping[str, str]) -> list[str]:
    """What is to be said of columns that name pictures, whatever they are called, where there is no `references`."""
    names = table.column_names
    if "references" in names:
        return []
    found = [
        f"“{_shown(name)}”"
        for name in names
        if name not in told and name not in OURS and names.count(name) == 1
        if _holds_pictures(table[name].slice(0, _LOOKED_AT), _FILE)
    ]
    if not found:
        return []
    one = len(found) == 1
    those = f"Column {found[0]} names pictures and is" if one else f"Columns {first_of(found)} name pictures and are"
    return [f"{those} only carried along; {REFERENCES}."]


def _holds_pictures(column: pa.ChunkedArray, pattern: str = _PICTURE) -> bool:
    try:
        texts = pc.list_flatten(column) if is_list(column.type) else column
        return is_text(texts.type) and bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())
    except pa.ArrowInvalid:  # text that is no UTF-8, of which more is said elsewhere
        return False


def _alike(names: list[str]) -> list[str]:
    """Columns that differ in case only: DuckDB, Spark, Athena and BigQuery could not open the results."""
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        groups.setdefault(name.lower(), []).append(name)
    return [
        f"Columns {first_of([f'“{_shown(name)}”' for name in group])} differ in case only, and many programs that read "
        "the results cannot tell them apart; rename all but one."
        for group in groups.values()
        if len(group) > 1
    ]


def _shown(name: str) -> str:
    return shortened(re.sub(r"[\u00a0\u2000-\u200a\u202f]", " ", name))
