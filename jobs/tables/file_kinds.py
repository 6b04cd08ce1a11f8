"""Files that are not what their names say: an archive, a page or another encoding under the name of a table of text.

Read as text they would fail somewhere, for a cause that nobody would find; here each is called by its name.
"""

import re

from pressrun.pipeline.errors import JobError

BOM = b"\xef\xbb\xbf"

_KINDS = (
    (re.compile(rb"PK\x03\x04"), "no text but, it seems, an Excel workbook; let its name end with .xlsx"),
    (re.compile(rb"\x1f\x8b|BZh[1-9]|\x28\xb5\x2f\xfd|\xfd7zXZ\0"), "compressed; unpack it and give what is inside"),
    (re.compile(rb"PAR1"), "no text but a Parquet file; let its name end with .parquet"),
    (re.compile(rb"%PDF-"), "a PDF; save its table as “CSV UTF-8”"),
    (re.compile(rb"\xd0\xcf\x11\xe0"), "a file of Excel's or Word's; save it as .xlsx or “CSV UTF-8”"),
    (
        re.compile(rb"\s*<(?:!doctype html|html|head|body|table|meta)\b", re.IGNORECASE),
        "a web page; download the table itself (a page often stands for a login that is missing), or save the page's "
        "table as “CSV UTF-8”",
    ),
    (
        re.compile(rb"\s*<(?:\?xml\b|[a-z][^<]*<.*</)", re.IGNORECASE | re.DOTALL),
        "XML; save it as .xlsx or “CSV UTF-8”",
    ),
)
"""Beginnings, the likeliest meaning first, and what to say of them."""


def refuse_other_kinds(content: bytes, name: str) -> None:
    """Raise JobError, with what it is, for a file that is no table of text."""
    start = content[:1_000].removeprefix(BOM)
    for beginning, words in _KINDS:
        if beginning.match(start):
            raise JobError(f"“{name}” is {words}.", code="bad_manifest")


def wide_encoding(content: bytes) -> tuple[str, bool]:
    """The encoding of a file of two or four bytes a letter, and whether it says so itself; "" for another one."""
    if content.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "UTF-32", True
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16", True
    if content[1:4] == b"\0\0\0" or (content[:3] == b"\0\0\0" and content[3:4] not in (b"", b"\0")):
        return "UTF-32", False
    if content[1:4:2] == b"\0\0" or content[0:3:2] == b"\0\0":
        return "UTF-16", False
    return "", False
