"""CSV from spreadsheets, databases and scripts: read as it was meant, or refused with the line."""

from pathlib import Path

import pyarrow as pa
import pytest

from pressrun.jobs.tables.table_notes import notes_of
from pressrun.jobs.tables.table_reader import read_table
from pressrun.pipeline.errors import JobError
from tests.opening import stores


def read(folder: Path, content: bytes | str, **options: int) -> pa.Table:
    (folder / "m.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(stores(), str(folder / "m.csv"), **options)


def refusal(folder: Path, content: str) -> str:
    with pytest.raises(JobError) as refused:
        read(folder, content)
    return str(refused.value)


# The sign between cells


@pytest.mark.parametrize(
    ("content", "row"),
    [
        pytest.param(
            "custom_id;prompt;Dimensions (W, H, D, kg)\r\na;a mug;10, 12, 9, 0.4\r\n",
            {"custom_id": "a", "prompt": "a mug", "Dimensions (W, H, D, kg)": "10, 12, 9, 0.4"},
            id="commas in a name",
        ),
        pytest.param(
            '"custom_id";"prompt";"Price, net, EUR, DE";"Stock"\r\n"a";"a mug";"9,90";"3"\r\n',
            {"custom_id": "a", "prompt": "a mug", "Price, net, EUR, DE": "9,90", "Stock": "3"},
            id="commas in a quoted name",
        ),
        pytest.param(
            'custom_id,prompt,"Pack; box; pallet; size"\na,a mug,1\n',
            {"custom_id": "a", "prompt": "a mug", "Pack; box; pallet; size": "1"},
            id="semicolons in a name",
        ),
        pytest.param(
            "custom_id|prompt\na|a mug, red; big\n", {"custom_id": "a", "prompt": "a mug, red; big"}, id="bars"
        ),
        pytest.param("Custom ID\tPrompt\na\tb,c\n", {"Custom ID": "a", "Prompt": "b,c"}, id="tabs"),
        pytest.param(
            "custom_id,prompt,references\na,p,x.png|y.png|z.png\n",
            {"custom_id": "a", "prompt": "p", "references": "x.png|y.png|z.png"},
            id="bars in a list",
        ),
        pytest.param("product;text\nMug;red, blue\n", {"product": "Mug", "text": "red, blue"}, id="none of ours"),
        pytest.param("product\nLamp, blue\nMug; red\n", {"product": "Lamp, blue"}, id="one column"),
    ],
)
def test_the_sign_is_the_one_that_makes_a_table(content: str, row: dict[str, str], tmp_path: Path) -> None:
    if row == {"product": "Lamp, blue"}:
        content = content.replace("Lamp, blue", '"Lamp, blue"')
    assert read(tmp_path, content).to_pylist()[0] == row


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("sign", [";", ",", "\t", "|", "^"])
def test_excels_own_first_line_is_obeyed_and_left_out(sign: str, encoding: str, tmp_path: Path) -> None:
    content = f"sep={sign}\r\ncustom_id{sign}prompt\r\nä{sign}a red mug\r\n".encode(encoding)
    assert read(tmp_path, content).to_pylist() == [{"custom_id": "ä", "prompt": "a red mug"}]


def test_sep_wins_over_what_looks_better(tmp_path: Path) -> None:
    assert read(tmp_path, "SEP=;\nproduct,a;b\n1,2;3\n").to_pylist() == [{"product,a": "1,2", "b": "3"}]


@pytest.mark.parametrize("line", ["sep=", 'sep="', "sep=é"])
def test_sep_without_a_sign_is_a_sentence(line: str, tmp_path: Path) -> None:
    assert "without a sign that can stand between cells" in refusal(tmp_path, f"{line}\ncustom_id,prompt\na,b\n")


@pytest.mark.parametrize("line", ["sep = ;", "sep= ;", "SEP =;", " sep=; "])
def test_sep_may_have_blanks(line: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"{line}\ncustom_id;prompt\na;x\n").to_pylist() == [{"custom_id": "a", "prompt": "x"}]


def test_sep_may_write_a_tab_as_programmers_do(tmp_path: Path) -> None:
    assert read(tmp_path, "sep=\\t\ncustom_id\tprompt\na\tx, y\n").to_pylist()[0]["prompt"] == "x, y"


# Encodings


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_an_encoding_that_is_not_read_is_named(encoding: str, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=f"is in {encoding[:6].upper()}.*save it as “CSV UTF-8”"):
        read(tmp_path, "custom_id,prompt\na,b\n".encode(encoding))


HALF_A_SIGN = b"\xff\xfe" + "custom_id,prompt\na,b\nc,mug ".encode("utf-16-le")


@pytest.mark.parametrize(
    "rest", [b"x", b"\x00\xd8", b"\x00\xd8x\0", b"\x00\xdcx\0"], ids=["byte", "end", "high", "low"]
)
def test_utf16_with_half_a_sign_is_refused_with_its_line(rest: bytes, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"^Line 3 of “m\.csv” is not proper UTF-16"):
        read(tmp_path, HALF_A_SIGN + rest)


# Where the table begins


@pytest.mark.parametrize("above", ["\n", "\r\n\r\n", "   \n", ";;\r\n", " , ,\n\n", "\nsep=;\n\n"])
def test_lines_of_nothing_above_the_header_are_skipped(above: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"{above}custom_id;prompt\na;x\n").to_pylist() == [{"custom_id": "a", "prompt": "x"}]


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_header_alone_is_a_table_of_no_rows(end: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"custom_id,prompt{end}").num_rows == 0


@pytest.mark.parametrize(
    ("row", "line", "words"),
    [
        ("a,b,c\n", 6, "has 3 cells, but the first line names 2 columns; a text with “,”"),
        ("a\n", 6, "has 1 cell, but"),
        ("(1 row affected)\n", 6, "has 1 cell, but"),
        ('"x,y",5" x,6" y\n', 6, "has 3 cells, but"),
    ],
)
def test_a_row_of_another_length_is_refused_with_its_line(row: str, line: int, words: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, f'custom_id,prompt\n\na,"x\n, y"\n\n{row}b,y\n')
    assert message.startswith(f"Line {line} of “m.csv” {words}")


def test_a_tab_is_called_a_tab(tmp_path: Path) -> None:
    assert "a text with a tab or a line break in it" in refusal(tmp_path, "custom_id\tprompt\na\tb\tc\n")


# Rows and columns of nothing


def test_rows_of_nothing_at_the_end_are_skipped_and_counted(tmp_path: Path) -> None:
    table = read(tmp_path, "custom_id;prompt;sku\r\na;a mug;1\r\nb;a lamp;2\r\n" + ";;\r\n" * 40)
    assert table["custom_id"].to_pylist() == ["a", "b"]
    assert notes_of(table) == (
        "“m.csv” has 40 rows of nothing but separators (from 3 on); they are skipped and not counted.",
    )


def test_rows_of_nothing_among_others_are_skipped_and_named(tmp_path: Path) -> None:
    table = read(tmp_path, 'custom_id,prompt\na,x\n,\n\n" ",\u00a0\n,y\nb,z\n', limit=2)
    assert table.to_pylist() == [{"custom_id": "a", "prompt": "x"}, {"custom_id": None, "prompt": "y"}]
    assert "2 rows of nothing but separators (2, 3)" in notes_of(table)[0]


def test_columns_of_nothing_are_left_out(tmp_path: Path) -> None:
    table = read(tmp_path, "custom_id,prompt,,\na,a mug,,\nb,a lamp, ,\n")
    assert table.column_names == ["custom_id", "prompt"] and notes_of(table) == ()


def test_columns_without_a_name_are_called_by_their_place(tmp_path: Path) -> None:
    table = read(tmp_path, ",custom_id,prompt,,column_5, \n0,a,x,,1,z\n")
    assert table.column_names == ["column_1", "custom_id", "prompt", "column_5", "column_6"]
    assert table.to_pylist()[0]["column_6"] == "z"
    assert notes_of(table)[0] == "Column 1 of “m.csv” has values but no name; it is carried along as column_1."


def test_a_file_that_dos_ended_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, "custom_id,prompt\na,a mug\n\x1a").num_rows == 1


def test_lines_that_end_as_on_old_macs_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, 'custom_id;prompt\ra;"x ""y"""\rb;z\r')["prompt"].to_pylist() == ['x "y"', "z"]


# Quotes


@pytest.mark.parametrize(
    ("content", "line"),
    [
        pytest.param('custom_id,prompt\na,"a \\"red\\" mug"\n', 2, id="words"),
        pytest.param('custom_id,prompt,width\na,mug,1\nb,"5\\"",128\nc,"7\\"",128\n', 3, id="inches"),
        pytest.param('custom_id,prompt\na,"5\\""\n', 2, id="once, at the end"),
        pytest.param('custom_id,prompt\na,"\\"red\\", \\"big\\" mug"\n', 2, id="with commas"),
        pytest.param('custom_id,prompt\na,"x\ny \\"z\\""\n', 3, id="in a second line"),
        pytest.param('sep=,\ncustom_id,prompt\na,"\\"x\\""\n', 3, id="behind sep"),
    ],
)
def test_quotes_with_backslashes_are_refused_with_their_line(content: str, line: int, tmp_path: Path) -> None:
    message = refusal(tmp_path, content)
    assert (
        message.startswith(f"Line {line} of “m.csv” has a quote with a backslash") and 'write it twice ("")' in message
    )


def test_quotes_that_csv_takes_otherwise_are_refused_with_their_line(tmp_path: Path) -> None:
    assert "Line 2 of “m.csv” goes on behind a closing quote (“ red”)" in refusal(
        tmp_path, 'custom_id,prompt\na,"x" red\n'
    )
    assert "Line 3 of “m.csv” opens a quote that is never closed" in refusal(
        tmp_path, 'custom_id,prompt\na,b\nc,"d\ne,f\n'
    )


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('"C:\\dir\\"', "C:\\dir\\"),
        ('5" \\"x\\"', '5" \\"x\\"'),
        ('"""x"""', '"x"'),
        ('"a\n,""\\n"""', 'a\n,"\\n"'),
        ('"\\""x"', '\\"x'),
        ('""', None),
    ],
)
def test_proper_quotes_and_backslashes_stay_what_they_are(cell: str, text: str | None, tmp_path: Path) -> None:
    assert read(tmp_path, f"custom_id,prompt,sku\na,{cell},1\n").to_pylist()[0]["prompt"] == text


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('custom_id,prompt\na, "a red mug"\n', 2),
        ('custom_id, "prompt"\na,b\n', 1),
        ('custom_id, prompt, note\na, x, y\nb, "a red mug, big" , z\n', 3),
        ('custom_id;prompt\na;\t"red\nmug"\n', 2),
        ('custom_id,prompt\na,b\nc, "a ""red"" mug"', 3),
    ],
)
def test_a_blank_before_a_quote_is_refused_with_its_line(content: str, line: int, tmp_path: Path) -> None:
    message = refusal(tmp_path, content)
    assert message.startswith(f"Line {line} of “m.csv” has a blank before a quote (“")
    assert message.endswith("remove the blanks between sign and quote.")


@pytest.mark.parametrize("text", [' "big" mug', ' 5" mug', " a red mug", ' "', '  "tis', ' "a" "b" x'])
def test_a_blank_and_a_quote_in_a_text_are_a_part_of_it(text: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"custom_id,prompt\na,{text}\n")["prompt"].to_pylist() == [text]


def test_a_formula_that_csv_splits_is_refused_with_its_line(tmp_path: Path) -> None:
    assert 'Line 2 of “m.csv” begins a text with =" that does not end in its cell' in refusal(
        tmp_path, 'custom_id,prompt,x\na,="red, big"\n'
    )
