"""Where actors without a GPU go: Ray places by what an actor asks for, and these ask for nothing."""

from collections import Counter
from typing import Any

from cluster.devices import Devices


class Homes:
    """Counts who was sent where; `devices` are the nodes that there are now."""

    def __init__(self, devices: Devices | None = None) -> None:
        self.devices = devices
        self._sent: Counter[str] = Counter()

    def choose(self, gpus: float) -> Any:
        """Ray's scheduling strategy for the next actor: one with a GPU goes where GPUs are free, one without to the
        node with the fewest of them for its cores."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if gpus or self.devices is None or not self.devices.nodes:
            return "SPREAD"
        home = min(self.devices.nodes, key=lambda node: ((self._sent[node.id] + 1) / max(node.cpus, 0.5), node.id))
        self._sent[home.id] += 1
        # Softly, Ray puts an actor elsewhere for no other reason than that the node has just come.
        return NodeAffinitySchedulingStrategy(home.id, soft=False)

    def left(self, nodes: tuple[str, ...]) -> None:
        """An actor that was there is gone."""
        for node in nodes[:1]:
            self._sent[node] -= self._sent[node] > 0
