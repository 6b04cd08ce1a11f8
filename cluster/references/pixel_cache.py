"""Decoded reference pictures on a run's own disk: what the survey has fetched and decoded, an actor need not again.

Files are named by the SHA-256 of the picture's bytes and hold a digest of the pixels and the pixels, raw: reading 3 MB
takes a millisecond, and a file that was cut off or meddled with is noticed. The folder belongs to the run's scratch and
goes with it. When it is full nothing more is kept; whoever misses a picture fetches it again.
"""

import contextlib
import hashlib
import os
import shutil
import threading
from pathlib import Path

import numpy as np

from pressrun.cluster.protocol.unit import Reference
from pressrun.pipeline.request import MULTIPLE

LIMIT_BYTES = 4 << 30
_DIGEST_BYTES = 32


class ReferenceCache:
    """Pixels by reference in `folder`; at most `limit_bytes`, and never more than half of what was free on the disk."""

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self._folder, self._limit = folder, limit_bytes
        self._used = 0
        self._lock = threading.Lock()

    def keep(self, sha256: str, pixels: np.ndarray) -> bool:
        """Store the pixels (H, W, 3), uint8, of the picture whose bytes have that digest; False if there is no room."""
        size = _DIGEST_BYTES + pixels.nbytes
        path = self._folder / sha256
        temporary = path.with_suffix(f".{threading.get_ident()}")
        try:
            with self._lock:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                free = shutil.disk_usage(self._folder).free
                if self._used + size > min(self._limit, (self._used + free) // 2):
                    return False
                self._used += size
            body = pixels.tobytes()
            with temporary.open("xb") as file:
                file.write(_digest(body, *pixels.shape[:2]))
                file.write(body)
            temporary.replace(path)
        except OSError:  # full, or the run has ended: a cache may always forget
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            return False
        return True

    def find(self, reference: Reference) -> np.ndarray | None:
        """The pixels of a reference, if this machine has them, whole and from a process of this user."""
        height, width = (side * MULTIPLE for side in reference.grid)
        try:
            with os.fdopen(os.open(self._folder / reference.sha256, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                status = os.fstat(file.fileno())
                if status.st_uid != os.getuid() or status.st_size != _DIGEST_BYTES + height * width * 3:
                    return None
                digest, body = file.read(_DIGEST_BYTES), bytearray(height * width * 3)
                if file.readinto(body) != len(body) or _digest(body, height, width) != digest:
                    return None
        except OSError:
            return None
        return np.frombuffer(body, np.uint8).reshape(height, width, 3)


def _digest(body: bytes | bytearray, height: int, width: int) -> bytes:
    digest = hashlib.sha256(f"{height} x {width}".encode())
    digest.update(body)
    return digest.digest()
