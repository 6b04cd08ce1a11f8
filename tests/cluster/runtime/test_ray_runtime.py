"""Ray on this machine: for this run alone, on loopback alone, and gone afterwards."""

import ipaddress
import os
import sys
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from pressrun.cluster.runtime.ray_runtime import LEFT_OUT, package, ray_runtime
from pressrun.cluster.runtime.reaper import MARK, marked
from pressrun.cluster.runtime.scratch import Scratch
from pressrun.pipeline.errors import JobError


def test_a_ray_that_this_process_uses_already_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))  # no `shutdown` to call
    with Scratch() as scratch, pytest.raises(JobError, match=r"ray\.shutdown\(\)"), ray_runtime(scratch):
        pass
    assert not scratch.used


def test_a_ray_that_does_not_start_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def late(**_: object) -> None:
        raise Exception("The current node timed out during startup.\nThis could happen because …")  # as Ray does

    monkeypatch.setattr(ray, "init", late)
    with pytest.raises(JobError, match=r"could not be started on this machine: The current .* during startup\.$"):
        with ray_runtime():
            pass


def test_what_ends_by_an_exception_leaves_nothing_either() -> None:
    with Scratch() as scratch, pytest.raises(ZeroDivisionError), ray_runtime(scratch):
        folder = scratch.folder
        asking = [thread.name for thread in threading.enumerate() if thread.name == "ray_listen_error_messages"]
        raise ZeroDivisionError
    assert not folder.exists()
    assert asking == [], "once the head is gone, Ray's own thread keeps a core busy"


def test_a_local_ray_listens_on_loopback_only_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    monkeypatch.setenv("RAY_ADDRESS", "local")  # Ray's own word for none
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


def test_the_code_that_travels_to_a_cluster_brings_neither_minis_weights_nor_its_training(tmp_path: Path) -> None:
    from ray._private.runtime_env.packaging import create_package

    create_package(package(tmp_path), tmp_path / "code.zip", True, include_parent_dir=True, excludes=LEFT_OUT)
    names = zipfile.ZipFile(tmp_path / "code.zip").namelist()
    assert "pressrun/pipeline/mini/model/model_index.json" in names
    assert not [name for name in names if name.endswith(".safetensors") or "/training/" in name]
