"""Which columns a contact sheet filters by."""

import pyarrow as pa
import pytest

from pressrun.jobs.reports.facets import Candidate, choose_facets


def candidate(name: str, *cells: bool | int | float | str | None, type: pa.DataType | None = None) -> Candidate:
    values = list(dict.fromkeys(cells))
    return Candidate(name, type or pa.string(), values, [values.index(cell) for cell in cells])


def chosen(*candidates: Candidate) -> list[str]:
    return choose_facets(candidates)


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param(("mug", "lamp") * 6, id="words"),
        pytest.param(("Stoneware mug, ocean blue", "Brass desk lamp") * 6, id="names"),
        pytest.param((2025, 2026, 2026) * 4, id="years"),
        pytest.param(("38", "39", "42.5") * 4, id="sizes"),
        pytest.param((True, False) * 6, id="booleans"),
        pytest.param((None, "yes", None) * 4, id="mostly nothing"),
        pytest.param(("a", "b", "c") * 4 + ("d",), id="one value once"),
    ],
)
def test_a_column_of_few_values_that_several_rows_have_is_a_facet(cells: tuple[bool | int | str | None, ...]) -> None:
    assert chosen(candidate("theirs", *cells)) == ["theirs"]


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param(("£79", "89,00 €", "12,800円") * 4, id="prices"),
        pytest.param(("CHF 12.90", "79.00", "USD 9") * 4, id="amounts"),
        pytest.param((19.99, 5.0) * 6, id="floats"),
        pytest.param(("Out into the green.", "Den ganzen Tag draußen!", "緑の中へ、出かけよう。") * 4, id="headlines"),
        pytest.param(("Warm up your mornings with it", "All day long on the beach") * 6, id="many words"),
        pytest.param(("x" * 40, "y" * 40) * 6, id="long texts"),
        pytest.param(("https://a.example/x", "https://a.example/y") * 6, id="addresses"),
        pytest.param(("shots/a.psd", "shots/b.psd") * 6, id="files"),
        pytest.param(("a", "b", "c", "d"), id="each row its own"),
        pytest.param(("a",) * 9 + ("b", "c", "d"), id="nearly unique"),
        pytest.param(tuple(map(str, range(60))) * 3, id="many values"),
        pytest.param(("a",) * 12, id="one value"),
    ],
)
def test_a_column_that_measures_describes_or_names_is_none(cells: tuple[float | str, ...]) -> None:
    assert chosen(candidate("theirs", *cells)) == []


def test_decimals_are_none_whatever_their_text() -> None:
    assert chosen(candidate("rate", "1.5", "2.5", "1.5", "2.5", type=pa.decimal128(4, 1))) == []


def test_of_columns_that_divide_the_rows_alike_the_first_of_words_is_the_facet() -> None:
    sku, product = candidate("sku", *("MUG-01", "CAP-02") * 4), candidate("product", *("mug", "cap") * 4)
    colour, season = candidate("colour", *("red", "blue") * 4), candidate("season", *(*["spring"] * 4, *["fall"] * 4))
    assert chosen(sku, product, colour, season) == ["product", "season"]


def test_the_most_useful_facet_comes_first() -> None:
    many = candidate("article", *(f"article {chr(97 + number % 20)}" for number in range(60)))
    lopsided = candidate("proof", *("no",) * 58, "yes", "yes")
    even = candidate("region", *("UK", "DE", "JP") * 20)
    assert chosen(many, lopsided, even) == ["region", "proof", "article"]
