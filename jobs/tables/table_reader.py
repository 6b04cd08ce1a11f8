"""A customer's table, wherever it is and whatever wrote it: Parquet or a folder of its parts, JSON lines, CSV, Excel.

Read with plain pyarrow, never with Ray Data, into columns. What the cells mean is decided in
`jobs/manifest/manifest.py`.
"""

import contextlib
from itertools import islice
from pathlib import Path

import pyarrow as pa

from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.uri import escaped, is_utf8, local_path
from pressrun.jobs.folder.clutter import is_clutter
from pressrun.jobs.tables.csv_reader import read_csv
from pressrun.jobs.tables.json_lines import read_json_lines
from pressrun.jobs.tables.parquet_reader import read_parquet
from pressrun.jobs.tables.table_formats import LOG_FOLDERS, is_hidden, outer_folders, refuse_logged, with_partitions
from pressrun.jobs.tables.table_notes import noted
from pressrun.jobs.tables.workbook_reader import read_workbook
from pressrun.jobs.text.wording import first_of, shortened
from pressrun.pipeline.errors import JobError, RequestError, StorageError

DECODED_BYTES = 2 << 30
"""Bytes that a manifest may take in memory: ten million rows of 200 bytes, and no column beyond 32-bit offsets."""

MAX_PARTS = 10_000
"""Files of a folder: each is asked for by itself."""

_MAX_LOG = 1_000
"""Files of a folder that may be a log: the first of them tell whether it is one."""

PARQUET = (".parquet", ".pq")
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".bmp", ".svg")
"""Files that stand beside a manifest because its references name them."""

_WHOLE_FORMATS = {
    **dict.fromkeys((".csv", ".tsv"), read_csv),
    **dict.fromkeys((".jsonl", ".ndjson"), read_json_lines),
    **dict.fromkeys((".xlsx", ".xlsm"), read_workbook),
}
_OTHER_FORMATS = (".xls", ".xlsb", ".ods", ".numbers")


def read_table(stores: Stores, uri: str, limit: int | None = None, max_bytes: int = DECODED_BYTES) -> pa.Table:
    """The first `limit` rows (all, if None) of the table at `uri`: a file or a folder, local or in `s3://`.

    Raises JobError for what cannot be read, with the file's name, and StorageError when the store does not answer.
    """
    if _is_remote(uri):
        if not uri.endswith("/") and _remote_size(stores, uri) is not None:
            return _read_file(stores, uri, None, limit, max_bytes)
        return _read_parts(stores, uri, None, limit, max_bytes)
    local = Path(local_path(uri))
    try:
        if local.is_dir():
            return _read_parts(stores, uri, local, limit, max_bytes)
        if local.exists() and not local.is_file():
            raise JobError(f"“{shortened(uri)}” is neither a file nor a folder.", code="bad_manifest")
        return _read_file(stores, uri, local, limit, max_bytes)
    except FileNotFoundError:
        raise JobError(f"There is no manifest at “{shortened(uri)}”.", code="missing_manifest") from None
    except OSError as error:
        raise JobError(
            f"The manifest “{shortened(uri)}” cannot be read: {error.strerror}.", code="bad_manifest"
        ) from None


def manifest_place(uri: str) -> str:
    """The folder or prefix against which a manifest's relative references resolve: where its file stands."""
    if not _is_remote(uri):
        local = Path(local_path(uri))
        return str(local if local.is_dir() else local.parent)
    is_file = _ending(uri) in (*PARQUET, *_WHOLE_FORMATS) and not uri.endswith("/")
    return uri.rpartition("/")[0] if is_file else uri.rstrip("/")


def _is_remote(uri: str) -> bool:
    return uri.lower().startswith("s3://")


def _ending(uri: str) -> str:
    return Path(uri.rstrip("/")).suffix.lower()


def _name(uri: str) -> str:
    return shortened(uri.rstrip("/").rsplit("/", 1)[-1])


def _read_file(stores: Stores, uri: str, local: Path | None, limit: int | None, max_bytes: int) -> pa.Table:
    name = _name(uri)
    if _ending(uri) in _OTHER_FORMATS:
        raise JobError(
            f"“{name}” is a spreadsheet that is not read; save it as .xlsx or “CSV UTF-8”.", code="bad_manifest"
        )
    read_whole = _WHOLE_FORMATS.get(_ending(uri))
    if read_whole:
        return read_whole(_content(stores, uri, local, max_bytes), name, limit, max_bytes)
    if local is None:
        return read_parquet(pa.BufferReader(_content(stores, uri, None, max_bytes)), name, limit, max_bytes)
    with pa.OSFile(str(local)) as file:
        return read_parquet(file, name, limit, max_bytes)


def _content(stores: Stores, uri: str, local: Path | None, max_bytes: int) -> bytes:
    """A whole file's bytes. Raises JobError where there are more than `max_bytes` of it, StorageError where fewer come
    than there are."""
    size = local.stat().st_size if local else _remote_size(stores, uri) or 0
    if size > max_bytes:
        raise JobError(
            f"“{_name(uri)}” is larger than {max_bytes / 2**20:,.0f} MiB; split it into several jobs.",
            code="manifest_too_large",
        )
    content = local.read_bytes() if local else _remote_content(stores, uri)
    if len(content) < size:
        raise StorageError(f"Reading “{_name(uri)}” ended after {len(content):,} of {size:,} bytes; run it again.")
    return content


def _remote_size(stores: Stores, uri: str) -> int | None:
    """Bytes of an object; None if there is none."""
    try:
        entry = stores.entry(uri)
    except (FileNotFoundError, PermissionError, RequestError) as error:
        raise JobError(str(error), code="missing_manifest") from None
    return entry.size if entry else None


def _remote_content(stores: Stores, uri: str) -> bytes:
    try:
        return stores.read(uri)
    except (FileNotFoundError, PermissionError, RequestError) as error:
        raise JobError(str(error), code="missing_manifest") from None


def _read_parts(stores: Stores, uri: str, local: Path | None, limit: int | None, max_bytes: int) -> pa.Table:
    """The Parquet files of a folder, one below the other in the order of their names."""
    parts, others = _part_names(stores, uri, local)
    tables: list[pa.Table] = []
    rows, left = limit, max_bytes
    for part in parts:
        if rows == 0 and tables:
            break
        found = _read_file(stores, f"{uri.rstrip('/')}/{part}", local / part if local else None, rows, left)
        tables.append(with_partitions(found, part, shortened(part)))
        left = max(0, left - tables[-1].nbytes)
        rows = None if rows is None else rows - tables[-1].num_rows
        tables[-1] = _alike(tables[0], tables[-1], parts[0], part)
    said = f"Of the folder “{_name(uri)}” Parquet files are read, not {first_of(others, 5)}."
    try:
        return noted(pa.concat_tables(tables, promote_options="permissive"), (said,) if others else ())
    except pa.ArrowException:
        raise JobError(
            "The manifest's parts have columns of different types; write all parts alike.", code="bad_manifest"
        ) from None


def _alike(first: pa.Table, other: pa.Table, path: str, another: str) -> pa.Table:
    """`other`, the part at `another`, with its columns in the order of the first part, which is at `path`. Raises
    JobError where it has others."""
    names, theirs = first.column_names, other.column_names
    if names == theirs:
        return other
    if sorted(names) == sorted(theirs) and len(set(names)) == len(names):
        return other.select(names)
    missing = first_of([f"“{shortened(name)}”" for name in sorted({*names} ^ {*theirs})], 5) or "one of them twice"
    raise JobError(
        f"The parts “{shortened(path)}” and “{shortened(another)}” have different columns (only one has {missing}); "
        "write all parts alike.",
        code="bad_manifest",
    )


def _part_names(stores: Stores, uri: str, local: Path | None) -> tuple[list[str], list[str]]:
    """Paths below the folder of all that is Parquet and not a writer's own business; and of other files, pictures
    aside, that somebody may take for a part of the table. Raises JobError for a table whose log says which files count.
    """
    if local:
        found = [path.relative_to(local).as_posix() for path in local.rglob("*") if path.is_file()]
    else:
        found = [entry.path for entry in stores.open(uri.rstrip("/")).list()]
    refuse_logged(found, uri)
    for folder in outer_folders(uri if local is None else str(local.resolve())):
        refuse_logged(_log_paths(stores, folder), folder)
    shown = [name for name in sorted(found) if not (is_hidden(name) or is_clutter(name))]
    parts = [name for name in shown if _ending(name) in PARQUET]
    for name in parts:
        if not is_utf8(name):
            raise JobError(
                f"“{shortened(uri)}/{escaped(name)}” has a name that is not UTF-8; rename it.", code="bad_manifest"
            )
    if not parts:
        missing = "" if local else ", and there is no file of that name"
        raise JobError(
            f"The folder “{shortened(uri)}” holds no Parquet file (*.parquet){missing}.", code="bad_manifest"
        )
    if len(parts) > MAX_PARTS:
        raise JobError(
            f"“{shortened(uri)}” holds {len(parts):,} Parquet files; write at most {MAX_PARTS:,}.",
            code="manifest_too_large",
        )
    return parts, [name for name in shown if _ending(name) not in (*PARQUET, *_PICTURES)]


def _log_paths(stores: Stores, folder: str) -> list[str]:
    """What stands where a table's folder would keep its log; nothing where nobody may look."""
    with contextlib.suppress(StorageError, RequestError, OSError):
        return [path for log in LOG_FOLDERS for path in islice(stores.open(folder).paths(log), _MAX_LOG)]
    return []
