"""References that lead nowhere as they are written: what else they may mean, and what a person has to mend.

Names come from spreadsheets, files from Macs, downloads and cameras. A file that is called the same in other bytes is
the file that was meant: an umlaut is one sign or two, a blank is a blank or `%20`. Everything else is only a guess, and
is said.
"""

import os
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from urllib.parse import quote, unquote

from pressrun.cluster.net.url import is_web, shown

_PICTURE = r"\.(?:png|jpe?g|jfif|webp|avif|gif|tiff?|bmp|heic)"
_SEVERAL = re.compile(rf"{_PICTURE}(?:\?[^\s,;]*)?(?:\s*[,;]\s*|\s+)\S", re.IGNORECASE)
_ENDS = (
    "com|net|org|info|io|co|app|dev|cloud|shop|store|example|eu|de|at|ch|fr|it|es|nl|be|pl|se|uk|us|ca|au|jp|cn|in|br"
)
_HOST = re.compile(rf"/(?:https?:|www\.[^/]+|(?:[a-z0-9-]+\.)+(?:{_ENDS}))/", re.IGNORECASE)
_QUOTED = re.compile(r"/[\"'“”„‟«‹‘‚][^/]*[\"'“”»›’‘]$")
_MOST_NAMES = 10_000


def other_forms(name: str) -> Iterator[str]:
    """`name` as other programs write it: composed or decomposed, and with its percent signs read, or written."""
    seen = {name}
    plain = unquote(name, errors="replace")
    for form in (
        *(unicodedata.normalize(form, text) for text in (name, plain) for form in ("NFC", "NFD")),
        quote(name, safe="/!$&'()*+,:;=@"),
    ):
        inside = not {"", ".", ".."}.intersection(form.split("/")) and form.count("/") == name.count("/")
        if form not in seen and inside and "\0" not in form and "\ufffd" not in form:
            seen.add(form)
            yield form


def file_called(path: str) -> str | None:
    """The file at an absolute path each of whose parts may be called by another form of its name; None if there is
    none."""
    place = ""
    for part in path.strip("/").split("/"):
        forms = (f"{place}/{form}" for form in (part, *other_forms(part)))
        found = next(filter(os.path.lexists, forms), None)
        if found is None:
            return None
        place = found
    return place


def why_missing(uri: str) -> tuple[str, str] | None:
    """The code of what is probably wrong with a reference that leads nowhere, less its "reference_", and the rest of a
    sentence about it; None where nothing is known but that."""
    path = uri.partition("?")[0] if "://" in uri else uri
    if _SEVERAL.search(uri):
        return "several", "does not exist; if it names several pictures, put | between them"
    if is_web(uri):
        return None
    if "\\" in path:
        return "windows_path", "does not exist; write / between folders, as everywhere but on Windows"
    if _QUOTED.search(path):
        return "quoted", "does not exist; take the quotation marks away"
    host = _HOST.search(path)
    if host and not os.path.lexists(path[: host.end()]):
        return "no_scheme", "does not exist; if it is on the web, write https:// before its host"
    folder, _, name = path.rpartition("/")
    like = None if "://" in path else _names_by_case(folder or "/").get(_folded(name))
    if like not in (None, name) and os.path.lexists(f"{folder}/{like}"):
        return "case", f"does not exist, but “{shown(like)}” does: write it so, capitals matter"
    return None


@lru_cache(maxsize=8)
def _names_by_case(folder: str) -> dict[str, str]:
    """The first names in a folder, by what they are without regard to case; nothing where it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return {_folded(child.name): child.name for child in islice(found, _MOST_NAMES)}
    except (OSError, ValueError):
        return {}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
