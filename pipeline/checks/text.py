"""Required text, read back from the picture by optical character recognition (RapidOCR, the extra `ocr`).

RapidOCR ships its weights and reads Latin letters without their accents, and digits. So only those are compared,
whatever their case and whatever stands between them.
"""

import re
import threading
from functools import cache

import numpy as np

from pressrun.pipeline.errors import JobError

_PARAMETERS = {
    "Det.limit_type": "max",  # with the defaults, 6 of 24 good texts were rejected
    "Det.limit_side_len": 640,
    "Global.log_level": "error",
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,  # the other threads are the denoiser's
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
}
_UNREAD = re.compile("[^A-Za-z0-9]")
_reading = threading.Lock()


def check_reader() -> None:
    """Raises JobError where the extra that reads texts is not installed."""
    try:
        import onnxruntime  # noqa: F401
        import rapidocr  # noqa: F401
    except ImportError:
        raise JobError(
            'The check of required text needs an extra: pip install "pressrun[ocr]".', code="missing_extra"
        ) from None


def read_text(pixels: np.ndarray) -> str:
    """Every text in a picture, uint8 (H, W, 3), from top to bottom, with spaces between them."""
    with _reading:  # the reader keeps what it is doing in itself
        found = _reader()(np.ascontiguousarray(pixels[..., ::-1]), use_cls=False)
    return " ".join(found.txts or ())


def text_score(wanted: str, read: str) -> float:
    """How much of `wanted` was read, 0 to 1: 1 if all of it stands there letter for letter.

    The edit distance to the stretch of `read` that comes nearest to it, by its length. 0 where no letter of it can be
    read at all, as in Cyrillic.
    """
    wanted, read = (_UNREAD.sub("", text).casefold() for text in (wanted, read))
    if not wanted:
        return 0.0
    row = np.zeros(len(read) + 1, int)  # it may begin anywhere
    for number, letter in enumerate(wanted, 1):
        before, row = row, np.full(len(read) + 1, number)
        for place, other in enumerate(read, 1):
            row[place] = min(before[place] + 1, row[place - 1] + 1, before[place - 1] + (letter != other))
    return 1.0 - min(1.0, float(row.min()) / len(wanted))


@cache
def _reader():  # type: ignore[no-untyped-def]
    from rapidocr import RapidOCR

    return RapidOCR(params=_PARAMETERS)
