"""Texts in Excel's workbooks as Excel reads them: signs that XML cannot hold stand there as `_x000D_`.

A text that happens to look so has its first `_` written as `_x005F_` (ECMA-376, part 1, 22.9.2.19, ST_Xstring).
openpyxl leaves such signs as they are and drops `x005F_` from every text, also from inside a word; so the texts of a
workbook are read here.
"""

import re
from typing import Any

_ESCAPED = re.compile(r"(?:_x[0-9A-Fa-f]{4}_)+")
_UNIT = re.compile(r"_x([0-9A-Fa-f]{4})_")
_NEEDED = re.compile(r"[\x00-\x1f\ud800-\udfff\ufffe\uffff]")
"""What Excel itself writes so, beside `_`."""


def strings_reader() -> Any:
    """openpyxl's reader of workbooks, which reads shared texts without changing them. Raises ImportError without it."""
    import openpyxl

    names = openpyxl.xml.constants

    class Reader(openpyxl.reader.excel.ExcelReader):  # type: ignore[misc]
        def read_strings(self) -> None:
            part = self.package.find(names.SHARED_STRINGS)
            if part is None:
                return
            with self.archive.open(part.PartName[1:]) as file:
                for _, node in openpyxl.xml.functions.iterparse(file):
                    if node.tag == f"{{{names.SHEET_MAIN_NS}}}si":
                        self.shared_strings.append(openpyxl.cell.text.Text.from_tree(node).content)
                        node.clear()

    return Reader


def text_of(written: str) -> str:
    """The text that a cell's characters stand for; half of a surrogate pair, which is no sign, is NUL."""
    return _ESCAPED.sub(_signs, written) if "_x" in written else written


def is_doubtful(written: str) -> bool:
    """Whether a text holds what Excel reads as a sign, but would not have written so: another program meant it."""
    return "_x" in written and any(
        code != "005F" and not _NEEDED.match(chr(int(code, 16)))
        for run in _ESCAPED.findall(written)
        for code in map(str.upper, _UNIT.findall(run))
    )


def _signs(found: re.Match[str]) -> str:
    units = b"".join(int(code, 16).to_bytes(2, "big") for code in _UNIT.findall(found[0]))
    return re.sub("[\ud800-\udfff]", "\0", units.decode("utf-16-be", errors="surrogatepass"))
