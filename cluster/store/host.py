"""Which machine this is, as far as the numbers of processes go."""

import contextlib
import functools
import re
import socket
from pathlib import Path


@functools.cache
def this_host() -> str:
    """This machine, since its start, and this container: within them a process's number belongs to one process."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # other systems than Linux have a name only
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text()[:8])
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return re.sub(r"[^A-Za-z0-9]", "_", "_".join(parts))
