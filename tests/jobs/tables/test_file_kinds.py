"""A file that is no table of text, whatever its name says, is called what it is."""

import bz2
import gzip

import pytest

from pressrun.jobs.tables.csv_reader import read_csv
from pressrun.jobs.tables.json_lines import read_json_lines
from pressrun.pipeline.errors import JobError

PAGE = b"  <!DOCTYPE html>\n<html><body>Sign in</body></html>"


@pytest.mark.parametrize("read", [read_csv, read_json_lines])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (PAGE, "is a web page; download the table itself"),
        (b"\xef\xbb\xbf" + PAGE, "is a web page; download the table itself"),
        (b"<table><tr><td>custom_id</td></tr></table>", "is a web page"),
        (b"<?xml version='1.0'?><Workbook/>", "is XML; save it as .xlsx or “CSV UTF-8”"),
        (b"<rows><row/></rows>", "is XML"),
        (gzip.compress(b"custom_id,prompt\na,b\n", mtime=0), "is compressed; unpack it"),
        (bz2.compress(b"custom_id,prompt\na,b\n"), "is compressed; unpack it"),
        (b"PAR1\x15\x04", "is no text but a Parquet file; let its name end with .parquet"),
        (b"PK\3\4" + b"\0" * 40, "is no text but, it seems, an Excel workbook"),
        (b"%PDF-1.7\n", "is a PDF"),
    ],
)
def test_another_kind_of_file_is_named(read, content: bytes, words: str) -> None:
    with pytest.raises(JobError) as refused:
        read(content, "m.csv", None, 1 << 24)
    [problem] = refused.value.problems
    assert problem.startswith(f"“m.csv” {words}") and problem.endswith(".")


@pytest.mark.parametrize("header", ["<custom_id>,prompt", "<name>;x", "<,>", "PKW;prompt", "BZ;prompt"])
def test_a_name_in_pointed_brackets_is_a_name(header: str) -> None:
    assert read_csv(f"{header}\na;b\n".replace(";", ",").encode(), "m.csv", None, 1 << 24).num_rows == 1
