"""A campaign: the TOML file that says what varies and what each picture is to show, checked whole.

seed_from = ["product"]                          # one composition for a product, whatever else varies

[prompt]                                         # or prompt = "…", the same for every language
en = "a {colour} {product} in the {scene}"
de = "{colour_de} {product_de}, {scene_de}"

[axes]
product = { table = "products.csv" }             # CSV, Parquet or JSON lines; key = "sku" if no column is "product"
season = ["spring", "summer"]
region = [{ region = "UK", language = "en" }, { region = "DE", language = "de" }]
size = [{ size = "story", width = 96, height = 160 }]

[columns]                                        # further columns of the manifest: texts, by language if need be
headline = { en = "Hello {season}", de = "Hallo {season_de}" }

[[exclude]]                                      # or [[include]]: only what one of them names
season = "spring"
region = ["DE"]

[[override]]
when = { season = "summer" }
set = { headline = "Sun!", steps = 12 }
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.uri import resolve_uri
from pressrun.jobs.campaign.axis import Axis, inline_axis, table_axis
from pressrun.jobs.campaign.campaign_rules import (
    Override,
    Rule,
    Text,
    Value,
    parsed,
    read_overrides,
    read_rules,
    unknown,
)
from pressrun.jobs.manifest.manifest import RESERVED
from pressrun.jobs.text.wording import shortened
from pressrun.pipeline.errors import JobError, PressrunError

LANGUAGE = "language"
"""The column that chooses among a text's languages."""

_SECTIONS = ("seed_from", "prompt", "axes", "columns", "include", "exclude", "override")


@dataclass(frozen=True)
class Campaign:
    """What varies, and what becomes of each combination. `columns` begins with the prompt."""

    axes: tuple[Axis, ...]
    columns: Mapping[str, Text | Value]
    include: tuple[Rule, ...] = ()
    exclude: tuple[Rule, ...] = ()
    overrides: tuple[Override, ...] = ()
    seed_from: tuple[str, ...] = ()
    names: Mapping[str, Axis] = field(default_factory=dict)

    @property
    def combinations(self) -> int:
        """How many there are before any rule."""
        product = 1
        for axis in self.axes:
            product *= len(axis)
        return product


def read_campaign(stores: Stores, uri: str) -> Campaign:
    """The campaign in a file, on disk or in `s3://`, with the tables that it names.

    Raises JobError with everything that is wrong with it, StorageError when the store does not answer.
    """
    try:
        text = stores.read(uri).decode()
        found = tomllib.loads(text)
    except (FileNotFoundError, PermissionError, PressrunError) as error:
        raise JobError(f"The campaign “{shortened(uri)}” cannot be read: {error}", code="bad_campaign") from None
    except UnicodeDecodeError:
        raise JobError(f"The campaign “{shortened(uri)}” is no text in UTF-8.", code="bad_campaign") from None
    except tomllib.TOMLDecodeError as error:
        raise JobError(f"The campaign “{shortened(uri)}” is no TOML: {error}.", code="bad_campaign") from None
    return parse_campaign(stores, found, resolve_uri(uri, None).rpartition("/")[0])


def parse_campaign(stores: Stores, found: Mapping[str, Any], base: str) -> Campaign:
    """A campaign from what its TOML says; tables are relative to the folder or prefix `base`. Raises as above."""
    problems: list[str] = []
    for name in found:
        if name not in _SECTIONS:
            problems.append(unknown(f"The campaign's “{shortened(name)}”", name, _SECTIONS))
    axes = _axes(stores, found.get("axes"), base, problems)
    names = _column_owners(axes, problems)
    columns = _columns(found, names, problems)
    if len(axes) < len(found.get("axes", ())) or not axes:
        raise JobError(*problems, code="bad_campaign")  # what refers to an axis that could not be read cannot be judged
    include = read_rules(found, "include", names, problems)
    exclude = read_rules(found, "exclude", names, problems)
    overrides = read_overrides(found.get("override", []), names, columns, problems)
    seed_from = _seed_from(found.get("seed_from", []), axes, names, columns, problems)
    for where, text in _texts(columns, overrides):
        problems += _text_problems(where, text, names)
    if problems:
        raise JobError(*problems, code="bad_campaign")
    return Campaign(tuple(axes), columns, include, exclude, overrides, seed_from, names)


def _axes(stores: Stores, found: Any, base: str, problems: list[str]) -> list[Axis]:
    if not isinstance(found, dict) or not found:
        problems.append('The campaign needs a section [axes] with what varies, such as season = ["spring", "summer"].')
        return []
    axes = []
    for name, value in found.items():
        try:
            axes.append(_axis(stores, name, value, base))
        except JobError as error:
            problems += error.problems
    return axes


def _axis(stores: Stores, name: str, value: Any, base: str) -> Axis:
    if isinstance(value, list):
        if not value:
            raise JobError(
                f"axes.{shortened(name)} is empty, so there would be no picture at all.", code="bad_campaign"
            )
        return inline_axis(name, value, base)
    kinds = {"table": str, "key": str}
    if isinstance(value, dict) and "table" in value and all(isinstance(value[k], kinds.get(k, ())) for k in value):
        return table_axis(stores, name, value["table"], value.get("key"), base)
    raise JobError(
        f'axes.{shortened(name)} must be a list, or a table of its own: {{ table = "file.csv", key = "sku" }}.',
        code="bad_campaign",
    )


def _column_owners(axes: Sequence[Axis], problems: list[str]) -> dict[str, Axis]:
    """The axis of each column; a column of two axes is a problem."""
    owners: dict[str, Axis] = {}
    for axis in axes:
        for column in axis.table.column_names:
            other = owners.setdefault(column, axis)
            if other is not axis:
                problems.append(
                    f"axes.{shortened(axis.name)} and axes.{shortened(other.name)} both have a column "
                    f"“{shortened(column)}”; rename one."
                )
    return owners


def _columns(found: Mapping[str, Any], names: Mapping[str, Axis], problems: list[str]) -> dict[str, Text | Value]:
    columns: dict[str, Text | Value] = {}
    if "prompt" not in found:
        problems.append('The campaign needs a prompt: prompt = "a {product} in {season}", or one for each language.')
    asked = found.get("columns", {})
    if not isinstance(asked, dict):
        problems.append("[columns] must name columns, each with a text or a number.")
        asked = {}
    for name, value in {**({"prompt": found["prompt"]} if "prompt" in found else {}), **asked}.items():
        where = "prompt" if name == "prompt" else f"columns.{shortened(name)}"
        if name in names:
            problems.append(f"{where}: axes.{shortened(names[name].name)} has a column of that name; rename one.")
        if name in (*RESERVED, "custom_id", "references") or (name == "prompt" and "prompt" in asked):
            problems.append(f"{where} is a column that Pressrun makes itself; choose another name.")
        made = parsed(value, where, problems)
        if name == "prompt" and made is not None and not isinstance(made, dict):
            problems.append(f"{where} is a number; write a text.")
        if made is not None:
            columns[name] = made
    return columns


def _seed_from(
    found: Any, axes: Sequence[Axis], names: Mapping[str, Axis], columns: Mapping[str, object], problems: list[str]
) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        problems.append('seed_from must be a list of axes, such as seed_from = ["product"].')
        return ()
    known = tuple(axis.name for axis in axes)
    problems += [
        unknown(f"seed_from: “{shortened(name)}”", name, known, "is no axis") for name in found if name not in known
    ]
    if found and ("seed" in names or "seed" in columns):
        problems.append("The seeds come from seed_from and from a column “seed” at once; leave one of them out.")
    return tuple(found)


def _texts(columns: Mapping[str, Text | Value], overrides: Sequence[Override]) -> list[tuple[str, Text]]:
    found = [("prompt" if name == "prompt" else f"columns.{name}", value) for name, value in columns.items()]
    for override in overrides:
        found += [(f"{override.when.where}: {name}", value) for name, value in override.columns.items()]
    return [(where, value) for where, value in found if isinstance(value, dict)]


def _text_problems(where: str, text: Text, names: Mapping[str, Axis]) -> list[str]:
    known = {name for name, axis in names.items() if name in axis.texts}
    fields = dict.fromkeys(field for template in text.values() for field in template.fields)
    problems = [
        unknown(f"{shortened(where)}: “{{{shortened(name)}}}”", name, tuple(known), "is no axis's column")
        for name in fields
        if name not in known
    ]
    if set(text) != {None} and LANGUAGE not in known:
        problems.append(f"{shortened(where)} has a text for each language, but no axis has a column “{LANGUAGE}”.")
    return problems
