"""Options of a type that they cannot have: Python lets anybody write `max_images="3"`."""

import os
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from typing import Any, get_args, get_origin, get_type_hints

from pressrun.jobs.spec.job_spec import JobSpec
from pressrun.jobs.text.wording import shortened

_WORDS: Mapping[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
    tuple: "a list of texts",
    types.NoneType: "None",
}


def odd_options(spec: JobSpec) -> dict[str, str]:
    """The options whose type is wrong, each with a sentence that says so. The manifest is its reader's business."""
    kinds = get_type_hints(JobSpec)
    told = {}
    for field in fields(JobSpec):
        value, wanted = getattr(spec, field.name), _alternatives(kinds[field.name])
        if field.name != "manifest" and not any(_is(value, kind) for kind in wanted):
            words = " or ".join(_WORDS[get_origin(kind) or kind] for kind in wanted)
            told[field.name] = f"`{field.name}` is {_shown(value)}; give {words}."
    if spec.out is None:
        told["out"] = "`out` is missing: name the folder or s3://bucket/prefix that the pictures go into."
    return told


def without(spec: JobSpec, odd: Mapping[str, str]) -> JobSpec:
    """The spec with defaults in the place of odd options, so that what else is wrong with it can be found as well."""
    defaults = {field.name: field.default for field in fields(JobSpec) if field.default is not MISSING}
    defaults["out"] = os.curdir
    if "out" in odd:
        defaults["since"] = None  # earlier jobs are those beside `out`
        odd = {**odd, "since": ""}
    changes: dict[str, Any] = {name: defaults[name] for name in odd}
    return replace(spec, **changes)


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _is(value: object, kind: Any) -> bool:
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(isinstance(one, str) for one in value)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def _shown(value: object) -> str:
    """A value with the name of its kind: texts in quotation marks, so that "3" is told from 3."""
    if isinstance(value, str):
        return f"the text “{shortened(value)}”"
    if value is None or isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, tuple):
        return f"a list that holds {_first_odd(value)}"
    return f"of type {shortened(type(value).__name__)}"


def _first_odd(values: tuple[object, ...]) -> str:
    """The first of several values that is no text."""
    return next((_shown(value) for value in values if not isinstance(value, str)), "texts")
