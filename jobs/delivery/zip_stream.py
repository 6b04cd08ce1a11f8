"""A zip that is written while it is made: what it has so far, and how many bytes that were."""

import io
from collections.abc import Iterator


class ZipWindow(io.RawIOBase):
    """A zip's end that was not taken yet: `zipfile` goes back into it to complete the header of the file in hand, so
    that no reader of the zip needs to know sizes that come after the bytes."""

    def __init__(self) -> None:
        self._start, self._file = 0, io.BytesIO()

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._start + self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        self._file.seek(offset - self._start if whence == 0 else offset, whence)
        return self.tell()

    def write(self, data: object) -> int:
        return self._file.write(data)  # type: ignore[arg-type]

    def taken(self) -> bytes:
        """Everything so far; what is taken cannot be gone back into."""
        data = self._file.getvalue()
        self._start, self._file = self._start + len(data), io.BytesIO()
        return data


class Counted:
    """Chunks, and how many bytes they were."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self.bytes = chunks, 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.bytes += len(chunk)
            yield chunk
