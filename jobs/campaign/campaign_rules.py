"""Rules of a campaign: which combinations it keeps or leaves out, and what some of them have instead."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.campaign.axis import OURS, Axis
from pressrun.jobs.campaign.content import Content, Pictures, read_content, unknown
from pressrun.jobs.manifest.manifest import RESERVED
from pressrun.jobs.text.wording import first_of, shortened


@dataclass(frozen=True)
class Rule:
    """Combinations that have, in every column that is named, one of its values (compared as text)."""

    conditions: Mapping[str, tuple[str, ...]]
    where: str


@dataclass(frozen=True)
class Override:
    """What some combinations have instead: a text or a value for each column that is named."""

    when: Rule
    columns: Mapping[str, Content]


def read_rules(found: Mapping[str, Any], name: str, names: Mapping[str, Axis], problems: list[str]) -> tuple[Rule, ...]:
    """The rules `[[include]]` or `[[exclude]]`; `names` are the axes by column, `problems` gets what is wrong."""
    asked = found.get(name, [])
    if not isinstance(asked, list) or not all(isinstance(rule, dict) for rule in asked):
        problems.append(f"Write rules as [[{name}]], each with columns and the values that it is about.")
        return ()
    return tuple(read_rule(rule, f"{name} {number}", names, problems) for number, rule in enumerate(asked, 1))


def read_rule(asked: Mapping[str, Any], where: str, names: Mapping[str, Axis], problems: list[str]) -> Rule:
    """One rule, which stands at `where`; an axis may be named by its own name."""
    conditions: dict[str, tuple[str, ...]] = {}
    axes = {axis.name: axis for axis in names.values()}
    if not asked:
        problems.append(f"{where} names no column, so it is about everything; say what it is about.")
    for name, value in asked.items():
        wanted = tuple(map(_as_text, value if isinstance(value, list) else [value]))
        column = _meant(name, wanted, names, axes.get(name))
        if column not in names:
            known = tuple(dict.fromkeys((*names, *axes)))
            problems.append(unknown(f"{where}: “{shortened(name)}”", name, known, "is no axis's column"))
            continue
        if column in conditions:
            problems.append(f"{where} names {shortened(name)}, which is {shortened(column)}, twice; keep one of them.")
        conditions[column] = wanted
        problems += _absent(f"{where}: there is no {shortened(name)}", wanted, _values(names[column], column))
    return Rule(conditions, where)


def _meant(name: str, wanted: Sequence[str], names: Mapping[str, Axis], called: Axis | None) -> str:
    """The column that a rule's name means: the one of that name; the key of the axis that is `called` so where there is
    no such column, or none of the wanted values in it."""
    if called is None or (name in names and not set(wanted).isdisjoint(_values(names[name], name))):
        return name
    return called.key if name not in names or not set(wanted).isdisjoint(_values(called, called.key)) else name


def _absent(what: str, wanted: Sequence[str], known: set[str]) -> Iterator[str]:
    """A sentence for each wanted value that is not known."""
    for text in wanted:
        if text not in known:
            near = difflib.get_close_matches(text, known, 1, 0.75)
            hint = f"did you mean “{shortened(near[0])}”?" if near else f"there are {first_of(sorted(known))}."
            yield f"{what} “{shortened(text)}”; {hint}"


def _values(axis: Axis, column: str) -> set[str]:
    there = axis.texts.get(column)
    return set() if there is None else set(filter(None, there.to_pylist()))


def _as_text(value: Any) -> str:
    """A value as the axes' columns have it when they are text: 1 for 1.0, true for True."""
    return str(pc.cast(pa.scalar(value), pa.string())) if isinstance(value, bool | float) else str(value)


def read_overrides(
    found: Any, names: Mapping[str, Axis], columns: Mapping[str, Content], problems: list[str]
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
            made = read_content(name, value, f"{where}: {shortened(name)}", problems)
            if made is not None:
                replaced[name] = made
                problems += _kind_problems(f"{where}: {shortened(name)}", name, made, names, columns)
        overrides.append(Override(read_rule(when, where, names, problems), replaced))
    return tuple(overrides)


def _kind_problems(
    where: str, name: str, value: Content, names: Mapping[str, Axis], columns: Mapping[str, Content]
) -> list[str]:
    """What an override may not do: change what names a row, or put a text where numbers are."""
    if name in (*RESERVED, *OURS[:1]):
        return [f"{where} cannot be overridden."]
    if name in names and name == names[name].key:
        return [f"{where} tells the axis's rows apart and cannot be overridden."]
    if name not in names and name not in columns:
        if isinstance(value, Pictures):
            return [f"{where} is no column to override; write {name} = [] in [columns], what all other rows have."]
        return [unknown(where, name, (*names, *columns), "is no column to override")]
    if isinstance(value, Pictures):
        return []
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
