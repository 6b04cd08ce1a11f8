"""Tables of others: those with a log of their own are refused by name, columns in folder names are read."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pressrun.jobs.manifest.manifest import normalise, read_manifest
from pressrun.jobs.tables.table_notes import notes_of
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
    "Iceberg without its newest log": "metadata/snap-7-1-aa.avro",
    "Iceberg's lists of files": "metadata/aa-m0.avro",
    "Hudi": ".hoodie/hoodie.properties",
    "Spark Structured Streaming": "_spark_metadata/0",
    "Paimon": "snapshot/snapshot-1",
}


@pytest.mark.parametrize("log", LOGS.values(), ids=LOGS)
@pytest.mark.parametrize(
    "asked",
    ["shop/catalog", "shop", "shop/catalog/data", "shop/catalog/data/2026/01", "shop/catalog/data/2026/season=fall"],
    ids=lambda path: path,
)
def test_a_table_with_a_log_is_refused_by_name(log: str, asked: str, tmp_path: Path) -> None:
    catalog = tmp_path / "shop" / "catalog"
    for folder in ("season=fall", "2026/01", "2026/season=fall"):
        put(catalog / "data" / folder / "part-0.parquet", ["discontinued"])
    (catalog / log).parent.mkdir()
    (catalog / log).write_text("{}")
    message = refusal(tmp_path / asked)
    assert next(name for name in LOGS if LOGS[name] == log).partition(" ")[0].rstrip(",'s") in message
    assert "'s or a part of one, and only its log says which files count" in message
    assert "shop/catalog" in message and "export its rows as Parquet" in message


@pytest.mark.parametrize(
    ("paths", "kind"),
    [
        (["2026/01/01/.hoodie_partition_metadata", "2026/01/01/a.parquet"], "Hudi"),
        (["ducklake-0195-aa.parquet", "ducklake-0195-bb-delete.parquet"], "DuckLake"),
        (["base_0000001/a.parquet", "delete_delta_0000002_0000002_0000/b.parquet"], "Hive"),
        (["delta_0000001_0000001/a.parquet"], "Hive"),
    ],
)
def test_a_table_whose_files_show_what_they_are_is_refused_by_name(paths: list[str], kind: str, tmp_path: Path) -> None:
    for path in paths:
        put(tmp_path / path, ["discontinued"])
    assert f"is a table of {kind}'s or a part of one" in refusal(tmp_path)


def test_a_link_into_a_table_is_a_part_of_it(tmp_path: Path) -> None:
    put(tmp_path / "table" / "sub" / "part-0.parquet", ["discontinued"])
    (tmp_path / "table" / "_delta_log").mkdir()
    (tmp_path / "table" / "_delta_log" / "0.json").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "table" / "sub")
    assert "is a table of Delta's" in refusal(tmp_path / "link")


@pytest.mark.parametrize("asked", ["", "/", "/data", "/data/2026/01"])
@pytest.mark.parametrize("log", ["_delta_log/0.json", "metadata/v1.metadata.json"])
def test_a_table_with_a_log_in_a_bucket_is_refused_by_name(
    log: str, asked: str, s3_bucket: str, s3, tmp_path: Path
) -> None:
    put(tmp_path / "m.parquet", ["discontinued"])
    part = (tmp_path / "m.parquet").read_bytes()
    for key, body in ((log, b"{}"), ("data/part-0.parquet", part), ("data/2026/01/part-0.parquet", part)):
        s3.client.put_object(Bucket=s3_bucket.removeprefix("s3://"), Key=f"catalog/{key}", Body=body)
    with pytest.raises(JobError, match=r"is a table of (Delta|Iceberg)'s"):
        read_manifest(stores(), f"{s3_bucket}/catalog{asked}")


def test_a_folder_called_metadata_makes_no_table(tmp_path: Path) -> None:
    put(tmp_path / "part-0.parquet", ["a"])
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "notes.json").write_text("{}")
    (tmp_path / "metadata" / "columns.avro").write_text("{}")
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
    assert "The parts “0.parquet” and “year=1/0.parquet” have different columns (only one has “year”)" in refusal(
        tmp_path
    )


def test_parts_whose_columns_have_another_order_are_read_by_name(tmp_path: Path) -> None:
    put(tmp_path / "a.parquet", ["a"], x=[1], y=[2])
    pq.write_table(pa.table({"y": [4], "x": [3], "prompt": ["p"], "custom_id": ["b"]}), tmp_path / "b.parquet")
    assert read_table(stores(), str(tmp_path)).select(["custom_id", "x", "y"]).to_pylist() == [
        {"custom_id": "a", "x": 1, "y": 2},
        {"custom_id": "b", "x": 3, "y": 4},
    ]


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


def test_other_files_beside_the_parts_are_said(tmp_path: Path) -> None:
    put(tmp_path / "a.parquet", ["a"])
    for path in (
        "b.csv",
        "c/d.parquet.gz",
        "e.parquet.part",
        "q.png",
        ".f.parquet.inprogress",
        "_SUCCESS",
        "Thumbs.db",
    ):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
    table = read_table(stores(), str(tmp_path))
    assert table.num_rows == 1
    assert notes_of(table) == (
        f"Of the folder “{tmp_path.name}” Parquet files are read, not b.csv, c/d.parquet.gz, e.parquet.part.",
    )
