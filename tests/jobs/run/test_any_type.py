"""A customer's own columns, of every type that Arrow has: each goes through to the end, and comes back as it was.

Nothing is rendered: every picture is one grey pixel block, finished and stored as real ones are. What is tried is all
that a job does with a manifest's columns: reading, freezing, naming, captions, results, resume, pages, commands.
"""

import csv
import datetime
import io
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pressrun import JobSpec, Summary, render
from pressrun.jobs.audit.verify import verify
from pressrun.jobs.cli.command import main
from pressrun.jobs.cli.terminal import NotPrinted
from pressrun.jobs.delivery.bundle import Bundles
from pressrun.jobs.delivery.publishing import publish
from pressrun.jobs.folder.job_file import freeze, read_manifest_copy
from pressrun.jobs.manifest.output_names import NameTemplate
from pressrun.jobs.manifest.writer import rows_of, write_manifest
from pressrun.jobs.reports.diff import diff
from pressrun.jobs.reports.diff_sheet import write_diff_sheet
from pressrun.jobs.reports.matrix import Matrix, write_matrix
from pressrun.jobs.results.failures import failed_rows
from pressrun.jobs.results.status import read_status
from pressrun.jobs.run import driver
from pressrun.jobs.tables.coercion import as_text
from pressrun.jobs.tables.table_reader import read_table
from pressrun.jobs.text.public_text import public, public_table
from pressrun.jobs.text.value_text import obvious_texts, texts, values
from pressrun.pipeline.errors import JobError, StorageError
from tests.jobs.executor_here import HereExecutor
from tests.opening import open_store, stores

QUICK = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), database=None)
SLOW = settings(QUICK, max_examples=400, phases=(Phase.generate,))
MANY = settings(QUICK, max_examples=150)
FAR = 2**63 - 1
GREY = np.full((16, 16, 3), 128, np.uint8)

# Columns of every type

ZONES = (None, "UTC", "America/Los_Angeles", "+05:30", "Mars/Base")
INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
COUNTED = [
    *(pa.timestamp(unit, zone) for unit in ("ms", "us", "ns") for zone in ZONES),
    *(pa.duration(unit) for unit in ("s", "ms", "us", "ns")),
]
TIMES = [pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")]
DECIMALS = [pa.decimal32(9, 2), pa.decimal64(18, 0), pa.decimal128(38, 10), pa.decimal256(76, 30)]
TEXTS = [pa.string(), pa.large_string(), pa.string_view()]
BYTES = [pa.binary(), pa.large_binary(), pa.binary_view()]
DIGITS = st.integers(-FAR, FAR) | st.sampled_from([0, 1, -1, FAR, -FAR, -FAR - 1, 253402300799 * 10**6])
SENTENCES = st.text(max_size=8) | st.sampled_from(["", "a|b", "=cmd()", "Spring\x0bsale", "password=hunter2", "\0"])
RAW = st.binary(max_size=20) | st.sampled_from([b"", b"abc", b"\xff password=hunter2", b"\xff" * 32])


def cells(of: Any, rows: int) -> Any:
    return st.lists(st.none() | of, min_size=rows, max_size=rows)


def whole(kind: pa.DataType, rows: int) -> Any:
    bits, signed = kind.bit_width, pa.types.is_signed_integer(kind)
    span = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return cells(st.integers(*span), rows).map(lambda found: pa.array(found, kind))


def counted(kind: pa.DataType, rows: int) -> Any:
    return cells(DIGITS, rows).map(lambda found: pa.array(found, pa.int64()).view(kind))


def day(rows: int) -> Any:
    return cells(st.integers(-(2**31), 2**31 - 1), rows).map(
        lambda found: pa.array(found, pa.int32()).view(pa.date32())
    )


def time_of_day(kind: pa.DataType, rows: int) -> Any:
    last = 86_400 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit] - 1
    raw = pa.int32() if kind.bit_width == 32 else pa.int64()
    return cells(st.integers(0, last), rows).map(lambda found: pa.array(found, raw).view(kind))


def decimal(kind: pa.DataType, rows: int) -> Any:
    most = 10**kind.precision - 1
    return cells(st.integers(-most, most), rows).map(
        lambda found: pa.array([None if one is None else Decimal(f"{one}E-{kind.scale}") for one in found], kind)
    )


def floating(kind: pa.DataType, rows: int) -> Any:
    return cells(st.floats(width=kind.bit_width), rows).map(
        lambda found: (
            pa.array([None if one is None else np.float16(one) for one in found], kind)
            if pa.types.is_float16(kind)
            else pa.array(found, kind)
        )
    )


def typed(of: Any, kind: pa.DataType, rows: int) -> Any:
    return cells(of, rows).map(lambda found: pa.array(found, kind))


def extended(kind: pa.BaseExtensionType, rows: int) -> Any:
    if isinstance(kind, pa.JsonType):
        storage = typed(st.sampled_from(['{"a": 1}', "[]"]), pa.string(), rows)
    elif isinstance(kind, pa.Bool8Type):
        storage = typed(st.sampled_from([0, 1]), pa.int8(), rows)
    elif isinstance(kind, pa.UuidType):
        storage = typed(st.uuids().map(lambda one: b"\xff" + one.bytes[1:]), pa.binary(16), rows)
    else:
        storage = typed(st.lists(st.integers(0, 9), min_size=2, max_size=2), pa.list_(pa.int8(), 2), rows)
    return storage.map(lambda found: pa.ExtensionArray.from_storage(kind, found))


def leaves() -> Iterator[Callable[[int], Any]]:
    yield lambda rows: st.just(pa.nulls(rows))
    yield lambda rows: typed(st.booleans(), pa.bool_(), rows)
    for kind in INTEGERS:
        yield lambda rows, kind=kind: whole(kind, rows)
    for kind in COUNTED:
        yield lambda rows, kind=kind: counted(kind, rows)
    yield day
    yield lambda rows: typed(st.dates(), pa.date64(), rows)
    for kind in TIMES:
        yield lambda rows, kind=kind: time_of_day(kind, rows)
    for kind in DECIMALS:
        yield lambda rows, kind=kind: decimal(kind, rows)
    for kind in (pa.float16(), pa.float32(), pa.float64()):
        yield lambda rows, kind=kind: floating(kind, rows)
    for kind in TEXTS:
        yield lambda rows, kind=kind: typed(SENTENCES, kind, rows)
    for kind in BYTES:
        yield lambda rows, kind=kind: typed(RAW, kind, rows)
    for size in (1, 16, 20):
        yield lambda rows, size=size: typed(st.binary(min_size=size, max_size=size), pa.binary(size), rows)
    for kind in (pa.uuid(), pa.json_(pa.string()), pa.bool8(), pa.fixed_shape_tensor(pa.int8(), [2])):
        yield lambda rows, kind=kind: extended(kind, rows)


LEAVES = [*leaves()]


@st.composite
def nested(draw: Any, rows: int, depth: int = 2) -> pa.Array:
    """A column of any type: one of `LEAVES`, or lists, structs, maps and dictionaries of such."""
    what = draw(st.integers(0, 9)) if depth else 0
    if what < 4:
        return draw(draw(st.sampled_from(LEAVES))(rows))
    if what == 4:
        inner = [draw(nested(rows, depth - 1)), draw(nested(rows, depth - 1))]
        missing = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
        return pa.StructArray.from_arrays(inner, ["a", "password"], mask=pa.array(missing, pa.bool_()))
    if what == 5:
        return pa.FixedSizeListArray.from_arrays(draw(nested(2 * rows, depth - 1)), 2)
    if what == 6:
        inner = draw(nested(2, 0))  # pyarrow writes no dictionaries of dictionaries, and does not say so
        return pa.DictionaryArray.from_arrays(draw(typed(st.integers(0, 1), pa.int8(), rows)), inner)
    lengths = draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows))
    offsets = np.cumsum([0, *lengths]).tolist()
    inner = draw(nested(offsets[-1], depth - 1))
    if what == 7:
        keys = pa.array([f"key {row}" for row in range(offsets[-1])], pa.string())
        return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), keys, inner)
    kind, size = draw(st.sampled_from([(pa.ListArray, pa.int32()), (pa.LargeListArray, pa.int64())]))
    missing = [draw(st.booleans()) for _ in range(rows)] + [False]
    starts = [None if gone else start for gone, start in zip(missing, offsets, strict=True)]
    return kind.from_arrays(pa.array(starts, size), inner)


def is_storable(column: pa.Array) -> bool:
    try:
        pq.write_table(pa.table({"x": column}), io.BytesIO())
    except (pa.ArrowException, OSError):
        return False
    return True


def manifest_of(columns: dict[str, pa.Array], rows: int) -> pa.Table:
    ours = {name: [value] * rows for name, value in (("prompt", "a mug"), ("width", 16), ("height", 16), ("steps", 1))}
    return pa.table({"custom_id": [f"row {row}" for row in range(rows)], **ours, **columns})


@st.composite
def manifests(draw: Any) -> pa.Table:
    """A manifest of a few rows with columns of several types, some of which captions are made of."""
    rows = draw(st.integers(1, 3))
    names = ["title", "creator", "keywords", *(f"theirs {number}" for number in range(5))]
    columns = {name: draw(nested(rows)) for name in names}
    return manifest_of({name: column for name, column in columns.items() if is_storable(column)}, rows)


# All that is done with them


@pytest.fixture(autouse=True, scope="module")
def nothing_is_rendered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "RayExecutor", lambda: HereExecutor(lambda job, item: GREY))
        # In this process: another one takes a second to start.
        patch.setattr("pressrun.jobs.resolve.resolved_job.read_manifest", read_table)
        yield


def same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    return one.type == other.type and repr(values(one)) == repr(values(other))


def goes_through(table: pa.Table, folder: Path) -> None:
    """Take a manifest the whole way, twice."""
    path = folder / "manifest.parquet"
    pq.write_table(table, path)
    try:
        read = read_table(stores(), str(path))
    except JobError as refused:  # pyarrow cannot read everything that it writes
        assert str(refused).endswith("; write it again.")
        return
    theirs = [name for name in table.column_names if name not in ("custom_id", "prompt", "width", "height", "steps")]
    first = render(JobSpec(str(path), str(folder / "first")))
    assert (first.succeeded, first.failed, first.unmade, first.stopped) == (table.num_rows, 0, (), None)
    assert render(JobSpec(str(path), str(folder / "first"))).rendered == 0
    second = render(JobSpec(str(path), str(folder / "second"), since=str(folder / "first")))
    assert second.cached == table.num_rows, second.changes
    for job in ("first", "second"):
        results = pq.ParquetFile(folder / job / "results/part-000000.parquet").read()
        for name in theirs:
            assert same(results[name], read[name]), name
        assert_pages(folder / job, table.num_rows)
        assert verify(open_store(str(folder / job))).discrepancies == ()
    store = open_store(str(folder / "first"))
    assert read_status(store).finished and failed_rows(store).num_rows == 0
    write_manifest(stores(), read.schema, [read], str(folder / "failures.jsonl"))
    json.dumps([*rows_of(public_table(read))], default=str)
    write_diff_sheet(diff(stores(), str(folder / "first"), str(folder / "second")), str(folder / "diff.html"))
    publish(stores(), str(folder / "first"), str(folder / "published"))
    for name in theirs:
        asked_for(store, name, folder)


def assert_pages(job: Path, rows: int) -> None:
    with (job / "metadata.csv").open(encoding="utf-8", newline="") as file:
        assert len([*csv.DictReader(file)]) == rows
    for page in ("index.html", "metadata.csv"):
        assert b"hunter2" not in (job / page).read_bytes()


def asked_for(store: Any, name: str, folder: Path) -> None:
    """What a person asks of one column: it is done, or refused in a sentence."""
    manifest = read_manifest_copy(store)
    for ask in (
        lambda: [*Bundles(store, name).write(str(folder / f"zips of {name}"))],
        lambda: write_matrix(store, Matrix((name,), ("custom_id",), {})),
        lambda: write_matrix(store, Matrix(("custom_id",), (name,), {name: ("a",)})),
        lambda: NameTemplate.parse(f"{{{name}}}").names(manifest, "png"),
    ):
        try:
            ask()
        except JobError as refused:
            assert all(problem.endswith(".") for problem in refused.problems), refused


@QUICK
@given(table=manifests())
def test_a_manifest_of_any_types_is_rendered_kept_and_shown_to_the_end(tmp_path_factory, table: pa.Table) -> None:
    goes_through(table, tmp_path_factory.mktemp("any"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@SLOW
@given(table=manifests())
def test_hundreds_of_manifests_of_any_types_go_through_to_the_end(tmp_path_factory, table: pa.Table) -> None:
    goes_through(table, tmp_path_factory.mktemp("any"))


@MANY
@given(column=st.integers(0, 4).flatmap(nested))
def test_any_column_has_texts_and_values(column: pa.Array) -> None:
    told = texts(column)
    assert [one is None for one in told.to_pylist()] == [one is None for one in values(column)]
    assert texts(column.slice(1)).to_pylist() == told.to_pylist()[1:], "a value's text is its own"
    json.dumps(values(column), default=str)
    obvious_texts(column)
    public(column)


ODD = {
    "an infinite time": (pa.array([FAR]).cast(pa.timestamp("us")), "294247-01-10 04:00:54.775807"),
    "the beginning of time": (pa.array([-FAR - 1]).view(pa.timestamp("ns", "UTC")), f"{-FAR - 1} ns from 1970"),
    "a year of five digits": (pa.array([2**31 - 1], pa.int32()).view(pa.date32()), "5881580-07-11"),
    "a time before Christ": (pa.array([-(10**17)]).view(pa.timestamp("us")), "-1199-02-15 14:13:20.000000"),
    "for ever": (pa.array([datetime.datetime(9999, 12, 31)], pa.timestamp("us")), "9999-12-31 00:00:00.000000"),
    "a zone of another planet": (pa.array([0]).view(pa.timestamp("s", "Mars/Base")), "1970-01-01 00:00:00Z"),
    "nanoseconds": (pa.array([1]).view(pa.time64("ns")), "00:00:00.000000001"),
    "a half": (pa.array([np.float16(1.5)]), "1.5"),
    "a large decimal": (pa.array([Decimal("1.10")], pa.decimal256(76, 2)), "1.10"),
    "a UUID": (pa.array([bytes(range(16))], pa.binary(16)).cast(pa.uuid()), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
    "a UUID that says nothing of it": (pa.array([b"\xff" * 16], pa.binary(16)), "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    "an MD5 digest": (pa.array([b"\xff" * 16]), "ff" * 16),
    "bytes": (pa.array([b"\xff\0\0"]), "3 bytes"),
    "a byte": (pa.array([b"\xff"]), "1 byte"),
    "bytes of a text": (pa.array(["é".encode()]), "é"),
    "a list of bytes": (pa.array([[b"\xff", None]]), '["1 byte", null]'),
    "a struct": (pa.array([{"a": b"\xff", "b": [1]}]), '{"a": "1 byte", "b": [1]}'),
    "an interval": (pa.array([pa.MonthDayNano([1, 2, 3])]), "1 months, 2 days, 3 ns"),
    "runs": (pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array(["a"])), "a"),
    "a choice of types": (
        pa.UnionArray.from_sparse(pa.array([1], pa.int8()), [pa.array([1]), pa.array([b"\xff"])]),
        "1 byte",
    ),
    "a truth": (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1], pa.int8())), "true"),
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_seldom_a_text_has_one(what: str) -> None:
    column, text = ODD[what]
    assert texts(column).to_pylist() == [text]


def test_a_text_is_the_same_whatever_stands_beside_it() -> None:
    one, other = pa.array([b"abc"]), pa.array([b"abc", b"\xff"])
    assert texts(one)[0] == texts(other)[0], "finish keys are made of a caption's text, a few thousand rows at a time"


def test_secrets_are_cut_from_columns_of_any_type() -> None:
    secret = "password=hunter2"
    columns = [
        pa.array([secret.encode()]),
        pa.array([secret]).dictionary_encode(),
        pa.array([secret], pa.string_view()),
        pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array([json.dumps({"password": "hunter2"})])),
        pa.array([[("password", "hunter2")]], pa.map_(pa.string(), pa.string())),
        pa.array([{"note": [secret], "at": FAR}]).cast(
            pa.struct([("note", pa.list_(pa.string())), ("at", pa.timestamp("us"))])
        ),
    ]
    for column in columns:
        assert "hunter2" not in repr(values(public(column))), column.type


def test_a_type_that_parquet_cannot_hold_is_refused_by_its_column() -> None:
    table = manifest_of({"sku": pa.array(["a"]), "choice": ODD["a choice of types"][0]}, 1)
    with pytest.raises(
        JobError, match="Column “choice” is of a type, or has a value, that Parquet cannot hold"
    ) as told:
        freeze(table)
    assert "sku" not in str(told.value)


def test_bytes_without_a_text_tell_no_values_apart() -> None:
    column = pa.chunked_array([pa.array([b"\xff\0", b"\xff\1"])])
    with pytest.raises(JobError, match="`by` raw: its values have no obvious text"):
        as_text(column, "`by` raw")
    with pytest.raises(JobError, match="cannot be part of a name"):
        NameTemplate.parse("{raw}").names(pa.table({"raw": column}), "png")


def test_the_columns_beside_an_extension_type_keep_their_types(tmp_path: Path) -> None:
    column = pa.array([bytes(range(16))], pa.binary(16)).cast(pa.uuid())
    span, there = pa.array([1], pa.duration("us")), pa.array([0]).view(pa.timestamp("us", "Asia/Tokyo"))
    pq.write_table(manifest_of({"id": column, "span": span, "there": there}, 1), tmp_path / "m.parquet")
    read = read_table(stores(), str(tmp_path / "m.parquet"))
    assert [read.schema.field(name).type for name in ("id", "span", "there")] == [pa.binary(16), span.type, there.type]


# What goes wrong in closing


@pytest.fixture
def order(tmp_path: Path) -> JobSpec:
    pq.write_table(manifest_of({"title": ["A mug"]}, 1), tmp_path / "manifest.parquet")
    return JobSpec(str(tmp_path / "manifest.parquet"), str(tmp_path / "out"))


def failing(*words: str) -> Callable[..., bytes]:
    def fail(*_: Any) -> bytes:
        raise ValueError(*words)

    return fail


def closed(order: JobSpec) -> tuple[Summary, dict[str, Any]]:
    summary = render(order)
    return summary, json.loads(Path(order.out, "summary.json").read_bytes())


def test_a_page_that_cannot_be_made_is_told_in_the_summary_and_takes_nothing_with_it(
    order: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pressrun.jobs.run.closing.sidecar", failing("Invalid UTF8 payload"))
    summary, written = closed(order)
    sentence = (
        "metadata.csv could not be made (ValueError: Invalid UTF8 payload); pictures and results are whole. "
        "The same command tries again."
    )
    assert (summary.exit_code, summary.succeeded, summary.unmade) == (0, 1, (sentence,))
    assert written["unmade"] == [sentence]
    assert Path(order.out, "index.html").exists() and not Path(order.out, "metadata.csv").exists()
    audit = verify(open_store(order.out))
    assert audit.discrepancies == () and f"The summary says: {sentence}" in audit.unchecked


def test_the_same_command_makes_a_page_that_could_not_be_made(order: JobSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("pressrun.jobs.reports.contact_sheet.write_sheet", failing("an odd cell"))
        assert len(render(order).unmade) == 1
    summary, written = closed(order)
    assert (summary.unmade, summary.rendered, written["unmade"]) == ((), 0, [])
    assert Path(order.out, "index.html").exists()


def test_an_old_page_does_not_stand_for_one_that_could_not_be_made(
    order: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    render(order)
    Path(order.out, "summary.json").unlink()
    monkeypatch.setattr("pressrun.jobs.reports.contact_sheet.write_sheet", failing())
    assert render(order).unmade[0].startswith("index.html could not be made (ValueError);")
    assert not Path(order.out, "index.html").exists()


def test_a_job_that_cannot_be_closed_ends_as_one_that_stopped(order: JobSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("pressrun.jobs.run.closing.count_flagged", failing("one cell too many"))
        summary = render(order)
    assert summary.exit_code == 3 and summary.stopped
    assert "The job could not be closed (ValueError: one cell too many)" in summary.stopped
    assert render(order).exit_code == 0


def test_a_store_that_fails_while_pages_are_put_stops_the_run(order: JobSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr("pressrun.jobs.run.closing._put_page", lost)
    summary = render(order)
    assert (summary.exit_code, summary.stopped, summary.unmade) == (3, "The disk is full.", ())


def test_whoever_waits_for_the_end_is_told_although_nobody_reads_what_is_printed(
    order: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> None:
        raise NotPrinted(BrokenPipeError())

    monkeypatch.setattr("pressrun.jobs.cli.commands.render._summary_words", gone)
    arguments = ["render", order.manifest, "--out", order.out, "--on-finish", f"cat > {tmp_path}/told.json"]
    main(arguments)
    assert json.loads((tmp_path / "told.json").read_bytes())["succeeded"] == 1
