"""What a message never shows, whoever wrote the text: credentials in addresses, and objects' representations.

Every error of Pressrun passes through here when it is made, so that no sentence, wherever it ends (terminal, results,
summary, contact sheet), can hold the signature of a presigned address or a password.
"""

import re

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^\s“”]*)")
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(:[0-9]*)?")
_CLOSING = re.compile(r"[.,;:)\]'\"]*$")
_OBJECT = re.compile(r"<[^<>]* at 0x[0-9a-fA-F]+[^<>]*>")
_PATH = re.compile(r"(?<![\w:/.>…])/(?:[\w.+~-]+/)+(?=[\w.+-])")


def redacted(text: str) -> str:
    """`text` with every address in it cut down to scheme, host and path. The same again changes nothing."""
    if "://" in text:
        text = _ADDRESS.sub(lambda match: match[1] + _public(match[2]), text)
    return _OBJECT.sub("an object", text)


def without_folders(text: str) -> str:
    """`redacted` text in which files of a host have only their names: `/srv/models/a.json` is `…/a.json`."""
    return _PATH.sub("…/", redacted(text))


def _public(rest: str) -> str:
    """What follows `scheme://`, without user, password, query and fragment; an authority that is not understood is left
    out, and everything after it."""
    place, mark = _partition(rest)
    authority, slash, path = place.partition("/")
    authority = authority.rpartition("@")[2]
    end: str = _CLOSING.search(rest)[0]  # type: ignore[index]
    if not _AUTHORITY.fullmatch(_CLOSING.sub("", authority)):
        return f"…{end}"
    return f"{authority}{slash}{path}{f'{mark}…{end}' if mark else ''}"


def _partition(rest: str) -> tuple[str, str]:
    """What stands before the query or fragment, and the sign that begins it."""
    match = re.search(r"[?#]", rest)
    return (rest[: match.start()], match[0]) if match else (rest, "")
