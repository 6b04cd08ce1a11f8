"""A running Ray cluster, its head started elsewhere and without our environment, renders into a bucket."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pressrun.jobs.audit.verify import verify
from tests.conftest import Pressrun, mixed_rows, write_manifest
from tests.opening import open_store
from tests.project import make_project


@pytest.fixture
def head(tmp_path: Path) -> Iterator[str]:
    """The address of a Ray head that knows neither our code nor any credentials."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    scratch = Path("/tmp") / f"ray-{os.getpid()}-{port}"  # sockets allow no long path
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "RAY_USAGE_STATS_ENABLED": "0"}
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    start = ["start", "--head", f"--port={port}", "--node-ip-address=127.0.0.1", "--num-cpus=2"]
    more = ["--include-dashboard=false", f"--temp-dir={scratch}", "--block"]
    process = subprocess.Popen(
        [*ray, *start, *more], cwd="/", env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield f"127.0.0.1:{port}"
    family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    process.wait(30)
    for left in family:
        if left.is_running():
            left.kill()
    subprocess.run(["rm", "-rf", str(scratch)], check=True)


def test_a_running_cluster_gets_code_and_credentials_from_the_driver(
    head: str, s3_bucket: str, pressrun: Pressrun, tmp_path: Path
) -> None:
    manifest = write_manifest(tmp_path / "in", mixed_rows()[8:11])
    out = f"{s3_bucket}/run-1"
    ended = pressrun("render", manifest, "--out", out, "--json", RAY_ADDRESS=head, HOME=str(tmp_path))
    assert ended.code == 0, ended.err
    assert ended.json["succeeded"] == 3
    assert verify(open_store(out)).discrepancies == ()


def test_nothing_of_a_project_with_packages_called_like_ours_is_imported_there(
    head: str, pressrun: Pressrun, tmp_path: Path
) -> None:
    manifest = write_manifest(tmp_path / "in", mixed_rows()[8:11])
    imported = make_project(tmp_path)
    ended = pressrun("render", manifest, "--out", "out", "--json", PYTHONPATH=".", RAY_ADDRESS=head, HOME=str(tmp_path))
    assert ended.code == 0, ended.err
    assert ended.json["succeeded"] == 3
    assert not imported.exists(), imported.read_text()


def test_ctrl_z_loses_nobody(head: str, pressrun: Pressrun, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "in", mixed_rows()[:9])
    run = pressrun.start("render", manifest, "--out", "out", "--json", RAY_ADDRESS=head, HOME=str(tmp_path))
    while not list((tmp_path / "out/images").glob("*")) and run.poll() is None:
        time.sleep(0.05)
    run.send_signal(signal.SIGTSTP)
    time.sleep(15)
    run.send_signal(signal.SIGCONT)
    out, err = run.communicate(timeout=240)
    assert run.returncode == 0, err
    assert json.loads(out)["succeeded"] == 9
    assert "was lost" not in err


@pytest.mark.parametrize("address", ["127.0.0.1:1", "auto", "ray://127.0.0.1:10001"])
def test_a_cluster_that_cannot_be_joined_is_a_sentence(address: str, pressrun: Pressrun, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "in", mixed_rows()[:1])
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray/ray_current_cluster").write_text("127.0.0.1:1")  # of a cluster that was killed
    ended = pressrun("render", manifest, "--out", tmp_path / "out", RAY_ADDRESS=address, RAY_TMPDIR=str(tmp_path))
    assert ended.code == 2
    assert f"RAY_ADDRESS={address} " in ended.err and "Traceback" not in ended.err


def test_a_cluster_that_wants_a_token_which_nobody_has_is_a_sentence(pressrun: Pressrun, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "in", mixed_rows()[:1])
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        secured = {"RAY_ADDRESS": address, "RAY_AUTH_MODE": "token", "HOME": str(tmp_path)}
        ended = pressrun("render", manifest, "--out", tmp_path / "out", **secured)
    assert ended.code == 2, ended.err
    assert "RAY_AUTH_TOKEN" in ended.err and "Traceback" not in ended.err


def test_a_node_that_lacks_minis_weights_gets_them_once(head: str, pressrun: Pressrun, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "in", mixed_rows()[8:11])
    written = []
    for out in ("first", "second"):
        ended = pressrun("render", manifest, "--out", out, "--json", RAY_ADDRESS=head, HOME=str(tmp_path))
        assert ended.code == 0, ended.err
        here = Path("/tmp") / f"ray-{os.getpid()}-{head.rpartition(':')[2]}"
        found = here.glob("session_2*/runtime_resources/**/mini/model/**/*.safetensors")
        written.append({path: path.stat().st_mtime_ns for path in found})
    assert len(written[0]) == 3
    assert written[0] == written[1]
