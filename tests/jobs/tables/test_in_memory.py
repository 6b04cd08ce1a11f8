"""Tables in memory: whatever hands over Arrow, and lists of dicts, become what the same rows in a file are."""

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pressrun.cluster.store.opening import Stores
from pressrun.jobs.tables.in_memory import table_of
from pressrun.jobs.tables.table_reader import read_table
from pressrun.pipeline.errors import JobError


class Frame:
    """Hands over a table as pandas does, with the metadata that pandas writes about its index."""

    def __init__(self, table: pa.Table, index: list[Any]) -> None:
        import json

        self._table = table.replace_schema_metadata({"pandas": json.dumps({"index_columns": index})})

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def odd_frame() -> pl.DataFrame:
    """Every way in which polars holds texts: as views, in categories, in lists of either."""
    return pl.DataFrame(
        {
            "custom_id": ["a", "b"],
            "prompt": ["a mug", None],
            "season": pl.Series(["fall", None], dtype=pl.Categorical),
            "region": pl.Series(["north", "south"], dtype=pl.Enum(["north", "south"])),
            "references": [["mug.png", "é.png"], None],
            "tags": pl.Series([["new"], []], dtype=pl.List(pl.Categorical)),
            "size": [{"unit": "cm", "value": 3}, None],
            "raw": [b"\x00", None],
            "pair": pl.Series([["x", "y"], None], dtype=pl.Array(pl.String, 2)),
        }
    )


def test_a_frame_of_polars_has_the_types_that_it_has_as_a_file(tmp_path: Path) -> None:
    frame = odd_frame()
    frame.drop("pair").write_parquet(tmp_path / "frame.parquet")
    filed = read_table(Stores(), str(tmp_path / "frame.parquet"))
    table = table_of(frame)
    assert table.drop_columns(["pair"]).to_pylist() == filed.to_pylist() == frame.drop("pair").to_dicts()
    for name in ("custom_id", "prompt", "season", "region"):
        assert table.schema.field(name).type == filed.schema.field(name).type == pa.string()
    assert table["pair"].to_pylist() == [["x", "y"], None]


def test_an_index_without_a_name_is_no_column() -> None:
    table = pa.table({"custom_id": ["a"], "__index_level_0__": [7]})
    assert table_of(Frame(table, ["__index_level_0__"])).column_names == ["custom_id"]
    assert table_of(Frame(table, [{"kind": "range"}])).column_names == table.column_names


def test_an_index_with_a_name_is_a_column() -> None:
    table = pa.table({"prompt": ["a mug"], "custom_id": ["a"]})
    assert table_of(Frame(table, ["custom_id"])).column_names == ["prompt", "custom_id"]


def test_a_frame_of_pandas_is_read_where_pandas_is() -> None:
    pandas = pytest.importorskip("pandas")
    data = {"custom_id": ["a", "b"], "season": pandas.Categorical(["fall", None]), "seed": [1, None]}
    table = table_of(pandas.DataFrame(data, index=[5, 7]))
    assert table.to_pylist() == [
        {"custom_id": "a", "season": "fall", "seed": 1},
        {"custom_id": "b", "season": None, "seed": None},
    ]
    assert table.schema.field("season").type == pa.string()
    with pytest.raises(JobError, match=r"DataFrame .* column custom_id .* values of one kind"):
        table_of(pandas.DataFrame({"custom_id": [1, "b"]}))


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.large_string())])
def test_texts_are_texts_however_arrow_holds_them(kind: pa.DataType) -> None:
    table = table_of(pa.table({"custom_id": pa.array(["a", None], kind)}))
    assert table.schema.types == [pa.string()]
    assert table["custom_id"].to_pylist() == ["a", None]


def test_a_batch_and_a_reader_of_batches_are_tables() -> None:
    batch = pa.record_batch({"custom_id": ["a"]})
    for rows in (batch, pa.RecordBatchReader.from_batches(batch.schema, [batch])):
        assert table_of(rows).to_pylist() == [{"custom_id": "a"}]


def test_the_columns_of_dicts_are_their_keys_in_the_order_in_which_they_come() -> None:
    table = table_of([{"custom_id": 1, "prompt": "a"}, {"sku": None, "custom_id": 2, "references": [Path("a.png")]}])
    assert table.column_names == ["custom_id", "prompt", "sku", "references"]
    assert table.to_pylist()[1] == {"custom_id": 2, "prompt": None, "sku": None, "references": ["a.png"]}


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        pytest.param(3, "`manifest` is of type int; give a path, an Arrow table", id="a number"),
        pytest.param({"custom_id": "a"}, "`manifest` is of type dict", id="one row"),
        pytest.param(pl.LazyFrame({"a": [1]}), "`manifest` is of type LazyFrame", id="nothing read yet"),
        pytest.param([{"a": 1}, ["b"]], "entry 2 is of type list; give a dict", id="a row that is a list"),
        pytest.param([{1: "a"}], "the key 1, which is no text", id="a name that is a number"),
        pytest.param([{"a": 1}, {"a": "b"}], "Column “a” has values that make no column", id="several kinds"),
        pytest.param([{"a": object()}], "Column “a” has values that make no column", id="an object"),
        pytest.param([{"a": "\ud800"}], "Column “a” has values that make no column", id="no character"),
        pytest.param([{"a": 2**70}], "Column “a” has values that make no column", id="a number too large"),
        pytest.param(pl.Series([1]), "The Series that `manifest` is cannot be read as a table", id="a column"),
    ],
)
def test_what_is_no_table_is_refused_with_a_sentence(rows: object, sentence: str) -> None:
    with pytest.raises(JobError) as refused:
        table_of(rows)
    assert sentence in str(refused.value)
    assert refused.value.code == "bad_manifest"


def test_a_table_that_is_too_large_is_refused() -> None:
    with pytest.raises(JobError, match="more than 1 MiB of memory") as refused:
        table_of(pa.table({"a": pa.array(["x" * 2_000_000])}), 1 << 20)
    assert refused.value.code == "manifest_too_large"


def test_a_table_of_arrow_has_the_types_that_it_has_as_a_file(tmp_path: Path) -> None:
    table = pa.table({"custom_id": pa.array(["a"], pa.large_string()), "n": [1]})
    pq.write_table(table, tmp_path / "t.parquet")
    assert table_of(table).schema == read_table(Stores(), str(tmp_path / "t.parquet")).schema
