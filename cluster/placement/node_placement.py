"""Where actors go: Ray places by what an actor asks for, and those without a GPU ask for nothing."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pressrun.cluster.placement.devices import Devices, Node


class NodePlacer:
    """Counts who was sent where; `devices` are the nodes that there are now."""

    def __init__(self, devices: Devices | None = None) -> None:
        self.devices = devices
        self._sent: Counter[str] = Counter()

    def choose(self, gpus: float) -> Any:
        """Ray's scheduling strategy for the next actor: one with a GPU goes where GPUs are free, one without to the
        node with the fewest of them for its cores."""
        return "SPREAD" if gpus or not self._nodes else self._at(self._next())

    def side_by_side(self, gpus: float, sizes: Sequence[int]) -> tuple[list[Any], Any]:
        """Strategies for a replica's shards of these bytes, on one node if they find room there, else as near as they
        get; and the placement group that they are in, which whoever ends them has to remove, if it took one."""
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        if not gpus and not self._nodes:
            return ["SPREAD"] * len(sizes), None
        if not gpus:
            home = self._next()
            if not home.memory or sum(sizes) <= home.memory:
                return [self._at(home)] * len(sizes), None
        bundles: list[dict[str, float]] = [{"GPU": gpus} if gpus else {"memory": float(size)} for size in sizes]
        group = placement_group(bundles, strategy="PACK")
        return [
            PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=n) for n in range(len(sizes))
        ], group

    @property
    def _nodes(self) -> Sequence[Node]:
        return self.devices.nodes if self.devices else ()

    def _next(self) -> Node:
        home = min(self._nodes, key=lambda node: ((self._sent[node.id] + 1) / max(node.cpus, 0.5), node.id))
        self._sent[home.id] += 1
        return home

    @staticmethod
    def _at(node: Node) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        # Softly, Ray puts an actor elsewhere for no other reason than that the node has just come.
        return NodeAffinitySchedulingStrategy(node.id, soft=False)

    def left(self, nodes: tuple[str, ...]) -> None:
        """An actor that was there is gone."""
        for node in nodes[:1]:
            self._sent[node] -= self._sent[node] > 0
