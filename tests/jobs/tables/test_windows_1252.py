"""CSV from Excel in Western Europe is read, and said; what may be in another encoding is refused."""

from pathlib import Path

import pytest

from pressrun.jobs.cli.command import main
from pressrun.jobs.tables.csv_reader import read_csv
from pressrun.jobs.tables.table_notes import notes_of
from pressrun.pipeline.errors import JobError


@pytest.mark.parametrize(
    "prompt",
    [
        "ein Becher, Größe XL – schön, „weiß“, 5 €",
        "café crème à l’œuf, l’été",
        "niño y señor, ¡olé!",
        "smørrebrød på bordet",
        "a mug for £5",
        "Öl",
    ],
)
def test_western_european_text_is_read_as_it_was_written(prompt: str) -> None:
    table = read_csv(f'custom_id;prompt\na;"{prompt}"\n'.encode("cp1252"), "m.csv", None, 1 << 20)
    assert table["prompt"].to_pylist() == [prompt]
    [said] = notes_of(table)
    assert said.startswith("“m.csv” is not in UTF-8; it is read as Windows-1252")


@pytest.mark.parametrize(
    ("encoding", "prompt"),
    [
        ("cp1251", "красная кружка на столе"),
        ("cp1253", "κόκκινη κούπα"),
        ("cp1255", "ספל אדום"),
        ("shift_jis", "赤いマグカップ"),
        ("gb18030", "红色的杯子在雪中"),
        ("cp850", "Größe"),
        ("koi8-r", "красная кружка"),
        ("shift_jis", "杯"),
        ("shift_jis", "日本"),
        ("gb18030", "杯"),
    ],
)
def test_text_in_another_encoding_is_refused(encoding: str, prompt: str) -> None:
    with pytest.raises(JobError, match="is not in UTF-8; save it from Excel as “CSV UTF-8”"):
        read_csv(f"custom_id;prompt\na;{prompt}\n".encode(encoding), "m.csv", None, 1 << 20)


def test_a_dry_run_says_how_a_file_was_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.csv").write_bytes("custom_id;prompt\na;schöner Becher\n".encode("cp1252"))
    assert main(["render", f"{tmp_path}/m.csv", "--out", f"{tmp_path}/out", "--dry-run"]) == 0
    assert "read as Windows-1252 (Western European), as Excel saves CSV: “schöner”." in capsys.readouterr().out
