"""What databases and Excel write for something else is read as it is meant, and said."""

import pyarrow as pa
import pytest

from pressrun.jobs.manifest.manifest import normalise
from pressrun.jobs.tables.csv_reader import read_csv
from pressrun.jobs.tables.table_notes import notes_of
from pressrun.pipeline.models.catalogue import Model

MODEL = Model("mini", "flux2-klein", steps=10, guidance=1.0, width=128, height=96, max_pixels=512 * 512)


def read(content: str) -> pa.Table:
    return read_csv(content.encode(), "m.csv", None, 1 << 24)


def test_the_null_of_a_database_is_an_empty_cell_and_said() -> None:
    table = read("custom_id\tprompt\twidth\ttitle\na\ta mug\t\\N\t\\N\nb\t\\N\t64\tx\\Ny\n")
    assert table.to_pylist() == [
        {"custom_id": "a", "prompt": "a mug", "width": None, "title": None},
        {"custom_id": "b", "prompt": None, "width": "64", "title": "x\\Ny"},
    ]
    assert notes_of(table) == (
        "“m.csv” has cells of \\N, as MySQL and PostgreSQL write that there is no value; they are read as empty "
        "(2 rows).",
    )
    assert normalise(table, MODEL, "/shop/m.csv").bad["row"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('="00123"', "00123"),
        ('"=""a mug, red"""', "a mug, red"),
        ('"=""a """"big"""" mug"""', 'a "big" mug'),
        ('=""', ""),
        ("=A1", "=A1"),
        ('"=""a""&""b"""', '="a"&"b"'),
        ('"x=""1"""', 'x="1"'),
    ],
)
def test_a_text_that_is_kept_from_excel_is_the_text(cell: str, text: str) -> None:
    table = read(f"custom_id,prompt\na,{cell}\n")
    assert table["prompt"].to_pylist() == [text]
    said = ('“m.csv” has texts that are written ="…" for Excel; they are read without these signs (1 row).',)
    assert notes_of(table) == (() if text == "=A1" or "=" in text else said)


def test_names_of_columns_are_read_so_too() -> None:
    table = read('="custom_id",="prompt"\na,b\n')
    assert table.to_pylist() == [{"custom_id": "a", "prompt": "b"}] and "the columns' names" in notes_of(table)[0]
