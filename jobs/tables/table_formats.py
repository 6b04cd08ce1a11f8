"""Folders that are more than their Parquet files: tables with a log of their own, and columns in the folders' names.

The log of a Delta, Iceberg, Hudi or Paimon table says which of its files count. Read file by file, rows that were
deleted or changed long ago would be rendered, so such a folder is refused by name.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.text.wording import shortened
from pressrun.pipeline.errors import JobError

_LOGS = (
    ("Delta", re.compile(r"(?:^|/)_delta_log(?:/|$)")),
    (
        "Iceberg",
        re.compile(
            r"(?:^|/)metadata/(?:[^/]+\.metadata\.json(?:\.gz)?|version-hint\.text|snap-[^/]+\.avro|[^/]+-m\d+\.avro)$"
        ),
    ),
    ("Hudi", re.compile(r"(?:^|/)(?:\.hoodie(?:/|$)|\.hoodie_partition_metadata(?:\.[a-z]+)?$)")),
    ("Spark Structured Streaming", re.compile(r"(?:^|/)_spark_metadata(?:/|$)")),
    ("Paimon", re.compile(r"(?:^|/)snapshot/snapshot-\d+$")),
    ("DuckLake", re.compile(r"(?:^|/)ducklake-[0-9a-f][0-9a-f-]*\.parquet$|(?:^|/)ducklake-[^/]*-delete\.parquet$")),
    ("Hive", re.compile(r"(?:^|/)(?:base_\d{7}|(?:delete_)?delta_\d{7}_\d{7})[^/]*/")),
)

LOG_FOLDERS = ("_delta_log/", "metadata/", ".hoodie/", "_spark_metadata/", "snapshot/")
"""Where the logs stand in a table's folder."""

_OUTER = 8
"""Folders above the one that was named in which a log is looked for: tables are parted by year, month, day and more."""

_NOTHING = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark write in a folder's name for null."""


def refuse_logged(paths: Iterable[str], uri: str) -> None:
    """Raise JobError where the `paths` below `uri` show that it is, or holds, a table with a log of its own."""
    for path in paths:
        for kind, log in _LOGS:
            if found := log.search(path):
                inside = path[: found.start()]
                place = f"{uri.rstrip('/')}/{inside}" if inside else uri
                raise JobError(
                    f"“{shortened(place, 300)}” is a table of {kind}'s or a part of one, and only its log says which "
                    "files count; "
                    f"export its rows as Parquet into a folder of their own ({_EXPORT[kind]}), and give that.",
                    code="bad_manifest",
                )


_EXPORT = {
    "Delta": 'spark.read.format("delta").load(…).write.parquet(…), or DeltaTable(…).to_pyarrow_table()',
    "Iceberg": "spark.table(…).write.parquet(…), or pyiceberg's table.scan().to_arrow()",
    "Hudi": 'spark.read.format("hudi").load(…).write.parquet(…)',
    "Spark Structured Streaming": "spark.read.parquet(…).write.parquet(…)",
    "Paimon": "spark.table(…).write.parquet(…)",
    "DuckLake": "COPY (FROM …) TO 'export.parquet'",
    "Hive": "INSERT OVERWRITE DIRECTORY … STORED AS PARQUET SELECT …",
}


def outer_folders(uri: str) -> list[str]:
    """The folders that a folder may be a part of, the nearest first: a table may keep its files at any depth."""
    found: list[str] = []
    while "/" in uri.rstrip("/") and len(found) < _OUTER:
        uri = uri.rstrip("/").rpartition("/")[0]
        if not uri.strip("/") or uri.endswith(":/"):
            break
        found.append(uri)
    return found


def is_hidden(path: str) -> bool:
    """Whether a path below a table's folder is a writer's own business (`_SUCCESS`, `.part-0.parquet.crc`), as for
    Spark: what starts with `.`, or with `_` and names no column."""
    return any(part.startswith(".") or (part.startswith("_") and not _partition(part)) for part in path.split("/"))


def with_partitions(table: pa.Table, path: str, name: str) -> pa.Table:
    """`table`, which is the file at `path`, with the columns that its folders name (`season=fall/part-0.parquet`).

    Values are texts, percent-decoded as Hive encodes them; `name` is what messages call the file. Raises JobError where
    the file, or another of its folders, says something else in a column of that name.
    """
    for part in path.split("/")[:-1]:
        if not (found := _partition(part)):
            continue
        column, value = found
        if column not in table.column_names:
            table = table.append_column(column, pa.repeat(pa.scalar(value, pa.string()), table.num_rows))
        elif table.column_names.count(column) == 1 and not _agrees(table[column], value):
            raise JobError(
                f"“{name}” stands in the folder “{shortened(part, 300)}”, but holds other values in its column "
                f"“{shortened(column, 300)}”; which of them is meant only you can say: leave one out.",
                code="bad_manifest",
            )
    return table


def _partition(part: str) -> tuple[str, str | None] | None:
    """The column and value that a folder's name stands for, if it does."""
    column, equals, value = part.partition("=")
    if not column or not equals:
        return None
    try:
        return unquote(column, errors="strict"), None if value == _NOTHING else unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise JobError(
            f"The folder “{shortened(part, 300)}” names a column's value in bytes that are no UTF-8.",
            code="bad_manifest",
        ) from None


def _agrees(column: pa.ChunkedArray, value: str | None) -> bool:
    if value is None:
        return bool(column.null_count == len(column))
    try:
        wanted = pa.scalar(value, pa.string()).cast(column.type)
        return pc.all(pc.fill_null(pc.equal(column, wanted), False)).as_py() is not False
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
