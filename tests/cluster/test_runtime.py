"""Ray on this machine: for this run alone, on loopback alone, and gone afterwards."""

import ipaddress
import os
from pathlib import Path

import psutil
import pytest

from cluster.reaper import MARK, marked
from cluster.runtime import ray_runtime


def test_a_local_ray_listens_on_loopback_only_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    with ray_runtime():
        import ray

        run = os.environ[MARK]
        scratch = Path(ray._private.worker.global_worker.node.get_temp_dir_path())
        listening = {
            connection.laddr.ip.removeprefix("::ffff:")
            for process in [*marked(run), psutil.Process()]
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert scratch.is_dir()
        assert listening
    assert all(ipaddress.ip_address(address).is_loopback for address in listening), listening
    assert not marked(run)
    assert not scratch.exists()
    assert not (tmp_path / "nowhere").exists()
    assert MARK not in os.environ
