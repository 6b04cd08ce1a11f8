"""Actors, nodes and whole clusters that die while a run goes on: nothing is lost, and pixels are what they were."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from pressrun.jobs.audit.verify import verify
from tests.cluster.cluster_here import SETTINGS, ClusterHere, cluster_here
from tests.conftest import Pressrun, mixed_rows, write_manifest
from tests.opening import open_store

SHARDED = ("--layout", "staged", "--shards", 2, "--replicas", 1)


@pytest.fixture
def cluster() -> Iterator[ClusterHere]:
    """A head that computes nothing, and a node."""
    with cluster_here(head_cpus=0) as cluster:
        cluster.add(num_cpus=2)
        yield cluster


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """The mixed rows, many times over: their pixels are known from the finished job, which a whole layout rendered."""
    rows = [{**row, "custom_id": f"{row['custom_id']}-{n}", "seed": 1} for n in range(12) for row in mixed_rows()]
    return write_manifest(tmp_path / "in", rows)


def wait_until(true: Callable[[], object], timeout_sec: float = 150) -> None:
    end = time.monotonic() + timeout_sec
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def pixels_of(out: Path) -> dict[str, str]:
    """Every picture's SHA-256 by custom_id; the bytes hold no more than the request, the model and the pixels."""
    table = pq.read_table(out / "results", columns=["custom_id", "sha256"])
    return dict(zip(*table.to_pydict().values(), strict=True))


def actors_on(node: Any, kind: str) -> list[psutil.Process]:
    [raylet] = node.all_processes["raylet"]
    found = []
    for process in psutil.Process(raylet.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # ended since they were listed
            if kind in " ".join(process.cmdline()):
                found.append(process)
    return found


@pytest.mark.slow
def test_a_node_killed_under_a_sharded_replica_costs_its_units_only(
    cluster: ClusterHere, manifest: Path, pressrun: Pressrun, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    joined = {**SETTINGS, "RAY_ADDRESS": cluster.address}
    driver = pressrun.start("render", manifest, "--out", out, "--json", *SHARDED, **joined)
    wait_until(lambda: len(list(out.glob("images/*"))) >= 10)
    [node] = cluster.nodes
    assert actors_on(node, "ShardActor")
    cluster.kill(node)
    cluster.add(num_cpus=2)
    _, stderr = driver.communicate(timeout=280)
    assert driver.returncode == 0, stderr
    assert "was lost" in stderr
    assert verify(open_store(str(out))).discrepancies == ()
    undisturbed = pressrun("render", manifest, "--out", tmp_path / "undisturbed", "--json")
    assert undisturbed.code == 0, undisturbed.err
    assert pixels_of(out) == pixels_of(tmp_path / "undisturbed")


@pytest.mark.slow
def test_replicas_raylets_and_nodes_killed_one_after_the_other_cost_their_units_only(
    cluster: ClusterHere, pressrun: Pressrun, tmp_path: Path
) -> None:
    rows = [{**row, "custom_id": f"{row['custom_id']}-{n}", "seed": 1} for n in range(40) for row in mixed_rows()]
    manifest, out = write_manifest(tmp_path / "in", rows), tmp_path / "out"
    cluster.add(num_cpus=1)
    joined = {**SETTINGS, "RAY_ADDRESS": cluster.address}
    driver = pressrun.start("render", manifest, "--out", out, "--json", "--layout", "whole", **joined)

    def pictures() -> int:
        return len(list(out.glob("images/*")))

    def kill_an_actor(node: Any) -> None:
        actors_on(node, "ModelActor")[0].kill()

    for number, kill in enumerate((kill_an_actor, cluster.kill_raylet, cluster.kill)):
        before = pictures()
        wait_until(lambda before=before: driver.poll() is None and pictures() >= before + 100)
        [node] = [node for node in cluster.nodes if actors_on(node, "ModelActor")][:1]
        kill(node)
        if number:
            cluster.nodes.remove(node)
            cluster.add(num_cpus=2)
    _, stderr = driver.communicate(timeout=280)
    assert driver.returncode == 0, stderr
    assert stderr.count("was lost") >= 3
    assert verify(open_store(str(out))).discrepancies == ()
    undisturbed = pressrun("render", manifest, "--out", tmp_path / "undisturbed", "--json")
    assert undisturbed.code == 0, undisturbed.err
    assert pixels_of(out) == pixels_of(tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_killed_head_stops_the_run_and_the_same_command_goes_on_elsewhere(
    cluster: ClusterHere, manifest: Path, pressrun: Pressrun, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    joined = {**SETTINGS, "RAY_ADDRESS": cluster.address}
    driver = pressrun.start("render", manifest, "--out", out, "--json", *SHARDED, **joined)
    wait_until(lambda: len(list(out.glob("images/*"))) >= 10)
    cluster.kill_head()
    stdout, stderr = driver.communicate(timeout=280)
    assert driver.returncode == 3, stderr
    assert "the same command goes on" in stdout and "Traceback" not in stderr
    done = len(list(out.glob("images/*")))
    ended = pressrun("render", manifest, "--out", out, "--json")
    assert ended.code == 0, ended.err
    assert ended.json["rendered"] == ended.json["rows"] - done
    assert verify(open_store(str(out))).discrepancies == ()
