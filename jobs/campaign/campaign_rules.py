"""Rules of a campaign: which combinations it keeps or leaves out, and what some of them have instead."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.campaign.axis import OURS, Axis
from pressrun.jobs.manifest.manifest import RESERVED
from pressrun.jobs.manifest.template import Template
from pressrun.jobs.text.wording import first_of, shortened
from pressrun.pipeline.errors import JobError

Value = bool | int | float
Text = Mapping[str | None, Template]
"""A template for each language; None: for any other."""


@dataclass(frozen=True)
class Rule:
    """Combinations that have, in every column that is named, one of its values (compared as text)."""

    conditions: Mapping[str, tuple[str, ...]]
    where: str


@dataclass(frozen=True)
class Override:
    """What some combinations have instead: a text or a value for each column that is named."""

    when: Rule
    columns: Mapping[str, Text | Value]


def parsed(value: Any, where: str, problems: list[str]) -> Text | Value | None:
    """A text, texts by language, or a number."""
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        problems.append(f"{where} is a number that is too large.")
        return None
    if isinstance(value, bool | int | float):
        return value
    by_language = {None: value} if isinstance(value, str) else value
    if not isinstance(by_language, dict) or not all(isinstance(text, str) for text in by_language.values()):
        problems.append(f'{where} must be a text, a number, or a text for each language: {{ en = "…", de = "…" }}.')
        return None
    try:
        return {language: Template.parse(text, where) for language, text in by_language.items()}
    except JobError as error:
        problems += error.problems
        return None


def read_rules(found: Mapping[str, Any], name: str, names: Mapping[str, Axis], problems: list[str]) -> tuple[Rule, ...]:
    """The rules `[[include]]` or `[[exclude]]`; `names` are the axes by column, `problems` gets what is wrong."""
    asked = found.get(name, [])
    if not isinstance(asked, list) or not all(isinstance(rule, dict) for rule in asked):
        problems.append(f"Write rules as [[{name}]], each with columns and the values that it is about.")
        return ()
    return tuple(_rule(rule, f"{name} {number}", names, problems) for number, rule in enumerate(asked, 1))


def _rule(asked: Mapping[str, Any], where: str, names: Mapping[str, Axis], problems: list[str]) -> Rule:
    conditions = {}
    if not asked:
        problems.append(f"{where} names no column, so it is about everything; say what it is about.")
    for column, wanted in asked.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        texts = tuple(map(_as_text, values))
        conditions[column] = texts
        if column not in names:
            problems.append(unknown(f"{where}: “{shortened(column)}”", column, tuple(names), "is no axis's column"))
            continue
        there = names[column].texts.get(column)
        known = set(there.to_pylist()) if there is not None else set()
        for text in texts:
            if text not in known:
                what = f"{where}: there is no {shortened(column)} “{shortened(text)}”"
                problems.append(f"{what}; there are {first_of(sorted(filter(None, known)))}.")
    return Rule(conditions, where)


def _as_text(value: Any) -> str:
    """A value as the axes' columns have it when they are text: 1 for 1.0, true for True."""
    return str(pc.cast(pa.scalar(value), pa.string())) if isinstance(value, bool | float) else str(value)


def read_overrides(
    found: Any, names: Mapping[str, Axis], columns: Mapping[str, Text | Value], problems: list[str]
) -> tuple[Override, ...]:
    """The `[[override]]` of a campaign, in their order."""
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        problems.append("Write overrides as [[override]], each with when = { … } and set = { … }.")
        return ()
    overrides = []
    for number, one in enumerate(found, 1):
        where = f"override {number}"
        when, values = one.get("when"), one.get("set")
        if set(one) != {"when", "set"} or not isinstance(when, dict) or not isinstance(values, dict) or not values:
            problems.append(
                f"{where} needs when = {{ … }}, the combinations, and set = {{ … }}, what they get instead."
            )
            continue
        replaced = {}
        for name, value in values.items():
            made = parsed(value, f"{where}: {shortened(name)}", problems)
            if made is not None:
                replaced[name] = made
                problems += _kind_problems(f"{where}: {shortened(name)}", name, made, names, columns)
        overrides.append(Override(_rule(when, where, names, problems), replaced))
    return tuple(overrides)


def _kind_problems(
    where: str, name: str, value: Text | Value, names: Mapping[str, Axis], columns: Mapping[str, Text | Value]
) -> list[str]:
    """What an override may not do: change what names a row, or put a text where numbers are."""
    if name in (*RESERVED, *OURS[:1], "references"):
        return [f"{where} cannot be overridden."]
    if name in names and name == names[name].key:
        return [f"{where} tells the axis's rows apart and cannot be overridden."]
    if name not in names and name not in columns:
        return [unknown(where, name, (*names, *columns), "is no column to override")]
    if name in names:
        kind = names[name].table.schema.field(name).type
        numbers = str(kind) in ("int64", "double", "bool")
    else:
        numbers = not isinstance(columns[name], dict)
    if numbers == isinstance(value, dict):
        return [
            f"{where} is a {'number' if numbers else 'text'} elsewhere; write {'a number' if numbers else 'a text'}."
        ]
    return []


def unknown(what: str, name: str, known: Sequence[str], verb: str = "is no setting") -> str:
    """A sentence about a name that nothing has, with what may have been meant."""
    near = difflib.get_close_matches(name, known, 1)
    return f"{what} {verb}; " + (f"did you mean “{near[0]}”?" if near else f"there are {first_of(sorted(known), 50)}.")
