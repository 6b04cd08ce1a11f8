"""Options of types that they cannot have."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pressrun.jobs.spec.job_spec import JobSpec
from pressrun.jobs.spec.option_types import odd_options, without


def test_what_a_spec_has_by_default_is_right() -> None:
    assert odd_options(JobSpec("catalog.parquet", "out")) == {}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("max_images", "3", "`max_images` is the text “3”; give a whole number or None."),
        ("limit", 2.5, "`limit` is 2.5; give a whole number or None."),
        ("limit", True, "`limit` is True; give a whole number or None."),
        ("sign", "no", "`sign` is the text “no”; give True or False."),
        ("wait", 1, "`wait` is 1; give True or False."),
        ("format", None, "`format` is None; give a text."),
        ("model", ["mini"], "`model` is of type list; give a text."),
        ("max_failures", 0.05, "`max_failures` is 0.05; give a whole number or a text or None."),
        ("max_minutes", "5", "`max_minutes` is the text “5”; give a number or None."),
        ("allow_hosts", "dam", "`allow_hosts` is the text “dam”; give a list of texts."),
        ("allow_hosts", ["dam", 8], "`allow_hosts` is a list that holds 8; give a list of texts."),
        ("out", None, "`out` is missing: name the folder or s3://bucket/prefix that the pictures go into."),
        ("out", b"x", "`out` is of type bytes; give a text."),
    ],
)
def test_an_odd_option_is_told_with_what_it_is_and_what_it_may_be(name: str, value: Any, sentence: str) -> None:
    odd = odd_options(JobSpec(**{"manifest": "m.parquet", "out": "out", name: value}))
    assert odd == {name: sentence}


def test_without_its_odd_options_a_spec_is_right() -> None:
    names = [field.name for field in fields(JobSpec) if field.name != "manifest"]
    spec = JobSpec("m.parquet", **dict.fromkeys(names, object()))  # type: ignore[arg-type]
    odd = odd_options(spec)
    assert list(odd) == names
    assert odd_options(without(spec, odd)) == {}


def test_paths_and_numbers_of_numpy_are_taken_for_what_they_are() -> None:
    options: dict[str, Any] = {"limit": np.int64(3), "max_minutes": np.float32(0.5), "allow_hosts": ["dam"]}
    spec = JobSpec(Path("in/m.parquet"), Path("out"), **options)  # type: ignore[arg-type]
    assert (spec.manifest, spec.out, spec.limit, spec.max_minutes) == ("in/m.parquet", "out", 3, 0.5)
    assert spec.allow_hosts == ("dam",)
    assert odd_options(spec) == {}


def test_an_address_that_a_path_has_spoilt_is_an_address_again() -> None:
    assert JobSpec("m.parquet", Path("s3://shop/run-1")).out == "s3://shop/run-1"  # type: ignore[arg-type]
