"""What a run can compute on: the nodes of a cluster with their cores, memory and GPUs, or this machine alone.

Ray knows how many GPUs a node has, not how much memory they have: each node with GPUs is asked once.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

OBJECT_STORE_SHARE = 0.3
"""Of a machine's memory: what Ray's objects may take on it, up to `OBJECT_STORE_LIMIT` bytes."""
OBJECT_STORE_LIMIT = 8 << 30

_SMI = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
_ASK_SEC = 60.0


@dataclass(frozen=True)
class Node:
    """A machine: `memory` is what actors may take of it, in bytes, `gpus` are the bytes of each of its GPUs (0: nobody
    knows). `name` is for people, `id` is Ray's."""

    cpus: float = 1.0
    memory: float = 0.0
    gpus: tuple[int, ...] = ()
    name: str = "this machine"
    id: str = ""


@dataclass(frozen=True)
class Devices:
    """All nodes of a cluster. With any GPU in it, models live on GPUs."""

    nodes: tuple[Node, ...]

    @property
    def kind(self) -> str:
        """Where models live: "cuda" or "cpu"."""
        return "cuda" if self.gpus else "cpu"

    @property
    def gpus(self) -> int:
        return sum(len(node.gpus) for node in self.nodes)

    @property
    def gpu_bytes(self) -> int:
        """Of the smallest GPU: an actor may get any. 0 where some node could not tell."""
        return min((one for node in self.nodes for one in node.gpus), default=0)

    def describe(self) -> str:
        """As a person says it: `4 GPUs of 79.6 GiB`, `2 nodes with 16 cores`."""
        if self.gpus:
            size = f" of {self.gpu_bytes / 2**30:.1f} GiB" if self.gpu_bytes else ", whose memory is not known"
            return f"{self.gpus} GPU{'s' * (self.gpus > 1)}{size}"
        cores = sum(int(node.cpus) for node in self.nodes)
        memory = max(node.memory for node in self.nodes)
        where = f"{len(self.nodes)} nodes" if len(self.nodes) > 1 else "one machine"
        return f"{where} with {cores} cores and {memory / 2**30:.1f} GiB" + " each" * (len(self.nodes) > 1)


def devices_here() -> Devices:
    """This machine as Ray would find it, without starting Ray."""
    import psutil

    free = psutil.virtual_memory().available
    memory = free - min(free * OBJECT_STORE_SHARE, OBJECT_STORE_LIMIT)
    gpus = () if "+cpu" in version("torch") else _visible(gpu_memory())
    return Devices((Node(len(os.sched_getaffinity(0)), memory, gpus),))


def devices_of_cluster(wait: bool = True) -> Devices:
    """The nodes of the cluster that this process has joined, without those that are about to leave it and those that
    are there for other things than computing (a head is often given no CPUs); not waiting, also without those that have
    not said yet what their GPUs have."""
    import ray

    leaving = draining()
    found = {node["NodeID"]: node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in leaving}
    _ask([name for name, node in found.items() if node["Resources"].get("GPU", 0) >= 1], _ASK_SEC if wait else 0.0)
    there = tuple(_node(node) for name, node in found.items() if name not in _asking)
    return Devices(tuple(node for node in there if node.cpus or node.gpus) or there)


def draining() -> set[str]:
    """Nodes that were told to leave: nothing new is placed on them, and what they hold ends with them."""
    import ray

    return set(ray._private.state.state.get_draining_nodes())


_asked: dict[str, tuple[int, ...]] = {}
_asking: dict[str, tuple[Any, float]] = {}
"""What is known of nodes' GPUs, and whom it was asked of when: a node's identity is never used again."""


def _node(found: dict[str, Any]) -> Node:
    resources, name = found["Resources"], found["NodeManagerHostname"]
    count = int(resources.get("GPU", 0))
    known = _asked.get(found["NodeID"], ())
    gpus = known[:count] if len(known) >= count else (0,) * count
    return Node(resources.get("CPU", 0.0), resources.get("memory", 0.0), gpus, name, found["NodeID"])


def _ask(nodes: Sequence[str], seconds: float) -> None:
    """Have nodes say what their GPUs have, each once; one that has not answered in time is believed to have them."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    for gone in set(_asking).difference(nodes):
        del _asking[gone]
    # One call a process: where PyTorch had to be asked, memory on the GPU is taken until the process ends.
    ask = ray.remote(num_cpus=0, max_retries=0, max_calls=1)(gpu_memory)
    for node in set(nodes).difference(_asked, _asking):
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        _asking[node] = ask.options(scheduling_strategy=there).remote(), time.monotonic()
    refs = {answer: node for node, (answer, _) in _asking.items()}
    ready, _ = ray.wait(list(refs), num_returns=len(refs), timeout=seconds) if refs else ([], [])
    for answer in ready:
        with contextlib.suppress(ray.exceptions.RayError):
            _asked[refs[answer]] = ray.get(answer)
    late = time.monotonic() - _ASK_SEC
    for node, (answer, since) in list(_asking.items()):
        if answer in ready or since <= late:
            del _asking[node]
            _asked.setdefault(node, ())


def gpu_memory() -> tuple[int, ...]:
    """Bytes of each GPU of this machine, as its driver says, or PyTorch where the driver's tool is not there."""
    try:
        said = subprocess.run(_SMI, capture_output=True, text=True, timeout=20, check=True).stdout
        return tuple(int(line) << 20 for line in said.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        import torch

        os.environ.pop("CUDA_VISIBLE_DEVICES", None)  # Ray hides them from whoever asked for none
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return tuple(torch.cuda.get_device_properties(number).total_memory for number in range(count))


def _visible(gpus: tuple[int, ...]) -> tuple[int, ...]:
    """Those that `CUDA_VISIBLE_DEVICES` leaves to this process."""
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return gpus
    return gpus[: len([one for one in wanted.split(",") if one.strip() not in ("", "-1")])]
