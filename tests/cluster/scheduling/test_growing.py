"""A cluster of several nodes that grows, shrinks and loses nodes while a run goes on: nobody's units are lost."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pressrun.cluster.placement.layout import Layout, Role
from pressrun.cluster.protocol.unit import Outcome
from tests.cluster.cluster_here import ClusterHere, cluster_here
from tests.cluster.puppets import Puppet, units

STAGES = ("encode", "denoise", "decode")


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterHere]:
    import ray

    with cluster_here(head_cpus=1) as cluster:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster
        ray.shutdown()


class Run:
    """A run of slow units, a puppet for each core that the cluster has."""

    def __init__(self) -> None:
        import ray

        from pressrun.cluster.placement.devices import Devices, devices_of_cluster
        from pressrun.cluster.placement.node_placement import NodePlacer
        from pressrun.cluster.scheduling.dispatcher import Dispatcher
        from pressrun.cluster.scheduling.worker import Worker
        from pressrun.cluster.scheduling.worker_pool import WorkerPool

        actor, options = ray.remote(Puppet), {"num_cpus": 0, "max_concurrency": 2, "max_restarts": 0}
        devices = devices_of_cluster()
        homes = NodePlacer(devices)

        self.hired: list[str] = []
        self.problem = ""

        def hire(name: str) -> Worker:
            self.hired.append(name)
            stages, problem = ("fetch", "finish") if name.startswith("finish") else STAGES, self.problem

            def start() -> Any:
                return actor.options(**options, scheduling_strategy=homes.choose(0)).remote(problem)

            return Worker(name, stages, 2, start)

        def wanted(devices: Devices) -> dict[str, int]:
            return {"replica": sum(int(node.cpus) for node in devices.nodes)}

        count = wanted(devices)["replica"]
        layout = Layout("whole", count, (Role(STAGES, count, 0.0),), "cpu")
        names = [*(f"replica-{number}" for number in range(count)), "finish-0"]
        self.crew = WorkerPool(layout, [hire(name) for name in names], hire, wanted, homes)
        self.dispatcher = Dispatcher(self.crew)
        self.outcomes: list[Outcome] = []

    def go(self, count: int, until: Callable[[], bool] = lambda: False) -> None:
        """Render units; `until` is asked again and again, and once it holds no more of them come."""
        stop, end = threading.Event(), time.monotonic() + 120

        def some() -> Iterator[Any]:
            for unit in units(*[["slow", "a"]] * count):
                if until():
                    return
                yield unit

        for outcomes in self.dispatcher.run(some(), stop):
            self.outcomes += outcomes
            assert time.monotonic() < end, [worker.name for worker in self.crew.workers]
        for worker in self.crew.workers:
            self.crew.kill(worker)

    def replicas(self, node: Any = None) -> list[str]:
        """Names of the replicas that are there, on one node if it is named."""
        there = [worker for worker in self.crew.of("denoise") if worker.loaded and not worker.leaving]
        return [worker.name for worker in there if node is None or node.node_id in worker.nodes]


@pytest.fixture
def run(cluster: ClusterHere, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("pressrun.cluster.scheduling.worker_pool.LOOK_SEC", 0.5)
    return Run()


def test_replicas_join_as_the_cluster_grows_and_leave_unblamed_when_told_to(cluster: ClusterHere, run: Run) -> None:
    nodes: list[Any] = []
    assert len(run.crew.of("denoise")) == 1

    def grown_and_shrunk() -> bool:
        if not nodes:
            nodes.append(cluster.add(num_cpus=2))
        elif len(nodes) == 1 and len(run.replicas(nodes[0])) == 2:
            cluster.tell_to_leave(nodes[0])
            nodes.append("told")
        return len(nodes) == 2 and len(run.crew.of("denoise")) == 1

    run.go(10_000, grown_and_shrunk)
    cluster.remove(nodes[0])
    assert grown_and_shrunk(), "the cluster did not grow and shrink"
    assert {outcome.status for outcome in run.outcomes} == {"succeeded"}
    assert {outcome.attempts for outcome in run.outcomes} == {1}, "a unit was given up although there was notice"
    lanes = {span.worker for span in run.dispatcher.timeline.spans if span.stage == "denoise"}
    assert lanes == {"replica-0", "replica-1", "replica-2"}


def test_a_node_that_cannot_do_the_work_joins_once_and_is_done_without(cluster: ClusterHere, run: Run) -> None:
    nodes: list[Any] = []
    joined: list[float] = []

    def seen_and_left_alone() -> bool:
        if not nodes and len(run.crew.of("denoise")) == len(run.replicas()):
            run.problem = "The model is missing there."
            nodes.append(cluster.add(num_cpus=1))
        if nodes and len(run.hired) == 3 and len(run.crew.of("denoise")) == 1:
            joined.append(time.monotonic())
        return bool(joined) and time.monotonic() - joined[0] > 2

    run.go(10_000, seen_and_left_alone)
    cluster.remove(nodes[0])
    assert run.hired == ["replica-0", "finish-0", "replica-1"]
    assert {outcome.status for outcome in run.outcomes} == {"succeeded"}


@pytest.mark.slow
def test_a_node_that_dies_costs_the_units_that_were_on_it_and_its_replicas_are_not_missed(cluster: ClusterHere) -> None:
    node = cluster.add(num_cpus=2)
    run = Run()
    killed: list[float] = []

    def lost() -> bool:
        if not killed and len(run.replicas(node)) == 2:
            cluster.kill(node)
            killed.append(time.monotonic())
        return bool(killed) and not run.replicas(node) and len(run.crew.of("denoise")) == 1

    run.go(10_000, lost)
    assert killed
    rows = [outcome.row for outcome in run.outcomes]
    assert len(rows) == len(set(rows))
    assert {outcome.status for outcome in run.outcomes} == {"succeeded"}


def test_a_node_without_cores_computes_nothing(cluster: ClusterHere) -> None:
    from pressrun.cluster.placement.devices import devices_of_cluster

    before = devices_of_cluster()
    node = cluster.add(num_cpus=0)
    assert devices_of_cluster() == before
    cluster.remove(node)


def test_a_replicas_shards_share_a_node_where_they_fit_and_spread_where_they_do_not(cluster: ClusterHere) -> None:
    import ray
    from ray.util.placement_group import remove_placement_group

    from pressrun.cluster.placement.devices import Devices, devices_of_cluster
    from pressrun.cluster.placement.node_placement import NodePlacer

    nodes = [cluster.add(num_cpus=4, num_gpus=2, memory=3e9).node_id for _ in range(2)]
    homes = NodePlacer(Devices(tuple(node for node in devices_of_cluster().nodes if node.id in nodes)))
    actor = ray.remote(Puppet)
    for gpus, sizes, wanted in ((1, [0, 0], 1), (1, [0, 0, 0, 0], 2), (0, [10**9] * 3, 1), (0, [29 * 10**8] * 9, 2)):
        places, group = homes.side_by_side(gpus, sizes)
        shards = [actor.options(num_cpus=0, num_gpus=gpus, scheduling_strategy=place).remote() for place in places]
        where = {node for _, _, node in ray.get([shard.ready.remote() for shard in shards], timeout=60)}
        assert len(where) == wanted, (gpus, sizes)
        for shard in shards:
            ray.kill(shard)
        if group is not None:
            remove_placement_group(group)
