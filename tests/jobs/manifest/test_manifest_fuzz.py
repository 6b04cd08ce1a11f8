"""Manifests that nobody would write: refused with sentences, or every row accounted for once, in the source's order."""

import csv
import io
import json
import math
import os
import re
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pressrun.jobs.folder.job_file import freeze, frozen_digest
from pressrun.jobs.manifest.manifest import REQUEST_SCHEMA, Manifest, normalise
from pressrun.jobs.manifest.output_names import NameTemplate
from pressrun.jobs.planning.plan import group_by_shape, plan_units
from pressrun.jobs.tables.near_misses import meaning
from pressrun.jobs.tables.row_errors import grouped, merged
from pressrun.jobs.tables.sandbox import read_apart
from pressrun.jobs.tables.table_reader import read_table
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import Model
from tests.opening import stores

MODEL = Model("mini", "flux2-klein", steps=4, guidance=1.0, width=128, height=96, max_pixels=512 * 512)
MAX_BYTES = 64 << 20
QUICK = settings(max_examples=75, deadline=None, suppress_health_check=list(HealthCheck), database=None)
SLOW = settings(QUICK, max_examples=5_000, phases=(Phase.generate,))
REPRESENTATION = re.compile(r"<pyarrow|<class|0x[0-9a-f]{4}|Traceback|\bpa\.|object at|\.pyx?\b")

# Tables

NAMES = st.one_of(
    st.sampled_from(REQUEST_SCHEMA.names),
    st.sampled_from(
        ["sku", "image", "Prompt", "", "a b", "é", "x" * 300, "pressrun:as_written", "__filename", "\0", "="]
    ),
    st.text(max_size=6),
)
TEXTS = st.one_of(
    st.sampled_from(["", " ", "512", "-1", "1e999", "nan", "a|b", '["a"]', "[1]", "../../x", "/etc/passwd", "s3://"]),
    st.sampled_from(["\u202e", "\ufeff", "a\0b", "s3://b/../../k", "https://[", "=cmd()", "<script>"]),
    st.sampled_from(["x" * 11_000, "{}", '{"width": 1}', '{"references": {"base64": "/w=="}}']),
    st.text(max_size=8),
)
WHOLE = st.sampled_from([0, 1, -1, 64, 127, 128, 512, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)])
FLOATS = st.one_of(st.sampled_from([0.0, 64.0, 64.5, math.nan, math.inf, 2.0**63, 1e300]), st.floats())


def _binary_as_text(values: list[bytes | None]) -> pa.Array:
    raw = pa.array(values, pa.binary())
    valid, offsets, data = raw.buffers()
    return pa.StringArray.from_buffers(len(raw), offsets, data, valid)


def _integers(kind: pa.DataType) -> Any:
    bits, signed = kind.bit_width, pa.types.is_signed_integer(kind)
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.one_of(st.integers(least, most), WHOLE.filter(lambda n: least <= n <= most))


def _column(values: Any, make: Any) -> Any:
    return lambda rows: st.lists(st.none() | values, min_size=rows, max_size=rows).map(make)


def _typed(values: Any, kind: pa.DataType) -> Any:
    return _column(values, lambda cells: pa.array(cells, kind))


COLUMNS = [
    _typed(TEXTS, pa.string()),
    _typed(TEXTS, pa.large_string()),
    _typed(TEXTS, pa.string_view()),
    _column(st.binary(max_size=6), _binary_as_text),
    _typed(st.binary(max_size=6), pa.binary()),
    *(_typed(_integers(kind), kind) for kind in (pa.int8(), pa.int32(), pa.int64(), pa.uint16(), pa.uint64())),
    *(_typed(FLOATS, kind) for kind in (pa.float64(),)),
    _typed(st.floats(width=32), pa.float32()),
    _typed(st.booleans(), pa.bool_()),
    _typed(st.decimals(-(10**6), 10**6, places=2), pa.decimal128(12, 2)),
    _typed(st.datetimes(), pa.timestamp("us")),
    _typed(st.dates(), pa.date32()),
    _typed(st.integers(0, 10**9), pa.duration("ms")),
    _typed(st.lists(st.none() | TEXTS, max_size=3), pa.list_(pa.string())),
    _typed(st.lists(st.none() | TEXTS, max_size=3), pa.large_list(pa.large_string())),
    _typed(st.lists(st.none() | WHOLE, max_size=3), pa.list_(pa.int64())),
    _typed(st.lists(TEXTS, min_size=2, max_size=2), pa.list_(pa.string(), 2)),
    _typed(st.fixed_dictionaries({"a": TEXTS, "b": WHOLE}), pa.struct([("a", pa.string()), ("b", pa.int64())])),
    _typed(st.dictionaries(TEXTS, WHOLE, max_size=2).map(lambda d: list(d.items())), pa.map_(pa.string(), pa.int64())),
    _column(st.sampled_from(["512", "abc", "a|b"]), lambda cells: pa.array(cells, pa.string()).dictionary_encode()),
    lambda rows: st.just(pa.nulls(rows)),
]


@st.composite
def tables(draw: Any) -> pa.Table:
    """A table whose custom_id and prompt are most often in order, so that most cases go all the way."""
    rows = draw(st.integers(0, 6))
    columns: dict[str, pa.Array] = {}
    if draw(st.integers(0, 9)):
        columns["custom_id"] = pa.array([f"row-{n}" for n in range(rows)], pa.string())
    if draw(st.integers(0, 9)):
        columns["prompt"] = pa.array(["a red mug"] * rows, pa.string())
    for name in draw(st.lists(NAMES, max_size=5, unique=True)):
        columns[name] = draw(draw(st.sampled_from(COLUMNS))(rows))
    return pa.table(columns)


def as_parquet(draw: Any, table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(
        table,
        file,
        row_group_size=draw(st.sampled_from([1, 2, 1000])),
        compression=draw(st.sampled_from(["none", "snappy", "zstd", "gzip", "lz4"])),
        use_dictionary=draw(st.booleans()),
        data_page_version=draw(st.sampled_from(["1.0", "2.0"])),
        version=draw(st.sampled_from(["1.0", "2.4", "2.6"])),
        store_schema=draw(st.booleans()),
        write_statistics=draw(st.booleans()),
        use_deprecated_int96_timestamps=draw(st.booleans()),
    )
    return file.getvalue()


def as_csv(draw: Any, table: pa.Table) -> bytes:
    file = io.StringIO()
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    writer = csv.writer(file, delimiter=draw(st.sampled_from(",;\t")), quoting=quoting)
    writer.writerow(table.column_names)
    writer.writerows([["" if cell is None else cell for cell in row.values()] for row in _rows(table)])
    return file.getvalue().encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"])), "replace")


def as_json_lines(draw: Any, table: pa.Table) -> bytes:
    lines = ["", "[]", "7", '{"a"', '{"custom_id": "z", "prompt": "p", "width": {}}']
    odd = draw(st.lists(st.sampled_from(lines), max_size=2))
    lines = [json.dumps(row, default=str, ensure_ascii=draw(st.booleans())) for row in _rows(table)]
    return "\n".join(lines + (odd if draw(st.integers(0, 3)) == 0 else [])).encode("utf-8", "surrogateescape")


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    def cell(value: Any) -> Any:
        return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value

    columns = {
        name: table[name].cast(pa.binary()) if pa.types.is_string(table.schema.field(name).type) else table[name]
        for name in table.column_names
    }
    cells = (column.to_pylist() for column in columns.values())
    return [dict(zip(columns, map(cell, row), strict=True)) for row in zip(*cells, strict=True)]


@st.composite
def files(draw: Any) -> tuple[str, bytes]:
    """The ending and the bytes of a whole file."""
    ending, write = draw(st.sampled_from([(".parquet", as_parquet), (".csv", as_csv), (".jsonl", as_json_lines)]))
    table = draw(tables())
    try:
        return ending, write(draw, table)
    except (pa.ArrowException, OSError, ValueError, UnicodeError):  # what its writer cannot write either
        return ending, write(draw, pa.table({"custom_id": ["a"], "prompt": ["p"]}))


@st.composite
def damaged(draw: Any) -> tuple[str, bytes]:
    """A file with bytes changed, cut off, doubled or moved; often in a Parquet file's footer."""
    ending, content = draw(files())
    bytes_ = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        if not bytes_:
            break
        near_the_end = ending == ".parquet" and draw(st.booleans())
        least = max(0, len(bytes_) - 1000) if near_the_end else 0
        place = draw(st.integers(least, len(bytes_) - 1))
        change = draw(st.integers(0, 4))
        if change <= 1:
            bytes_[place] = draw(st.integers(0, 255))
        elif change == 2:
            bytes_[place : place + 1] = draw(st.binary(max_size=8))
        elif change == 3:
            del bytes_[place : place + draw(st.integers(1, 64))]
        else:
            del bytes_[place:]
    return ending, bytes(bytes_)


# What must hold


def account(table: pa.Table, template: str = "{custom_id}") -> None:
    """Take a table the way of an order; every row of it must be bad or planned, once, in its place."""
    manifest: Manifest = normalise(table, MODEL, "/shop/manifest")
    names, unnamed = NameTemplate.parse(template).names(manifest.table, "png")
    frozen_digest(freeze(manifest.frozen))
    bad = merged(manifest.bad, unnamed)
    assert manifest.table.num_rows == table.num_rows
    assert manifest.table["custom_id"].to_pylist() == _as_ids(table)
    pending = np.setdiff1d(np.arange(table.num_rows), bad["row"].to_numpy())
    planned = [row for unit in plan_units(group_by_shape(manifest.table, MODEL, pending)) for row in unit.rows]
    assert sorted([*planned, *bad["row"].to_pylist()]) == list(range(table.num_rows))
    for row in planned:
        assert names[row].as_py() and 1 <= manifest.table["width"][row].as_py() <= 16_383
    for sentence in bad["error_message"].to_pylist():
        assert_sentence(sentence, 4_000)
    assert sum(problem.rows for problem in grouped(bad, manifest.table["custom_id"])) == bad.num_rows
    if len(pending):
        again = normalise(manifest.frozen.take(pending), MODEL, "/shop/manifest")
        assert again.bad.num_rows == 0, again.bad.to_pylist()
    if manifest.bad.num_rows:
        again = normalise(manifest.frozen.take(manifest.bad["row"]), MODEL, "/shop/manifest")
        assert again.bad["error_message"].to_pylist() == manifest.bad["error_message"].to_pylist()


def _as_ids(table: pa.Table) -> list[str]:
    [column] = [table[name] for name in table.column_names if meaning(name) == "custom_id"]
    if not pa.types.is_string(column.type):
        return column.cast(pa.string()).to_pylist()
    return [value.decode(errors="replace") for value in column.cast(pa.binary()).to_pylist()]


def assert_sentence(text: str, longest: int) -> None:
    assert text.endswith(".") and len(text) <= longest, text
    assert not REPRESENTATION.search(text), text
    assert all(sign.isprintable() for sign in text), text


def read_or_refused(ending: str, content: bytes, folder: Any, read: Any = read_table) -> None:
    path = folder / f"m{ending}"
    path.write_bytes(content)
    try:
        account(read(stores(), str(path), None, MAX_BYTES))
    except JobError as refused:
        assert refused.problems
        for problem in refused.problems:
            assert_sentence(problem, 4_000)


@QUICK
@given(file=files())
def test_a_manifest_of_anything_is_refused_in_sentences_or_accounted_for(tmp_path_factory, file) -> None:
    read_or_refused(*file, _folder(tmp_path_factory))


@QUICK
@given(file=damaged())
def test_a_damaged_manifest_is_refused_in_sentences_or_accounted_for(tmp_path_factory, file) -> None:
    read_or_refused(*file, _folder(tmp_path_factory))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@SLOW
@given(file=files())
def test_thousands_of_manifests_are_refused_or_accounted_for(tmp_path_factory, file) -> None:
    read_or_refused(*file, _folder(tmp_path_factory))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@SLOW
@given(file=damaged())
def test_thousands_of_damaged_manifests_are_refused_or_accounted_for(tmp_path_factory, file) -> None:
    """In a process that may die of it, like the one that reads: then the real one has to refuse it in a sentence."""
    folder = _folder(tmp_path_factory)
    started = time.monotonic()
    if not _survives(lambda: read_or_refused(*file, folder)):
        read_or_refused(*file, folder, read_apart)
    assert time.monotonic() - started < 120


def _folder(tmp_path_factory: Any) -> Any:
    return tmp_path_factory.getbasetemp()


def _survives(check: Any) -> bool:
    """Whether `check` comes to its end in a copy of this process; what it raises there is raised here."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            check()
            code = 0
        except BaseException as error:
            os.write(writing, repr(error).encode(errors="replace")[:4000])
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status <= 0, said
    return status == 0
