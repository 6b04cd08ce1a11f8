"""JSON lines from scripts: keys that change their type are read, and every line that is none is named."""

import json
from typing import Any

import pyarrow as pa
import pytest

from pressrun.jobs.manifest.manifest import Manifest, normalise
from pressrun.jobs.tables import json_columns, json_lines
from pressrun.jobs.tables.json_lines import read_json_lines
from pressrun.jobs.tables.raw_cells import restored
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import Model

MODEL = Model("mini", "flux2-klein", steps=10, guidance=1.0, width=128, height=96, max_pixels=512 * 512)


def read(*lines: str | dict[str, Any], limit: int | None = None) -> pa.Table:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return read_json_lines(text.encode("utf-8", "surrogateescape"), "m.jsonl", limit, 1 << 24)


def checked(*lines: str | dict[str, Any]) -> Manifest:
    return normalise(read(*lines), MODEL, "/shop/m.jsonl")


def column(*cells: str) -> list[Any]:
    """What becomes of a customer's key with these cells, given as JSON."""
    table = read(*(f'{{"custom_id": "{n}", "sku": {cell}}}' for n, cell in enumerate(cells)), '{"custom_id": "last"}')
    return table["sku"].to_pylist()


@pytest.mark.parametrize(
    ("cells", "kept"),
    [
        pytest.param(["1", '"a"'], ["1", "a"], id="number and text"),
        pytest.param(["1.50", '"a"', "1e3", "-0"], ["1.50", "a", "1e3", "-0"], id="numbers as they are written"),
        pytest.param(["true", "0", "null"], ["true", "0", None], id="truth and number"),
        pytest.param(['"a"', '["b", 1.0]', '{"c": "é"}'], ["a", '["b", 1.0]', '{"c": "é"}'], id="text and nested"),
        pytest.param(['["a"]', "[1]"], ['["a"]', "[1]"], id="lists of several types"),
        pytest.param(["12345678901234567890", '"a"'], ["12345678901234567890", "a"], id="beyond 64 bits"),
        pytest.param(["1", "2.5"], [1.0, 2.5], id="whole and not"),
        pytest.param(["true", "false"], [True, False], id="truth"),
        pytest.param(['["a"]', "[]", "null"], [["a"], [], None], id="lists"),
        pytest.param(['{"a": [1]}', '{"a": null}'], [{"a": [1]}, {"a": None}], id="objects"),
        pytest.param(["null", "null"], [None, None], id="nothing"),
    ],
)
@pytest.mark.parametrize("mixed", [False, True], ids=["", "beside a mixed key"])
def test_a_customers_key_keeps_its_cells(
    cells: list[str], kept: list[Any], mixed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mixed:
        monkeypatch.setattr(json_lines, "_parsed_whole", lambda content: None)
    assert column(*cells) == [*kept, None]


@pytest.mark.parametrize("cell", ['"512"', "512", "512.0", '" 512 "'])
def test_a_width_may_be_written_in_many_ways(cell: str) -> None:
    manifest = checked(f'{{"custom_id":"a","prompt":"p","width":{cell}}}', '{"custom_id":1,"prompt":"p","width":"64"}')
    assert manifest.table["width"].to_pylist() == [512, 64]


def test_cells_that_are_no_numbers_fail_their_rows() -> None:
    cells = ["true", "{}", "[512]", '"wide"', "NaN", "64.5", "null", "64"]
    manifest = checked(
        *(f'{{"custom_id": "{n}", "prompt": "p", "width": {cell}}}' for n, cell in enumerate(cells)),
    )
    assert manifest.bad["row"].to_pylist() == [0, 1, 2, 3, 4, 5]
    assert [words.split(";")[0] for words in manifest.bad["error_message"].to_pylist()[:3]] == [
        "The width is true",
        "The width is {}",
        "The width is [512]",
    ]


def test_a_file_of_nothing_but_odd_widths_fails_its_rows_too() -> None:
    assert checked(*({"custom_id": name, "prompt": "p", "width": True} for name in "ab")).bad.num_rows == 2


def test_a_seed_is_never_rounded() -> None:
    seed = 2**53 + 1
    manifest = checked({"custom_id": "a", "prompt": "p", "seed": seed}, '{"custom_id":"b","prompt":"p","seed":1.0}')
    assert manifest.table["seed"].to_pylist() == [seed, 1]


def test_numbers_are_custom_ids_as_they_are_written() -> None:
    table = read('{"custom_id":12}', '{"custom_id":"x"}', '{"custom_id":1.50}')
    assert table["custom_id"].to_pylist() == ["12", "x", "1.50"]


def test_what_can_be_no_prompt_fails_its_row() -> None:
    manifest = checked({"custom_id": "a", "prompt": {"text": "p"}}, {"custom_id": "b", "prompt": "p"})
    assert manifest.bad.to_pylist()[0]["error_code"] == "missing_prompt" and manifest.bad.num_rows == 1


def test_every_line_that_is_no_object_is_named() -> None:
    with pytest.raises(JobError) as refused:
        read({"custom_id": "a"}, "", '{"custom_id": ', "[1]", "7", '{"a":1,"a":2}', '{"b":3}', "[" * 100_000)
    [problem] = refused.value.problems
    assert problem.startswith("“m.jsonl” is not a proper JSONL file: 5 lines are no JSON object: line 3 (expecting")
    assert "line 4 (no object), line 5 (no object), line 6 (the key “a” stands there twice), line 8 (" in problem


def test_of_many_wrong_lines_the_first_twenty_are_listed() -> None:
    with pytest.raises(JobError) as refused:
        read(*["{"] * 1_000)
    [problem] = refused.value.problems
    assert "1,000 lines are" in problem and "line 20 (" in problem and "line 21" not in problem
    assert problem.endswith("and 980 more.")


def test_bytes_that_are_no_utf8_fail_their_row() -> None:
    manifest = checked('{"custom_id":"a","prompt":"\udcff","n":1}', '{"custom_id":"b","prompt":"p","n":"x"}')
    assert manifest.bad["row"].to_pylist() == [0]


def test_chunks_make_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_columns, "_CHUNK_LINES", 3)
    lines = [{"custom_id": n, "sku": n if n % 2 else str(n), **({"late": n} if n > 7 else {})} for n in range(10)]
    assert read(*lines).to_pylist() == [
        {"custom_id": str(n), "sku": str(n), "late": n if n > 7 else None} for n in range(10)
    ]


def test_lists_of_nothing_are_kept() -> None:
    assert column("[]", "[null, null, null]", "null") == ["[]", "[null, null, null]", None, None]


@pytest.mark.parametrize("lines", [["null"], ["null", '{"custom_id": "a"}'], ['{"custom_id": "a"}', " null"]])
def test_a_null_in_the_place_of_an_object_is_named(lines: list[str]) -> None:
    place = [line.strip() for line in lines].index("null") + 1
    with pytest.raises(JobError, match=rf"1 line is no JSON object: line {place} \(no object\)"):
        read(*lines)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
def test_another_encoding_is_named(encoding: str) -> None:
    with pytest.raises(JobError, match=f"is in {encoding[:6].upper()}; JSON lines are in UTF-8, so save it in that"):
        read_json_lines('{"custom_id": "a"}\n'.encode(encoding), "m.jsonl", None, 1 << 24)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ('["a mug", "a lamp"]', 'The prompt is a list (["a mug", "a lamp"]); write one text in its place.'),
        ('{"text": 1.50}', 'The prompt is an object ({"text": 1.50}); write one text in its place.'),
        ("true", "The prompt is a truth value (true); write one text in its place."),
    ],
)
def test_a_prompt_that_is_no_text_is_named_and_kept(cell: str, words: str) -> None:
    manifest = checked(f'{{"custom_id": "a", "Prompt": {cell}}}', '{"custom_id": "b", "Prompt": "a mug"}')
    assert manifest.bad.to_pylist() == [{"row": 0, "error_code": "missing_prompt", "error_message": words}]
    assert manifest.table["prompt"].to_pylist() == [None, "a mug"]
    again = normalise(restored(manifest.frozen), MODEL, "/shop/m.jsonl")
    assert again.bad.equals(manifest.bad) and again.lost is not None and again.lost.equals(manifest.lost)


def test_a_prompt_that_was_mended_is_read() -> None:
    manifest = checked('{"custom_id": "a", "prompt": ["p"]}', '{"custom_id": "b", "prompt": "q"}')
    frozen = manifest.frozen
    mended = frozen.set_column(frozen.column_names.index("prompt"), "prompt", pa.array(["a mug", "q"]))
    assert normalise(mended, MODEL, "/shop/m.jsonl").bad.num_rows == 0


def test_a_custom_id_that_is_no_text_refuses_the_manifest() -> None:
    with pytest.raises(JobError) as refused:
        checked('{"custom_id": ["x"], "prompt": "p"}', '{"custom_id": "b", "prompt": "p"}')
    assert str(refused.value) == 'The custom_id of row 1 is a list (["x"]); write a text or a whole number.'
