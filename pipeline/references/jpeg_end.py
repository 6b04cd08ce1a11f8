"""A JPEG that lacks nothing but its end-of-image marker, as some cameras and uploads leave it: every viewer shows it.

Pillow refuses it like one that was cut off in its middle, and takes both with the marker appended. They are told apart
by what comes between: a picture that is whole stays the same whatever stands before the marker, while one that was cut
off is drawn on with it. That holds inside a scan, so only pictures of one scan are mended, which most are, and only
with as many restart markers in it as they need (ITU-T T.81, annex B).
"""

import hashlib
import io
import re
import struct
from collections.abc import Iterator

from PIL import Image

_START, _END = b"\xff\xd8", b"\xff\xd9"
_SEQUENTIAL, _SCAN, _RESTARTS = (0xC0, 0xC1), 0xDA, 0xDD
_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_NOISE = bytes(number * 167 % 251 for number in range(1, 4_096))
"""Anything but a marker: no byte is 0xFF."""


def with_end(data: bytes) -> bytes | None:
    """A JPEG with the marker that it lacks; None where it is none, lacks nothing, or may lack more than that.

    To be called for pictures whose size is known to be bearable: it decodes them.
    """
    scanned = data.removesuffix(_END[:1])
    try:
        if not _has_all_restarts(scanned):
            return None
        is_whole = _digest(scanned + _END) == _digest(scanned + _NOISE + _END)
    except (OSError, SyntaxError, ValueError, IndexError, struct.error):
        return None
    return scanned + _END if is_whole else None


def _has_all_restarts(data: bytes) -> bool:
    """Whether a picture has a single scan that needs no other markers than it has."""
    interval, units, planes = 0, 0, -1
    for marker, body, end in _segments(data):
        if marker == _RESTARTS:
            [interval] = struct.unpack_from(">H", body)
        elif marker in _SEQUENTIAL:
            height, width, planes = struct.unpack_from(">HHB", body, 1)
            factors = [divmod(body[7 + 3 * plane], 16) for plane in range(planes)]
            across, down = (8 * max(each) if planes > 1 else 8 for each in zip(*factors, strict=True))
            units = -(-width // across) * -(-height // down)
        elif marker == _SCAN:
            found = _MARKER.findall(data, end)
            restarts = (units - 1) // interval if interval else 0
            return body[0] == planes and found == [bytes([0xD0 + number % 8]) for number in range(restarts)]
    return False


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Markers with what they hold, and where that ends, up to the first scan. Raises where they are none."""
    place = len(_START) if data.startswith(_START) else len(data)
    while (found := _MARKER.match(data, place)) is not None:
        place = found.end()
        [length] = struct.unpack_from(">H", data, place)
        yield found[1][0], data[place + 2 : place + length], place + length
        place += length


def _digest(data: bytes) -> bytes:
    """Stands for a picture's pixels, of which no two are held at once."""
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return hashlib.sha256(image.tobytes()).digest()
