"""The header once more, where files were put together, is no row."""

import pytest

from pressrun.jobs.tables.csv_reader import read_csv
from pressrun.jobs.tables.table_notes import notes_of
from pressrun.pipeline.errors import JobError


@pytest.mark.parametrize("again", ["custom_id,prompt", "\ufeffcustom_id, prompt "])
def test_a_header_that_comes_again_is_skipped_and_said(again: str) -> None:
    table = read_csv(f"custom_id,prompt\na,x\n{again}\nb,y\n".encode(), "m.csv", None, 1 << 24)
    assert table["custom_id"].to_pylist() == ["a", "b"]
    assert notes_of(table) == (
        "“m.csv” names its columns again in row 2, as where several files were put together; what names columns is "
        "skipped and not counted.",
    )


def test_a_header_that_comes_again_in_another_order_is_refused() -> None:
    with pytest.raises(JobError, match=r"Row 2 of “m\.csv” names the columns again, in another order"):
        read_csv(b"custom_id,prompt\na,x\nprompt,custom_id\ny,b\n", "m.csv", None, 1 << 24)


@pytest.mark.parametrize("content", ["prompt\nprompt\n", "sku,prompt\nsku,a red prompt\n"])
def test_a_row_that_has_a_columns_name_in_it_is_a_row(content: str) -> None:
    assert read_csv(content.encode(), "m.csv", None, 1 << 24).num_rows == 1
