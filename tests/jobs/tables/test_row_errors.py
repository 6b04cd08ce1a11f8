"""Bad rows in groups: what is wrong, how often, and where it is first."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pressrun.jobs.cli.command import main
from pressrun.jobs.tables.row_errors import SCHEMA, BadRows, described, grouped, merged


def found(*rows: tuple[int, str, str]) -> pa.Table:
    bad = BadRows()
    for row in rows:
        bad.add_row(*row)
    return bad.table()


def test_a_row_has_its_first_code_and_each_sentence_once() -> None:
    table = found((7, "b", "B."), (2, "a", "A."), (7, "a", "A."), (7, "c", "B."))
    assert table.schema == SCHEMA
    assert table.to_pylist() == [
        {"row": 2, "error_code": "a", "error_message": "A."},
        {"row": 7, "error_code": "b", "error_message": "B. A."},
    ]


def test_a_sentence_is_made_once_for_equal_cells() -> None:
    asked: list[int] = []

    def sentence(row: int) -> str:
        asked.append(row)
        return f"The cell is {cells[row].as_py()}."

    cells = pa.array([5, 6, None] * 50_000)
    bad = BadRows()
    bad.add(np.arange(150_000) != 1, "odd", sentence, cells)
    table = bad.table()
    assert sorted(asked) == [0, 2, 4]
    assert table.num_rows == 149_999 and bad.rows().tolist()[:3] == [0, 2, 3]
    assert table["error_message"][-3:].to_pylist() == ["The cell is 5.", "The cell is 6.", "The cell is None."]


def test_of_two_checks_the_first_has_the_word() -> None:
    both = merged(found((3, "near", "Near.")), found((3, "far", "Far."), (1, "far", "Far.")))
    assert both.select(["row", "error_code"]).to_pylist() == [
        {"row": 1, "error_code": "far"},
        {"row": 3, "error_code": "near"},
    ]


def test_groups_come_most_frequent_first_with_rows_as_people_count_them() -> None:
    bad = found((0, "rare", "Rare."), *((row, "often", f"Cell {row}.") for row in range(1, 9)))
    often, rare = grouped(bad, pa.chunked_array([[f"id-{row}" for row in range(9)]]))
    assert (often.code, often.rows, len(often.first)) == ("often", 8, 5)
    assert (rare.first[0].row, rare.first[0].custom_id, rare.first[0].message) == (1, "id-0", "Rare.")
    assert described((often, rare), 20) == [
        "9 of 20 rows cannot be rendered as they stand:",
        "  8 x often: row 2 (id-1), row 3 (id-2), row 4 (id-3), row 5 (id-4), row 6 (id-5) and 3 more: Cell 1.",
        "  1 x rare: row 1 (id-0): Rare.",
    ]
    assert described((), 20) == []


@pytest.fixture
def bad_manifest(tmp_path: Path) -> Path:
    (tmp_path / "m.csv").write_text("custom_id,prompt,width\na,a mug,64\nb,,0\nc,a mug,wide\nd,a mug,-1\n")
    return tmp_path / "m.csv"


def test_a_dry_run_of_which_nothing_could_be_rendered_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("custom_id,prompt,width\na,,64\nb,a mug,-1\n")
    assert main(["render", str(tmp_path / "m.csv"), "--out", str(tmp_path / "out"), "--dry-run"]) == 2


def test_a_dry_run_tells_the_groups(bad_manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order = ["render", str(bad_manifest), "--out", str(bad_manifest.parent / "out"), "--dry-run"]
    assert main(order) == 1
    assert "3 of 4 rows cannot be rendered as they stand:\n  2 x bad_size: row 3 (c), row 4 (d): The width is wide" in (
        capsys.readouterr().out
    )
    assert main([*order, "--json"]) == 1
    sizes, prompts = json.loads(capsys.readouterr().out)["problems"]
    assert (sizes["code"], sizes["rows"], [row["custom_id"] for row in sizes["first"]]) == ("bad_size", 2, ["c", "d"])
    assert prompts["first"][0]["row"] == 2 and "The width is 0" in prompts["first"][0]["message"]


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["words", "JSON"])
def test_a_render_tells_the_groups_before_it_starts(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.csv").write_text("custom_id,prompt,width\nb,a mug,0\nc,a mug,wide\n")
    assert main(["render", str(tmp_path / "m.csv"), "--out", str(tmp_path / "out"), *options]) == 1
    said = capsys.readouterr()
    assert "2 of 2 rows cannot be rendered as they stand:\n  2 x bad_size: row 1 (b), row 2 (c): The" in said.err
    assert not options or json.loads(said.out)["failed"] == 2
