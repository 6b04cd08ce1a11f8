"""An upload that is made while it goes on: chunks of bytes as the stream of parts that boto3 takes."""

import io
from collections.abc import Iterable
from typing import Any

from boto3.s3.transfer import TransferConfig

_PART_BYTES = 16 << 20  # of an object in parts: S3 takes 10,000 of them, 160 GB


def in_parts() -> TransferConfig:
    """How an object is uploaded in parts: of those, five stand in memory."""
    config = TransferConfig(multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES, max_concurrency=3)
    config.max_in_memory_upload_chunks = 2  # what waits for a thread; boto3 passes no such argument on
    return config


def stream(chunks: Iterable[bytes]) -> io.BufferedReader:
    """Chunks of bytes as a file that can only be read onwards."""
    return io.BufferedReader(_Chunks(chunks), _PART_BYTES)


class _Chunks(io.RawIOBase):
    """Chunks of bytes as a file that can only be read onwards."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        length = min(len(buffer), len(self._left))
        buffer[:length] = self._left[:length]
        self._left = self._left[length:]
        return length
