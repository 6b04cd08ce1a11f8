"""A file of which less comes than there is, is no table."""

from pathlib import Path

import pytest

from pressrun.cluster.store.opening import Stores
from pressrun.jobs.tables.table_reader import read_table
from pressrun.pipeline.errors import StorageError
from tests.opening import stores

CONTENT = b"custom_id,prompt\na,a red mug\nb,a lamp\n"


class Cut(Stores):
    """Stores whose objects come without their last bytes, as behind a proxy that breaks off."""

    def read(self, uri: str, base: str | None = None) -> bytes:
        return super().read(uri, base)[:-10]


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "m.parquet", "m.xlsx"])
def test_an_object_that_ends_too_early_is_not_read(name: str, s3_bucket: str, s3) -> None:
    s3.client.put_object(Bucket=s3_bucket.removeprefix("s3://"), Key=name, Body=CONTENT)
    with pytest.raises(StorageError) as broken:
        read_table(Cut(stores().given), f"{s3_bucket}/{name}")
    assert str(broken.value) == f"Reading “{name}” ended after 28 of 38 bytes; run it again."


def test_a_whole_object_is_read(s3_bucket: str, s3, tmp_path: Path) -> None:
    s3.client.put_object(Bucket=s3_bucket.removeprefix("s3://"), Key="m.csv", Body=CONTENT)
    assert read_table(stores(), f"{s3_bucket}/m.csv").num_rows == 2
