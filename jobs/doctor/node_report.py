"""What a cluster's node says of itself; it runs there, in a process of Ray's."""

import socket
import time
from dataclasses import dataclass
from pathlib import Path

from pressrun.cluster.placement.devices import gpu_memory
from pressrun.jobs.doctor.requirements import installed
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import look_up, model_digest


@dataclass(frozen=True)
class NodeReport:
    """A node's `name`, its `versions` by package, the bytes of its `gpus`, its time of day (seconds since 1970), the
    digest of the model that is asked for ("": not there), and whether it sees the `marker` file."""

    name: str
    versions: dict[str, str]
    gpus: tuple[int, ...]
    time: float
    model: str
    sees: bool


def report(model: str, marker: str) -> NodeReport:
    """Look at the machine that this runs on."""
    try:
        known = look_up(model)
        digest = model_digest(known) if known.folder else ""
    except (JobError, OSError):
        digest = ""
    sees = not marker or Path(marker).exists()
    return NodeReport(socket.gethostname(), installed(), gpu_memory(), time.time(), digest, sees)
