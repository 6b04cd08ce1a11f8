"""Tables of others: those with a log of their own are refused by name, columns in folder names are read."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pressrun.jobs.manifest.manifest import normalise, read_manifest
from pressrun.jobs.tables.table_reader import read_table
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import Model
from tests.opening import stores

MODEL = Model("mini", "flux2-klein", steps=10, guidance=1.0, width=128, height=96, max_pixels=512 * 512)


def put(path: Path, custom_ids: list[str], **columns: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"custom_id": custom_ids, "prompt": ["a red mug"] * len(custom_ids), **columns}), path)


def refusal(place: Path | str) -> str:
    with pytest.raises(JobError) as refused:
        read_table(stores(), str(place))
    return str(refused.value)


LOGS = {
    "Delta": "_delta_log/00000000000000000000.json",
    "Iceberg": "metadata/v2.metadata.json",
    "Iceberg of Hadoop": "metadata/version-hint.text",
    "Iceberg, compressed": "metadata/00001-aa.metadata.json.gz",
    "Hudi": ".hoodie/hoodie.properties",
}


@pytest.mark.parametrize("log", LOGS.values(), ids=LOGS)
@pytest.mark.parametrize(
    "asked", ["shop/catalog", "shop", "shop/catalog/data", "shop/catalog/data/season=fall"], ids=lambda path: path
)
def test_a_table_with_a_log_is_refused_by_name(log: str, asked: str, tmp_path: Path) -> None:
    catalog = tmp_path / "shop" / "catalog"
    put(catalog / "data" / "season=fall" / "part-0.parquet", ["discontinued"])
    (catalog / log).parent.mkdir()
    (catalog / log).write_text("{}")
    [kind] = [kind for kind in ("Delta", "Iceberg", "Hudi") if f"is a table of {kind}'s" in refusal(tmp_path / asked)]
    assert LOGS.get(kind, log) == log or kind == "Iceberg"
    assert "shop/catalog" in refusal(tmp_path / asked) and "export its rows as Parquet" in refusal(tmp_path / asked)


@pytest.mark.parametrize("asked", ["", "/", "/data"])
@pytest.mark.parametrize("log", ["_delta_log/0.json", "metadata/v1.metadata.json"])
def test_a_table_with_a_log_in_a_bucket_is_refused_by_name(
    log: str, asked: str, s3_bucket: str, s3, tmp_path: Path
) -> None:
    put(tmp_path / "m.parquet", ["discontinued"])
    for key, body in ((log, b"{}"), ("data/part-0.parquet", (tmp_path / "m.parquet").read_bytes())):
        s3.client.put_object(Bucket=s3_bucket.removeprefix("s3://"), Key=f"catalog/{key}", Body=body)
    with pytest.raises(JobError, match=r"is a table of (Delta|Iceberg)'s"):
        read_manifest(stores(), f"{s3_bucket}/catalog{asked}")


def test_a_folder_called_metadata_makes_no_table(tmp_path: Path) -> None:
    put(tmp_path / "part-0.parquet", ["a"])
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "notes.json").write_text("{}")
    assert read_table(stores(), str(tmp_path)).num_rows == 1


# Columns in folder names


def test_columns_in_folder_names_are_read(tmp_path: Path) -> None:
    put(tmp_path / "season=fall" / "region=DE%2FAT" / "part-0.parquet", ["a", "b"])
    put(tmp_path / "season=__HIVE_DEFAULT_PARTITION__" / "region=caf%C3%A9%20%3D1" / "part-0.parquet", ["c"])
    assert read_table(stores(), str(tmp_path)).select(["custom_id", "season", "region"]).to_pylist() == [
        {"custom_id": "c", "season": None, "region": "café =1"},
        {"custom_id": "a", "season": "fall", "region": "DE/AT"},
        {"custom_id": "b", "season": "fall", "region": "DE/AT"},
    ]


def test_columns_in_folder_names_are_read_from_a_bucket(s3_bucket: str, s3, tmp_path: Path) -> None:
    put(tmp_path / "m.parquet", ["a"])
    for season in ("fall", "spring%2Fsummer"):
        key = f"hive/season={season}/part-0.parquet"
        s3.client.put_object(Bucket=s3_bucket[5:], Key=key, Body=(tmp_path / "m.parquet").read_bytes())
    assert read_table(stores(), f"{s3_bucket}/hive")["season"].to_pylist() == ["fall", "spring/summer"]


def test_numbers_in_folder_names_are_ours(tmp_path: Path) -> None:
    put(tmp_path / "width=64" / "steps=2" / "0.parquet", ["a"])
    put(tmp_path / "width=1,000" / "steps=4" / "0.parquet", ["b"])
    manifest = normalise(read_table(stores(), str(tmp_path)), MODEL, str(tmp_path))
    assert manifest.table["steps"].to_pylist() == [4, 2] and manifest.bad["row"].to_pylist() == [0]
    assert manifest.table["width"].to_pylist() == [None, 64]


@pytest.mark.parametrize(
    ("folder", "column"),
    [
        ("year=2026", pa.array([2026, 2026], pa.int32())),
        ("year=2026", pa.array(["2026", "2026"])),
        ("day=2026-01-31", pa.array([20484, 20484], pa.date32())),
        ("year=__HIVE_DEFAULT_PARTITION__", pa.nulls(2, pa.int32())),
    ],
    ids=["number", "text", "day", "nothing"],
)
def test_a_column_that_stands_in_the_file_as_well_may_agree(folder: str, column: pa.Array, tmp_path: Path) -> None:
    name = folder.partition("=")[0]
    put(tmp_path / folder / "0.parquet", ["a", "b"], **{name: column})
    assert read_table(stores(), str(tmp_path))[name].combine_chunks().equals(column)


@pytest.mark.parametrize(
    "column", [pa.array([2025, 2026]), pa.array([2026, None]), pa.array(["x", "2026"]), pa.array([[2026], [2026]])]
)
def test_a_column_that_says_something_else_is_refused(column: pa.Array, tmp_path: Path) -> None:
    put(tmp_path / "year=2026" / "0.parquet", ["a", "b"], year=column)
    assert "stands in the folder “year=2026”, but holds other values in its column “year”" in refusal(tmp_path)


def test_a_column_named_twice_on_the_way_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "year=1" / "year=2" / "0.parquet", ["a"])
    assert "“year=2”, but holds other values" in refusal(tmp_path)


def test_parts_of_other_columns_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "year=1" / "0.parquet", ["a"])
    put(tmp_path / "0.parquet", ["b"])
    assert "different columns" in refusal(tmp_path)


def test_a_name_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "season=%FF" / "0.parquet", ["a"])
    assert "bytes that are no UTF-8" in refusal(tmp_path)


def test_what_a_writer_keeps_for_itself_is_left_out_as_by_spark(tmp_path: Path) -> None:
    put(tmp_path / "_season=fall" / "part-0.parquet", ["a"])
    for path in ("_season=fall/_part-1.parquet", "_season=fall/.part-0.parquet", "_temporary/0/part-0.parquet"):
        put(tmp_path / path, ["unwanted"])
    for path in ("_SUCCESS", "_metadata", "_common_metadata", "_season=fall/.part-0.parquet.crc", ".DS_Store"):
        (tmp_path / path).write_bytes(b"x")
    assert read_table(stores(), str(tmp_path)).select(["custom_id", "_season"]).to_pylist() == [
        {"custom_id": "a", "_season": "fall"}
    ]
