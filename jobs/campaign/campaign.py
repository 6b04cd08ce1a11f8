"""A campaign: the TOML file that says what varies and what each picture is to show, checked whole.

docs/campaigns.md says how it is written. It is read in this order: the axes, whose columns everything else may name;
the columns of the manifest, the prompt first; the rules and overrides over both.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.uri import resolve_uri
from pressrun.jobs.campaign.axis import Axis, inline_axis, table_axis
from pressrun.jobs.campaign.campaign_rules import Override, Rule, read_overrides, read_rules
from pressrun.jobs.campaign.content import (
    PICTURES,
    Content,
    read_content,
    templates_of,
    unknown,
    why_not_in_columns,
)
from pressrun.jobs.manifest.template import Template
from pressrun.jobs.text.wording import shortened
from pressrun.pipeline.errors import JobError, PressrunError

LANGUAGE = "language"
"""The column that chooses among a text's languages."""

_AT_THE_TOP = ("seed_from", "prompt")
"""Settings that become part of a section where they stand below its heading."""

_SECTIONS = (*_AT_THE_TOP, "axes", "columns", "include", "exclude", "override")


@dataclass(frozen=True)
class Campaign:
    """What varies, and what becomes of each combination. `columns` begins with the prompt; paths of pictures are meant
    from the folder or prefix `base`."""

    axes: tuple[Axis, ...]
    columns: Mapping[str, Content]
    include: tuple[Rule, ...] = ()
    exclude: tuple[Rule, ...] = ()
    overrides: tuple[Override, ...] = ()
    seed_from: tuple[str, ...] = ()
    names: Mapping[str, Axis] = field(default_factory=dict)
    base: str = ""

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
    for where, templates in _texts(columns, overrides):
        problems += _text_problems(where, templates, names)
    if problems:
        raise JobError(*problems, code="bad_campaign")
    return Campaign(tuple(axes), columns, include, exclude, overrides, seed_from, names, base)


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
    if name in _AT_THE_TOP:
        raise JobError(
            f"axes.{name} is no axis: write {name} = … at the top of the file, before [axes].", code="bad_campaign"
        )
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
                    f"“{shortened(column)}”; rename {'both' if column in PICTURES else 'one'}{_joined(column)}."
                )
    return owners


def _joined(column: str) -> str:
    """How a row comes to pictures of several origins."""
    return f', say to photo and scene, and write {column} = ["{{photo}}", "{{scene}}"]' if column in PICTURES else ""


def _columns(found: Mapping[str, Any], names: Mapping[str, Axis], problems: list[str]) -> dict[str, Content]:
    """The columns that the campaign itself makes; the prompt is the first."""
    columns: dict[str, Content] = {}
    asked = found.get("columns", {})
    if not isinstance(asked, dict):
        problems.append("[columns] must name columns, each with a text or a number.")
        asked = {}
    if "prompt" not in found and "prompt" not in asked:
        problems.append('The campaign needs a prompt: prompt = "a {product} in {season}", or one for each language.')
    named = [("prompt", "prompt", found["prompt"])] if "prompt" in found else []
    for where, name, value in [*named, *((f"columns.{shortened(name)}", name, value) for name, value in asked.items())]:
        if where != "prompt" and (why := why_not_in_columns(name, value)):
            problems.append(f"{where} {why}")
            continue
        if name in names:
            what = f"rename {'that one' if name in PICTURES else 'one'}{_joined(name)}"
            problems.append(f"{where}: axes.{shortened(names[name].name)} has a column of that name; {what}.")
        made = read_content(name, value, where, problems)
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


def _texts(
    columns: Mapping[str, Content], overrides: Sequence[Override]
) -> list[tuple[str, Mapping[str | None, tuple[Template, ...]]]]:
    found = [("prompt" if name == "prompt" else f"columns.{name}", content) for name, content in columns.items()]
    for override in overrides:
        found += [(f"{override.when.where}: {name}", content) for name, content in override.columns.items()]
    return [(where, templates) for where, content in found if (templates := templates_of(content))]


def _text_problems(
    where: str, by_language: Mapping[str | None, tuple[Template, ...]], names: Mapping[str, Axis]
) -> list[str]:
    known = {name for name, axis in names.items() if name in axis.texts}
    keys = {axis.name: axis.key for axis in names.values() if axis.name not in known}
    templates = [template for several in by_language.values() for template in several]
    problems = []
    for name in dict.fromkeys(name for template in templates for name in template.fields):
        what = f"{shortened(where)}: “{{{shortened(name)}}}”"
        if name in keys:
            problems.append(
                f"{what} is an axis without a column of that name; write {{{shortened(keys[name])}}}, its key."
            )
        elif name not in known:
            problems.append(unknown(what, name, tuple(known), "is no axis's column"))
    if set(by_language) != {None} and LANGUAGE not in known:
        what = "something else" if where.endswith(PICTURES) else "a text"
        problems.append(f"{shortened(where)} has {what} for each language, but no axis has a column “{LANGUAGE}”.")
    return problems
