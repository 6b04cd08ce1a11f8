"""Several addresses in one text, as shops' exports have them: what parts them is only certain where one begins."""

import itertools
import re
from collections.abc import Iterator

_BEGINS = re.compile(r"(?:https?|s3|file)://|//[\w-]++(?:\.[\w-]++)++/|data:[a-z]++/", re.IGNORECASE)
_PACKED = re.compile(r"data:[^,|]*;base64,[\sA-Za-z0-9+/=%]*+", re.IGNORECASE)


def addresses_in(text: str) -> list[str]:
    """The addresses and paths in a cell of text: between `|`, on lines of their own, or each where another address
    begins behind a comma, a semicolon or a blank. Commas and blanks in paths may be part of a file's name."""
    if _PACKED.fullmatch(text):  # mail programs break base64 into lines
        return ["".join(text.split())]
    lines = [re.split(r"[\r\n]\s*", piece.strip()) for piece in text.split("|")]
    return [address for line in itertools.chain(*lines) for address in _apart(line.strip())]


def holds_several(entry: str) -> bool:
    """Whether one entry of a list surely is several addresses: a comma alone may belong to one."""
    entry = entry.strip()
    return any(entry[start - 1].isspace() for start in _beginnings(entry))


def _apart(line: str) -> list[str]:
    behind = (start for start in _beginnings(line) if line[start - 1] in ",;" or line[start - 1].isspace())
    starts = [0, *behind]
    parts = [line[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]
    return [part.strip().rstrip(",;").rstrip() for part in parts[:-1]] + parts[-1:]


def _beginnings(text: str) -> Iterator[int]:
    """Where an address begins behind something else."""
    return (match.start() for match in _BEGINS.finditer(text) if match.start())
