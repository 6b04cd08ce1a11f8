"""Manifests from strangers: what is wrong is said in a sentence, and the rest goes on."""

import io
import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pressrun.jobs.examples import make_campaign
from pressrun.jobs.manifest.manifest import REQUEST_SCHEMA, RESERVED, Manifest, normalise, read_manifest, requests
from pressrun.jobs.manifest.request_columns import MAX_CELL, MAX_PROMPT
from pressrun.jobs.tables.table_reader import read_table
from pressrun.pipeline.errors import JobError, PressrunError
from pressrun.pipeline.models.catalogue import Model, catalogue
from pressrun.pipeline.request import RenderRequest, derived_seed
from tests.opening import stores

MODEL = Model(
    "mini", "flux2-klein", steps=10, guidance=1.0, width=128, height=96, max_pixels=512 * 512, max_references=2
)


def checked(table: pa.Table) -> Manifest:
    return normalise(table, MODEL, "/shop/catalog.parquet")


def rows(**columns) -> pa.Table:
    """A table with these columns; custom_id and prompt are made up where they are left out."""
    length = len(next(iter(columns.values())))
    made_up = {"custom_id": [f"r{i}" for i in range(length)], "prompt": ["a red mug"] * length}
    return pa.table({**made_up, **columns})


def refusal(table: pa.Table) -> str:
    with pytest.raises(JobError) as refused:
        checked(table)
    return str(refused.value)


def unreadable(path: Path, **options) -> str:
    with pytest.raises(JobError) as refused:
        read_table(stores(), str(path), **options)
    message = str(refused.value)
    assert "0x" not in message and "Error" not in message
    return message


def written(table: pa.Table, **options) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


# Defaults and types


def test_defaults_are_the_models_and_seeds_come_from_the_name():
    manifest = checked(rows(prompt=["a", "b"], seed=[None, 7], width=[None, 64]))
    assert manifest.table.schema.field("width").type == pa.int32()
    first, second = requests(manifest.table)
    assert first == RenderRequest("r0", "a", 128, 96, 10, 1.0, derived_seed("r0"))
    assert (second.width, second.height, second.seed) == (64, 96, 7)


def test_the_customers_columns_stay_as_they_are():
    theirs = {"sku": pa.array([1.5, None]), "tags": [["a"], None], "when": pa.array([1, 2], pa.date32())}
    manifest = checked(rows(**theirs))
    assert manifest.customer_columns == ["sku", "tags", "when"]
    assert manifest.table.column_names == [*REQUEST_SCHEMA.names, "sku", "tags", "when"]
    for name in theirs:
        assert manifest.table[name].to_pylist() == rows(**theirs)[name].to_pylist()
        assert manifest.table[name].type == rows(**theirs)[name].type


def test_integers_are_custom_ids_by_their_digits():
    assert checked(rows(custom_id=[12, 7])).table["custom_id"].to_pylist() == ["12", "7"]


def test_whole_floats_count_as_whole_numbers():
    manifest = checked(rows(width=[128.0, 128.5], steps=pa.array([4.0, None])))
    assert manifest.table["width"].to_pylist() == [128, None]
    assert manifest.bad["row"].to_pylist() == [1]


def test_a_normalised_manifest_normalises_to_itself():
    first = checked(rows(prompt=["a", "b"], references=[["x.png"], []], sku=["1", "2"]))
    again = checked(first.table)
    assert again.table.equals(first.table) and again.bad.num_rows == 0


def test_references_resolve_against_the_manifests_place():
    given_ = [["a.png", "../b.png"], ["s3://other/c.png", "https://shop.example/d.png"], None]
    manifest = checked(rows(references=given_))
    assert manifest.table["references"].to_pylist() == [
        ["/shop/a.png", "/b.png"],
        ["s3://other/c.png", "https://shop.example/d.png"],
        [],
    ]


def test_references_of_a_bucket_stay_in_the_bucket():
    table = rows(
        references=[["a.png"], ["/etc/passwd"], ["../../x.png"], [" ../../x://y"], [".."], ["file:///etc/passwd"]]
    )
    manifest = normalise(table, MODEL, "s3://shop/spring/catalog.parquet")
    assert manifest.table["references"][0].as_py() == ["s3://shop/spring/a.png"]
    assert manifest.bad.to_pydict()["row"] == [1, 2, 3, 4, 5]
    assert set(manifest.bad["error_code"].to_pylist()) == {"bad_reference"}
    again = normalise(manifest.frozen, MODEL, "/home/somebody/again.parquet")
    assert set(again.bad["error_code"].to_pylist()) == {"bad_reference"} and again.bad["row"].equals(
        manifest.bad["row"]
    )
    assert again.table["references"].equals(manifest.table["references"])


# Rows that fail alone

BAD = [
    pytest.param({"prompt": None}, "missing_prompt", "prompt is empty", id="null prompt"),
    pytest.param({"prompt": "  "}, "missing_prompt", "prompt is empty", id="blank prompt"),
    pytest.param({"prompt": "x" * 10_001}, "prompt_too_long", "10,001 characters", id="long prompt"),
    pytest.param({"prompt": "x" * 3_000_000}, "cell_too_long", "more than 1,048,576 bytes", id="huge prompt"),
    pytest.param({"prompt": "a\0b"}, "bad_text", "control characters", id="NUL"),
    pytest.param({"prompt": "a\u202eb"}, "bad_text", "control characters", id="bidi override"),
    pytest.param({"prompt": "a\u2066b"}, "bad_text", "control characters", id="bidi isolate"),
    pytest.param({"prompt": "a\x9bb"}, "bad_text", "control characters", id="C1 control"),
    pytest.param({"custom_id": "a\x1bb"}, "bad_text", "custom_id", id="control in custom_id"),
    pytest.param({"custom_id": "x" * 1_001}, "custom_id_too_long", "1,001", id="long custom_id"),
    pytest.param({"width": 0.0}, "bad_size", "width is 0.0", id="zero width"),
    pytest.param({"height": -1.0}, "bad_size", "height is -1.0", id="negative height"),
    pytest.param({"width": math.nan}, "bad_size", "width is nan", id="NaN width"),
    pytest.param({"width": math.inf}, "bad_size", "width is inf", id="infinite width"),
    pytest.param({"width": 1e300}, "bad_size", "width is 1e+300", id="huge width"),
    pytest.param({"width": 64.5}, "bad_size", "width is 64.5", id="half a pixel"),
    pytest.param({"width": 5e9}, "bad_size", "width is 5000000000.0", id="beyond 32 bits"),
    pytest.param({"width": 1024.0}, None, "", id="wide and low"),
    pytest.param({"width": 3200.0}, "too_many_pixels", "3200 × 96", id="too many pixels"),
    pytest.param({"steps": 0.0}, "bad_steps", "steps is 0.0", id="no steps"),
    pytest.param({"steps": 1001.0}, "bad_steps", "1 to 1,000", id="many steps"),
    pytest.param({"guidance": -0.5}, "bad_guidance", "guidance is -0.5", id="negative guidance"),
    pytest.param({"guidance": math.nan}, "bad_guidance", "guidance is nan", id="NaN guidance"),
    pytest.param({"guidance": 1e9}, "bad_guidance", "from 0 to 100", id="huge guidance"),
    pytest.param({"seed": -1.0}, "bad_seed", "seed is -1.0", id="negative seed"),
    pytest.param({"seed": 2.0**63}, "bad_seed", "2⁶³", id="seed of 64 bits"),
    pytest.param({"references": ["a", "b", "c"]}, "too_many_references", "at most 2", id="three references"),
    pytest.param({"references": [""]}, "reference_empty", "is empty", id="empty reference"),
    pytest.param({"references": [None]}, "reference_empty", "is empty", id="null reference"),
    pytest.param({"references": ["a\0b"]}, "bad_reference", "control characters", id="NUL in a reference"),
    pytest.param({"references": ["x" * 5000]}, "reference_too_long", "4,096", id="long reference"),
    pytest.param({"references": ["file:///etc/passwd"]}, "bad_reference", "must be a path", id="file reference"),
    pytest.param({"sku": "x" * (MAX_CELL + 1)}, "cell_too_long", "“sku”", id="huge cell of the customer's"),
]
GOOD = {"width": 64.0, "height": 64.0, "steps": 4.0, "guidance": 1.0, "seed": 3.0, "references": ["a.png"], "sku": "s"}


@pytest.mark.parametrize(("cell", "code", "words"), BAD)
def test_a_bad_row_fails_alone(cell, code, words):
    good = {name: value for name, value in GOOD.items() if name in cell or name == "sku"}
    table = pa.Table.from_pylist(
        [
            {"custom_id": "before", "prompt": "p", **good},
            {"custom_id": "bad", "prompt": "p", **good, **cell},
            {"custom_id": "after", "prompt": "p", **good},
        ]
    )
    manifest = checked(table)
    assert manifest.table.num_rows == 3
    if code is None:
        assert manifest.bad.num_rows == 0
        return
    [found] = manifest.bad.to_pylist()
    assert (found["row"], found["error_code"]) == (1, code)
    assert words in found["error_message"] and len(found["error_message"]) < 400
    assert [request.custom_id for request in requests(manifest.table.take(manifest.good))] == ["before", "after"]


def test_a_64_bit_seed_in_an_unsigned_column_is_bad():
    manifest = checked(rows(seed=pa.array([2**64 - 1, 2**63 - 1], pa.uint64())))
    assert manifest.bad["error_code"].to_pylist() == ["bad_seed"]
    assert manifest.table["seed"].to_pylist() == [None, 2**63 - 1]


@pytest.mark.parametrize("column", ["width", "height", "steps"])
@pytest.mark.parametrize("number", [-(2**63), -(2**31) - 1, 2**31, 2**63 - 1])
def test_an_integer_that_no_column_of_ours_holds_fails_its_row(column, number):
    manifest = checked(rows(**{column: pa.array([number, 16], pa.int64())}))
    assert manifest.bad["row"].to_pylist() == [0]
    assert f"{number}" in manifest.bad["error_message"][0].as_py()
    assert manifest.table[column].to_pylist() == [None, 16]


@pytest.mark.parametrize("column", ["prompt", "custom_id", "sku"])
def test_invalid_utf8_fails_its_row(column):
    texts = pa.array([b"good", b"\xff\xfe bad", b"\xed\xa0\x80 half a pair"], pa.binary())
    broken = pa.StringArray.from_buffers(3, *texts.buffers()[1:])
    manifest = checked(rows(**{column: broken}))
    assert manifest.bad["row"].to_pylist() == [1, 2]
    assert set(manifest.bad["error_code"].to_pylist()) == {"bad_text"}
    manifest.table.validate(full=True)


def test_tabs_line_breaks_and_every_script_are_welcome():
    prompts = ["a mug\non a table\t!", "ein Becher für Zoë", "क्षि 一只红色的杯子", "كوب أحمر", "👩‍🎨 mug"]
    assert checked(rows(prompt=prompts)).bad.num_rows == 0


def test_a_long_prompt_is_not_kept_whole():
    manifest = checked(rows(prompt=["x" * 100_000]))
    assert len(manifest.table["prompt"][0].as_py()) == MAX_PROMPT


def test_all_that_is_wrong_with_a_row_is_said_at_once():
    [found] = checked(rows(width=[-1], steps=[0], prompt=[""])).bad.to_pylist()
    assert all(word in found["error_message"] for word in ("prompt", "width", "steps"))


# Manifests that are refused

REFUSED = [
    pytest.param(pa.table({"id": [1]}), ["no column “custom_id”", "no column “prompt”"], id="missing columns"),
    pytest.param(pa.table({"custom_ids": ["a"], "prompt": ["p"]}), ["rename “custom_ids”"], id="nearly"),
    pytest.param(pa.table({"sku": ["a"], "Text": ["p"]}), ["such as “sku”", "such as “Text”"], id="another tool's"),
    pytest.param(rows(width=["wide"]), ["“width” is of type string"], id="text for a number"),
    pytest.param(rows(width=[True]), ["“width” is of type bool"], id="truth for a number"),
    pytest.param(rows(prompt=[1], seed=[[1]]), ["“prompt” is of type int64", "“seed”"], id="several wrong types"),
    pytest.param(rows(prompt=[b"raw"]), ["“prompt” is of type binary"], id="bytes for a text"),
    pytest.param(rows(custom_id=[1.5]), ["“custom_id” is of type double"], id="float custom_id"),
    pytest.param(rows(references=[[1]]), ["a list of texts is needed"], id="numbers for references"),
    pytest.param(rows(custom_id=["a", None]), ["1 row has no custom_id; name every row: row 2."], id="one without"),
    pytest.param(rows(custom_id=["a", None, ""]), ["2 rows have no custom_id", "rows 2, 3"], id="null custom_id"),
    pytest.param(rows(custom_id=["a", "b", "a"]), ["“a” in rows 1, 3"], id="duplicate custom_id"),
    pytest.param(rows(custom_id=[1, 1]), ["“1” in rows 1, 2"], id="duplicate integer custom_id"),
    pytest.param(rows(custom_id=pa.nulls(2)), ["2 rows have no custom_id"], id="column of nulls"),
    pytest.param(rows(image=["x"], status=["y"]), ["called image, status"], id="reserved columns"),
    pytest.param(rows(custom_id=pa.array([], pa.string())), ["no rows"], id="no rows"),
    pytest.param(
        pa.table([["a"], ["p"], [1], [2]], names=["custom_id", "prompt", "x", "x"]), ["one name: x"], id="twins"
    ),
]


@pytest.mark.parametrize(("table", "sentences"), REFUSED)
def test_a_wrong_table_refuses_the_job(table, sentences):
    message = refusal(table)
    assert all(sentence in message for sentence in sentences), message


def test_the_first_twenty_duplicates_are_listed():
    message = refusal(rows(custom_id=[f"d{i // 2:02}" for i in range(60)]))
    assert "“d19” in rows 39, 40 and 10 more" in message and "d20" not in message and message.startswith("30 ")


def test_a_value_is_shortened_in_a_message():
    assert len(refusal(rows(custom_id=["x" * 900] * 2))) < 300


def test_no_reserved_name_is_a_column_of_ours():
    assert not set(RESERVED) & set(REQUEST_SCHEMA.names)


# Files


def test_a_folder_of_parts_is_read_in_order_of_names(tmp_path):
    for number in (2, 0, 1):
        (tmp_path / f"part-{number}.parquet").write_bytes(written(rows(custom_id=[f"{number}a", f"{number}b"])))
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "_temporary.parquet").write_bytes(b"half")
    table = read_table(stores(), str(tmp_path))
    assert table["custom_id"].to_pylist() == ["0a", "0b", "1a", "1b", "2a", "2b"]
    assert read_table(stores(), str(tmp_path), limit=3)["custom_id"].to_pylist() == ["0a", "0b", "1a"]


def test_the_limit_counts_rows_of_every_format(tmp_path):
    (tmp_path / "m.parquet").write_bytes(written(rows(custom_id=["a", "b", "c"]), row_group_size=1))
    (tmp_path / "m.csv").write_text("custom_id,prompt\na,p\nb,p\nc,p\n")
    (tmp_path / "m.jsonl").write_text("".join(f'{{"custom_id":"{i}","prompt":"p"}}\n\n' for i in "abc"))
    for name in ("m.parquet", "m.csv", "m.jsonl"):
        assert read_table(stores(), str(tmp_path / name), limit=2)["custom_id"].to_pylist() == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "not a Parquet file", id="empty"),
        pytest.param(b"hello " * 100, "not a Parquet file", id="something else"),
        pytest.param(written(rows(sku=["x"] * 99))[:-20], "cut off", id="truncated"),
        pytest.param(b"PAR1" + b"\xff\xff\xff\xffPAR1", "damaged", id="absurd footer"),
        pytest.param(b"PAR1" + b"\0" * 64 + b"\x20\0\0\0PAR1", "damaged", id="footer of nulls"),
        pytest.param(b"PAR1" + b"\0" * 64 + b"\x20\0\0\0PARE", "encrypted", id="encrypted"),
    ],
)
def test_what_is_not_parquet_is_refused(tmp_path, content, words):
    path = tmp_path / "m.parquet"
    path.write_bytes(content)
    assert words in unreadable(path)


def test_damaged_values_are_refused(tmp_path):
    content = bytearray(written(rows(sku=[f"{i}" for i in range(500)])))
    content[40:200] = b"\xff" * 160
    path = tmp_path / "m.parquet"
    path.write_bytes(content)
    assert "damaged Parquet file" in unreadable(path)


def test_a_manifest_that_is_not_there_is_a_sentence(tmp_path):
    assert unreadable(tmp_path / "none.parquet").startswith("There is no manifest at")
    assert "holds no Parquet file" in unreadable(tmp_path)


def test_parts_with_different_columns_are_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(written(rows(sku=["1"])))
    (tmp_path / "b.parquet").write_bytes(written(rows(season=["1"])))
    assert "different columns" in unreadable(tmp_path)


def test_a_folder_of_too_many_parts_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("pressrun.jobs.tables.table_reader.MAX_PARTS", 2)
    for number in range(3):
        (tmp_path / f"{number}.parquet").write_bytes(written(rows(sku=["1"])))
    assert "holds 3 Parquet files; write at most 2" in unreadable(tmp_path)


def test_a_row_group_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("pressrun.jobs.tables.parquet_reader.MAX_ROW_GROUP_BYTES", 1 << 20)
    path = tmp_path / "m.parquet"
    path.write_bytes(written(rows(sku=[f"{i:0>9}" * 40 for i in range(9_000)]), use_dictionary=False))
    assert "row group of 3 MiB; write row groups of at most 1 MiB" in unreadable(path)
    path.write_bytes(written(rows(sku=[f"{i:0>9}" * 40 for i in range(9_000)]), row_group_size=1_000))
    assert read_manifest(stores(), str(path)).num_rows == 9_000


def test_a_file_of_too_many_row_groups_or_columns_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "m.parquet"
    path.write_bytes(written(rows(sku=["1"] * 5), row_group_size=1))
    monkeypatch.setattr("pressrun.jobs.tables.parquet_reader.MAX_ROW_GROUPS", 4)
    assert "has 5 row groups; write at most 4" in unreadable(path)
    monkeypatch.setattr("pressrun.jobs.tables.parquet_reader.MAX_COLUMNS", 2)
    assert "5 rows and 3 columns" in unreadable(path)


def test_a_quote_that_is_never_closed_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("pressrun.jobs.tables.csv_reader.MAX_BLOCK", 1 << 20)
    path = tmp_path / "m.csv"
    path.write_bytes(b'custom_id,prompt\na,"' + b"x" * (3 << 20))
    assert "Line 2 of “m.csv” opens a quote that is never closed; close it" in unreadable(path)
    path.write_bytes(b'custom_id,prompt\na,"' + b"x" * (3 << 20) + b'"\n')
    assert "has a row longer than 1 MiB" in unreadable(path)


BOMBS = {
    "dictionary": (pa.DictionaryArray.from_arrays([0] * 50_000, ["x" * 100_000]), {}),
    "prefixes": (pa.array(["x" * 100_000] * 500), {"use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"}),
    "compression": (pa.array(["x" * 1_000_000] * 80), {"use_dictionary": False, "compression": "zstd"}),
    "nulls": (pa.nulls(20_000_000, pa.int64()), {}),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_small_file_of_large_values_is_refused(tmp_path, kind):
    values, options = BOMBS[kind]
    path = tmp_path / "m.parquet"
    path.write_bytes(written(pa.table({"custom_id": values}), **options))
    assert path.stat().st_size < 1 << 20
    before = pa.total_allocated_bytes()
    assert "takes more than 32 MiB" in unreadable(path, max_bytes=32 << 20)
    assert pa.total_allocated_bytes() - before < 64 << 20


def test_an_extension_type_is_read_as_storage_without_running_its_code(tmp_path):
    ran = []

    class Trap(pa.ExtensionType):
        def __init__(self):
            super().__init__(pa.string(), "pressrun.test.trap")

        def __arrow_ext_serialize__(self):
            return b"boom"

        @classmethod
        def __arrow_ext_deserialize__(cls, storage, serialized):
            ran.append(serialized)
            return cls()

    table = pa.table({"custom_id": pa.ExtensionArray.from_storage(Trap(), pa.array(["a"])), "prompt": ["p"]})
    path = tmp_path / "m.parquet"
    path.write_bytes(written(table))
    pa.register_extension_type(Trap())
    try:
        read = read_table(stores(), str(path))
    finally:
        pa.unregister_extension_type("pressrun.test.trap")
    assert ran == []
    assert read.schema.field("custom_id").type == pa.string() and read["custom_id"].to_pylist() == ["a"]


def test_unusual_types_arrive_unharmed(tmp_path):
    table = rows(
        zone=pa.array([1], pa.timestamp("us", "Europe/Berlin")),
        span=pa.array([5], pa.duration("s")),
        names=pa.array([[("a", "b")]], pa.map_(pa.string(), pa.string())),
        nested=pa.array([{"a": ["x", None]}]),
    )
    table = table.append_column("category", pa.array(["c"]).dictionary_encode())
    path = tmp_path / "m.parquet"
    path.write_bytes(written(table))
    read = read_table(stores(), str(path))
    assert read.to_pydict() == table.to_pydict()
    assert read.schema.field("zone").type == table.schema.field("zone").type
    assert read.schema.field("category").type == pa.string()


def test_list_views_are_read_as_lists(tmp_path):
    path = tmp_path / "m.parquet"
    path.write_bytes(written(rows(references=pa.array([["q.png"]], pa.list_view(pa.string())))))
    assert checked(read_table(stores(), str(path))).table["references"].to_pylist() == [["/shop/q.png"]]


def test_reading_a_manifest_imports_neither_ray_nor_torch():
    import subprocess
    import sys

    script = (
        "import sys, pressrun.jobs.manifest.manifest; print([name for name in ('ray', 'torch') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "[]"


# Buckets


def test_every_format_is_read_from_a_bucket(s3_bucket, s3):
    def put(key: str, content: bytes) -> str:
        s3.client.put_object(Bucket=s3_bucket.removeprefix("s3://"), Key=key, Body=content)
        return f"{s3_bucket}/{key}"

    for ending, content in (
        ("parquet", written(rows(custom_id=["a"]))),
        ("csv", b"custom_id,prompt\na,a red mug\n"),
        ("jsonl", b'{"custom_id":"a","prompt":"a red mug"}'),
    ):
        assert read_manifest(stores(), put(f"one/m.{ending}", content)).to_pylist() == [
            {"custom_id": "a", "prompt": "a red mug"}
        ]
    for part in (1, 0):
        put(f"many/part-{part}.parquet", written(rows(custom_id=[f"{part}"], references=[["pictures/a.png"]])))
    for folder in (f"{s3_bucket}/many", f"{s3_bucket}/many/"):
        manifest = normalise(read_manifest(stores(), folder), MODEL, folder)
        assert manifest.table["custom_id"].to_pylist() == ["0", "1"]
        assert manifest.table["references"][0].as_py() == [f"{s3_bucket}/many/pictures/a.png"]


@pytest.mark.parametrize("key", ["none.parquet", "none/", "none"])
def test_a_manifest_that_is_not_in_the_bucket_is_a_sentence(s3_bucket, key):
    with pytest.raises(JobError, match=r"holds no Parquet file \(\*\.parquet\), and there is no file of that name\."):
        read_manifest(stores(), f"{s3_bucket}/{key}")


def test_a_bucket_that_is_not_there_is_a_sentence(s3_bucket):
    with pytest.raises(PressrunError) as refused:
        read_manifest(stores(), f"{s3_bucket}-none/m.parquet")
    assert f"{s3_bucket[5:]}-none" in str(refused.value)


# Text


def test_csv_as_excel_writes_it(tmp_path):
    path = tmp_path / "m.csv"
    lines = [
        "custom_id;prompt;width;guidance;seed;references;sku",
        '001;"a ""red"" mug\r\non a table";128,0;3,5;7;a.png|b.png;00042',
        '2;b;;;;"[""q.png""]";',
        "3;c;wide;;;[1];x",
    ]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    manifest = checked(read_table(stores(), str(path)))
    first = manifest.table.to_pylist()[0]
    assert first["custom_id"] == "001" and first["prompt"] == 'a "red" mug\r\non a table' and first["sku"] == "00042"
    assert (first["width"], first["guidance"], first["seed"]) == (128, 3.5, 7)
    assert manifest.table["references"].to_pylist()[:2] == [["/shop/a.png", "/shop/b.png"], ["/shop/q.png"]]
    assert manifest.table["width"].to_pylist() == [128, 128, None]
    assert manifest.bad["row"].to_pylist() == [2] and manifest.bad["error_code"].to_pylist() == ["bad_size"]
    assert "references" in manifest.bad["error_message"][0].as_py()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_of_any_delimiter_and_unicode_encoding(tmp_path, delimiter, encoding):
    path = tmp_path / "m.csv"
    path.write_text(f"custom_id{delimiter}prompt\nä{delimiter}ü\n", encoding=encoding)
    assert read_table(stores(), str(path)).to_pylist() == [{"custom_id": "ä", "prompt": "ü"}]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        pytest.param("m.csv", "custom_id,prompt\n杯,b\n".encode("shift-jis"), "CSV UTF-8", id="Shift-JIS"),
        pytest.param("m.csv", b"", "is empty", id="empty CSV"),
        pytest.param("m.csv", b"custom_id,prompt\na\n", "Line 2 of “m.csv” has 1 cell, but", id="ragged"),
    ],
)
def test_broken_text_is_refused(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    assert words in unreadable(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        pytest.param("m.csv", b"a;b" + b";" * 97 + b"\n" + (b";" * 98 + b"\n") * 9_000, "891,", id="empty cells"),
        pytest.param("m.jsonl", b"".join(b'{"k%d":1}\n' % i for i in range(2000)), "1,000 different keys", id="keys"),
        pytest.param("m.jsonl", b"".join(b'{"k%d":1}\n' % (i % 900) for i in range(900)), "810,900", id="sparse keys"),
    ],
)
def test_a_small_text_of_many_columns_is_refused(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    assert words in unreadable(path, max_bytes=2 << 20)


def test_json_lines_keep_texts_that_look_like_dates(tmp_path):
    path = tmp_path / "m.jsonl"
    lines = [
        {"custom_id": "2024-01-01", "prompt": "p", "width": 64, "references": ["a"]},
        {"custom_id": "x", "prompt": "q"},
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    table = read_table(stores(), str(path))
    assert table["custom_id"].to_pylist() == ["2024-01-01", "x"]
    assert checked(table).table["width"].to_pylist() == [64, 128]


def test_half_a_surrogate_pair_fails_its_row(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(
        r'{"custom_id":"a","prompt":"\ud83d\ude00 \\ud800"}' + "\n" + r'{"custom_id":"b","prompt":"\ud800"}'
    )
    manifest = checked(read_table(stores(), str(path)))
    assert manifest.bad["row"].to_pylist() == [1]
    assert manifest.table["prompt"][0].as_py() == "😀 \\ud800"


# The sample


def test_the_shipped_campaign_is_what_its_script_makes_and_whole():
    path = Path(make_campaign.__file__).with_name("campaign.parquet")
    table = read_manifest(stores(), str(path))
    assert table.to_pylist() == make_campaign.campaign().to_pylist()
    manifest = normalise(table, catalogue()["mini"], str(path))
    assert manifest.bad.num_rows == 0 and manifest.table.num_rows >= 24
    assert len({request.render_size for request in requests(manifest.table)}) == 3
    pictures = {uri for request in requests(manifest.table) for uri in request.references}
    assert len(pictures) == 3 and all(Path(picture).is_file() for picture in pictures)


# Anything at all

TYPED = st.sampled_from(["text", "integers", "floats", "booleans", "texts"]).flatmap(
    lambda kind: st.lists(
        {
            "text": st.none() | st.text(max_size=8),
            "integers": st.none() | st.integers(-(2**63), 2**63 - 1),
            "floats": st.none() | st.floats(),
            "booleans": st.none() | st.booleans(),
            "texts": st.none() | st.lists(st.none() | st.text(max_size=8), max_size=4),
        }[kind],
        min_size=4,
        max_size=4,
    )
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from([*REQUEST_SCHEMA.names, "sku", "image"]), TYPED))
def test_every_row_is_accounted_for(columns):
    table = pa.table({"custom_id": list("abcd"), "prompt": ["a", "b", "c", "d"], **columns})
    try:
        manifest = checked(table)
    except JobError as refused:
        assert refused.problems and all(problem.endswith(".") for problem in refused.problems)
        return
    made = list(requests(manifest.table.take(manifest.good)))
    assert len(made) + manifest.bad.num_rows == 4
    for request in made:
        assert request.prompt.strip() and 1 <= request.steps <= 1000 and 0 <= request.seed < 2**63
        assert math.prod(request.render_size) <= MODEL.max_pixels and 0 <= request.guidance <= 100


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode), ending=st.sampled_from(["csv", "jsonl"])
)
def test_any_bytes_are_read_or_refused(tmp_path, content, ending):
    path = tmp_path / f"m.{ending}"
    path.write_bytes(content)
    try:
        checked(read_table(stores(), str(path)))
    except JobError as refused:
        assert all(problem.endswith(".") for problem in refused.problems)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 2000), flipped=st.binary(min_size=1, max_size=8))
def test_damaged_parquet_is_read_or_refused(tmp_path, place, flipped):
    content = bytearray(written(rows(sku=["a", "b"], references=[["x"], None])))
    place %= len(content)
    content[place : place + len(flipped)] = flipped
    path = tmp_path / "m.parquet"
    path.write_bytes(content)
    try:
        checked(read_table(stores(), str(path)))
    except JobError as refused:
        assert refused.problems
