"""What a campaign puts into a column of the manifest: a text, a number, or the addresses of reference pictures."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pressrun.jobs.manifest.manifest import RESERVED
from pressrun.jobs.manifest.template import Template
from pressrun.jobs.text.wording import first_of, shortened
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.request import FIELDS

PICTURES = tuple(name for name, field in FIELDS.items() if field.kind == "texts")
"""Columns of the manifest that hold addresses of pictures."""

Value = bool | int | float
Text = Mapping[str | None, Template]
"""A template for each language; None: for any other."""


@dataclass(frozen=True)
class Pictures:
    """Addresses of pictures, in their order: a template for each, by language. Paths are meant from the campaign's
    folder; a template whose cell holds several addresses, with | between them, gives all of them."""

    by_language: Mapping[str | None, tuple[Template, ...]]


Content = Text | Value | Pictures


def templates_of(content: Content) -> Mapping[str | None, tuple[Template, ...]]:
    """The templates of texts and pictures, by language; a number has none."""
    if isinstance(content, Pictures):
        return content.by_language
    if isinstance(content, Mapping):
        return {language: (template,) for language, template in content.items()}
    return {}


def read_content(name: str, value: Any, where: str, problems: list[str]) -> Content | None:
    """What a column called `name` gets; None where it cannot be read, with the reason in `problems`."""
    return _pictures(value, where, problems) if name in PICTURES else _text_or_value(value, where, problems)


def _text_or_value(value: Any, where: str, problems: list[str]) -> Text | Value | None:
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


def _pictures(value: Any, where: str, problems: list[str]) -> Pictures | None:
    lists = {
        language: [one] if isinstance(one, str) else one
        for language, one in (value if isinstance(value, dict) else {None: value}).items()
    }
    if not all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in lists.values()):
        problems.append(
            f'{where} must be a picture\'s path with columns in it, such as "photos/{{sku}}.png", or a list of them.'
        )
        return None
    try:
        return Pictures({key: tuple(Template.parse(text, where) for text in one) for key, one in lists.items()})
    except JobError as error:
        problems += error.problems
        return None


def why_not_in_columns(name: str, value: Any) -> str:
    """Why `[columns]` may not have a column of this name, and what to write instead; "" where it may."""
    if name in ("prompt", "seed_from"):
        return f"stands by itself: write {name} = … at the top of the file, before [axes]."
    if name == "custom_id":
        return (
            "is made of the values of all axes, so that no two rows are called alike: leave it out, and name pictures "
            "with `name`."
        )
    if name not in RESERVED:
        return ""
    why = "is a column of the results, in which yours come back"
    if name == "image":
        shown = f'"{shortened(value, 40)}"' if isinstance(value, str) else '"photos/{sku}.png"'
        return f"{why}; for a reference picture write references = {shown}, for anything else choose another name."
    return f"{why}; choose another name, such as campaign_{name}."


def unknown(what: str, name: str, known: Sequence[str], verb: str = "is no setting") -> str:
    """A sentence about a name that nothing has, with what may have been meant."""
    near = difflib.get_close_matches(name, known, 1)
    return f"{what} {verb}; " + (f"did you mean “{near[0]}”?" if near else f"there are {first_of(sorted(known), 50)}.")
