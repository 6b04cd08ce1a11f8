"""The program of a process that decodes strangers' pictures and may die of them: pictures in, pixels out, no network,
no torch, no secrets.

A question on stdin is `QUESTION` (length of the bytes, the model's `reference_pixels`) and the bytes; an answer on
stdout is `ANSWER` (kind, width, height, length) and either RGB pixels or a refusal as JSON. It ends when stdin does.
Whoever started it keeps the time, and must believe nothing that it says (see `cluster.references.decoder_pool`).
"""

import json
import os
import resource
import signal
import struct
import warnings
from io import FileIO

import numpy as np
from PIL import Image, ImageCms, JpegImagePlugin, MpoImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.references.decode import decode_reference

QUESTION = struct.Struct(">QI")
ANSWER = struct.Struct(">BIII")
PIXELS, REFUSAL = 1, 2

PLUGINS = (ImageCms, JpegImagePlugin, MpoImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin)
"""Loaded at the start: none of them is looked for while a stranger's picture is open."""


def main(memory_bytes: int, seconds: float) -> None:
    """Answer until stdin ends. `memory_bytes` limits the address space; a picture that takes longer than `seconds` ends
    the process even if nobody is left who would do it."""
    questions, answers = FileIO(0, "rb"), FileIO(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a library that prints must not spoil an answer
    _confine(memory_bytes)
    while (head := _exactly(questions, QUESTION.size)) is not None:
        length, cap = QUESTION.unpack(head)
        data = _exactly(questions, length)
        if data is None:
            return
        signal.setitimer(signal.ITIMER_REAL, seconds)  # nobody handles SIGALRM: it ends the process
        frame = _answer(data, cap)
        del data
        signal.setitimer(signal.ITIMER_REAL, 0)
        for part in frame:
            _write(answers, part)


def _confine(memory_bytes: int) -> None:
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def _answer(data: bytes | bytearray, cap: int) -> tuple[bytes, bytes]:
    try:
        pixels = np.asarray(decode_reference(bytes(data), Model("", "", reference_pixels=cap)))
        height, width, _ = pixels.shape
        body = pixels.tobytes()
        return ANSWER.pack(PIXELS, width, height, len(body)), body
    except RequestError as error:
        code, message = error.code, error.message
    except MemoryError:
        code, message = "reference_too_large", "The reference picture needs more memory than decoding one may take."
    body = json.dumps({"code": code, "message": message}).encode()
    return ANSWER.pack(REFUSAL, 0, 0, len(body)), body


def _exactly(file: FileIO, length: int) -> bytearray | None:
    """The next `length` bytes, or None where the file ends before."""
    data = bytearray(length)
    view, filled = memoryview(data), 0
    while filled < length:
        count = file.readinto(view[filled:])
        if not count:
            return None
        filled += count
    return data


def _write(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
