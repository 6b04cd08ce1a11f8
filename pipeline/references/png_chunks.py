"""What a PNG says beside its pixels, taken out of it: a workflow, a history or a printer's profile may be megabytes.

Pillow refuses a whole picture for one long text, a damaged comment, or a colour profile of more than a mebibyte. Only
three of these things decide how a picture looks, and those are unpacked here, each within a limit.
"""

import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_BYTES = 16 << 20
"""Of one text or profile, unpacked: printers' profiles have two or three mebibytes. A longer one is passed over."""

_NEEDED = {b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT"}
_TOLD = {b"XML:com.adobe.xmp": "xmp", b"Raw profile type exif": "Raw profile type exif"}


def pixels_alone(data: bytes) -> tuple[bytes, dict[str, str | bytes]]:
    """A PNG without what is not needed for its pixels, and what that said of them, as Pillow's `info` has it: colour
    profile, XMP, raw EXIF. Other bytes are as they were, and so is whatever is behind a chunk that is cut off."""
    if not data.startswith(SIGNATURE):
        return data, {}
    info: dict[str, str | bytes] = {}
    kept: list[bytes | memoryview] = [SIGNATURE]
    start = len(SIGNATURE)
    view = memoryview(data)
    for kind, body, end in _chunks(data):
        if kind[:1].isupper() or kind in _NEEDED:
            kept.append(view[start:end])
        else:
            info |= _told(kind, view[body : end - 4])
        start = end
    kept.append(view[start:])
    return b"".join(kept), info


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start of the body and end of each chunk, checksum included, as long as they are whole."""
    place = len(SIGNATURE)
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if end > len(data):
            return
        yield data[place + 4 : place + 8], place + 8, end
        place = end


def _told(kind: bytes, body: memoryview) -> dict[str, str | bytes]:
    """What a chunk says of how the pixels look; nothing where it is about something else, damaged or too long."""
    if kind not in (b"iCCP", b"tEXt", b"zTXt", b"iTXt"):
        return {}
    key, _, _ = bytes(body[:80]).partition(b"\0")
    name = "icc_profile" if kind == b"iCCP" else _TOLD.get(key)
    if name is None:
        return {}
    value = body[len(key) + 1 :]
    packed = kind != b"tEXt" and bytes(value[:1]) == (b"\1" if kind == b"iTXt" else b"\0")
    if kind == b"iTXt":
        value = memoryview(bytes(value[2:]).split(b"\0", 2)[-1])  # behind the language and the translated key
    elif packed:
        value = value[1:]
    text = _unpacked(value) if packed else bytes(value)
    if not text or len(text) > MAX_BYTES:
        return {}
    return {name: text.decode("latin-1") if name == "Raw profile type exif" else text}


def _unpacked(packed: memoryview) -> bytes:
    """At most one byte more than is taken, whatever it would become; nothing where it is damaged."""
    try:
        return zlib.decompressobj().decompress(packed, MAX_BYTES + 1)
    except zlib.error:
        return b""
