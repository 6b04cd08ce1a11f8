"""What tests share: a real S3 server, a fresh bucket for each test that wants one, the command, a finished job."""

import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from infra.s3_server import S3Server

ROOT = Path(__file__).resolve().parent.parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A job in a script's background ignores it, and so would every command that is interrupted on purpose.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A running S3 server, with no bucket and nothing in the environment that points to it."""
    with S3Server() as server:
        yield server


@pytest.fixture
def s3_environment(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The AWS environment is the server's, whatever the developer's own is."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    no_files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    for name, value in (s3.environment | no_files).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3_bucket(s3: S3Server, s3_environment: None) -> Iterator[str]:
    """The URI of an empty bucket, which the AWS environment leads to; gone afterwards, for a server has room for a few
    hundred only."""
    name = f"test-{uuid.uuid4().hex}"
    yield s3.create_bucket(name)
    s3.client.delete_bucket(Bucket=name)


@dataclass(frozen=True)
class Ended:
    """A command that has ended: exit code, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def _environment() -> dict[str, str]:
    """This process's, without the cluster that a developer may have at hand."""
    return {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}


class Pressrun:
    """The command as a person runs it: the installed one, a process of its own, from another folder than ours."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("pressrun")), *map(str, arguments)],
            cwd=self._folder,
            env={**_environment(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """Kill what still runs: a test that failed leaves nothing to the next one."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def __call__(self, *arguments: object, **environment: str) -> Ended:
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=240)
        return Ended(process.returncode, out, err)


@pytest.fixture
def pressrun(tmp_path: Path) -> Iterator[Pressrun]:
    pressrun = Pressrun(tmp_path)
    yield pressrun
    pressrun.end()


MIXED = [(128, 128)] * 9 + [(160, 96)] * 3 + [(90, 160)] * 2


def mixed_rows() -> list[dict[str, Any]]:
    """A small campaign: a full unit and a row over, two more shapes, equal prompts, references, customer's columns."""
    products = ("mug", "bottle", "chair")
    rows: list[dict[str, Any]] = [
        {
            "custom_id": f"row-{number}",
            "prompt": f"a red {products[number % 3]} on the beach",
            "width": width,
            "height": height,
            "steps": 2,
            "references": [],
            "sku": f"SKU {number % 4}",
            "season": ("spring", "fall")[number % 2],
        }
        for number, (width, height) in enumerate(MIXED)
    ]
    rows[9]["references"] = ["mug.png"]
    rows[10]["references"] = ["mug.png", "chair.png"]
    return rows


def write_manifest(folder: Path, rows: list[dict[str, Any]], name: str = "manifest.parquet") -> Path:
    """A manifest, and beside it the pictures that its references name."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture, size in (("mug.png", (128, 128)), ("chair.png", (96, 64))):
        Image.effect_mandelbrot(size, (-2.0, -1.5, 1.0, 1.5), 40).convert("RGB").save(folder / picture)
    pq.write_table(pa.Table.from_pylist(rows), folder / name)
    return folder / name


@pytest.fixture(scope="session")
def finished_job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished job of `mixed_rows()`, with its manifest beside it in `in/`. Never to be changed: copy it."""
    folder = tmp_path_factory.mktemp("finished")
    manifest = write_manifest(folder / "in", mixed_rows())
    ended = Pressrun(folder)("render", manifest, "--out", folder / "out")
    assert ended.code == 0, ended.err
    return folder / "out"


@pytest.fixture(scope="session")
def job_manifest(finished_job: Path) -> Path:
    """The manifest of the finished job, and of its copies."""
    return finished_job.parent / "in/manifest.parquet"


@pytest.fixture
def job(finished_job: Path, tmp_path: Path) -> Path:
    """A copy of the finished job that a test may spoil."""
    return shutil.copytree(finished_job, tmp_path / "out")
