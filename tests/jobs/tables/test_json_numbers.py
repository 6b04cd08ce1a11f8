"""No number of a customer's is rounded in silence: what floating point does not hold stays what was written."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pressrun.jobs.tables.json_lines import read_json_lines
from pressrun.jobs.tables.table_notes import notes_of


def column(*cells: str) -> tuple[list[Any], tuple[str, ...]]:
    """What becomes of a customer's key with these cells, given as JSON, and what is said."""
    lines = (f'{{"custom_id": "{n}", "gtin": {cell}}}' for n, cell in enumerate(cells))
    table = read_json_lines("\n".join(lines).encode(), "m.jsonl", None, 1 << 24)
    return table["gtin"].to_pylist(), notes_of(table)


@pytest.mark.parametrize(
    ("cells", "lost"),
    [
        (["12345678901234567890", "12345678901234567891"], "12345678901234567890"),
        (["1.5", "9007199254740993"], "9007199254740993"),
        (["1.5", "-9007199254740993.0"], "-9007199254740993.0"),
        (["1.5", "1234567890123456.7"], "1234567890123456.7"),
        (["[9007199254740993, 1.5]", "[12345678901234567890]"], "9007199254740993"),
        (['{"id": 12345678901234567890}', "null"], "12345678901234567890"),
        (['{"a": [{"b": 12345678901234567890}]}'], "12345678901234567890"),
        (["0.1234567890123456789012", "1"], "0.1234567890123456789012"),
        (["1234.123456789012345678"], "1234.123456789012345678"),
        (["1e400"], "1e400"),
        (["1e-999"], "1e-999"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_number_that_would_be_rounded_stays_as_it_is_written(cells: list[str], lost: str) -> None:
    kept, [note] = column(*cells)
    assert kept == [None if cell == "null" else cell for cell in cells]
    assert note == f"Column “gtin” is carried along as text: as a number {lost} would be rounded."


@pytest.mark.parametrize(
    "cell",
    [
        *("1.10", "1e2", "-0.0", "0.30000000000000004", "0.8414709848078965", "1.2345678901234567e+19", "1e22"),
        *("0.10000000000000001", "0.10000000000000000555", "2251799813685249.5", "[9007199254740992, 0.5]"),
        *("9223372036854775807", '{"id": 9007199254740993, "price": 0.5}'),
    ],
)
def test_a_number_that_floating_point_holds_is_one(cell: str) -> None:
    assert column(cell) == ([json.loads(cell)], ())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_what_a_program_writes_of_its_floats_is_read_as_floats(floats: list[float]) -> None:
    for form in (repr, "{:.17g}".format):
        kept, notes = column(
            "0.5", *(text if "." in text or "e" in text else f"{text}.0" for text in map(form, floats))
        )
        assert kept == [0.5, *floats] and notes == ()
