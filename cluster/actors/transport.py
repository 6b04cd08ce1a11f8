"""How tensors go from one actor's device to another's: by Ray's direct transport where there is one for them.

Without it they go through the host's memory and Ray's object store, packed (`cluster.protocol.packed_tensor`). With it
Ray's NCCL group brings them from GPU to GPU. It is alpha in Ray 2.60, and one of its transfers that fails ends both
actors: to whoever called them they are lost, as if their machine were. A call that fails leaves them as they were.
"""

import logging
import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

logger = logging.getLogger(__name__)

_BACKENDS = {"nccl": "nccl", "gloo": "torch_gloo"}
"""Of the groups of actors that transports need, by the name of the transport."""


def transport_of(device: str, gpus: float) -> str:
    """Ray's name of the transport between actors on such devices, with so many GPUs each; "" for the object store.

    NCCL wants a GPU for each actor, and Ray's groups of it want CuPy, which Pressrun does not ask for: whoever installs
    it has the direct transport, unless `PRESSRUN_DIRECT_TRANSPORT` is "off".
    """
    off = os.environ.get("PRESSRUN_DIRECT_TRANSPORT") == "off"
    return "nccl" if device.startswith("cuda") and gpus >= 1 and not off and find_spec("cupy") else ""


def connected(actors: Sequence[Any], transport: str) -> bool:
    """Whether the actors can send each other tensors from now on, by `transport`. Blocks; says why they cannot."""
    from ray.experimental.collective import create_collective_group

    try:
        create_collective_group(list(actors), backend=_BACKENDS[transport])
    except Exception as error:  # whatever stands in its way, there is another way
        logger.warning("Shards exchange tensors through the object store: %s failed (%s).", transport, error)
        return False
    return True


def settle(device: str) -> None:
    """Wait until all that a GPU was asked for is done. Ray sends and receives on a stream of its own, which whoever
    computed a tensor may be behind, and whose end nobody else waits for."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)
