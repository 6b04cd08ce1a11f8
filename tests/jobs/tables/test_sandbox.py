"""A stranger's bytes are decoded in a process of their own: whatever they do to it, the driver lives on."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pressrun.jobs.tables import sandbox as reader_process
from pressrun.jobs.tables.sandbox import read_apart
from pressrun.jobs.tables.table_reader import DECODED_BYTES, read_table
from pressrun.pipeline.errors import JobError, StorageError
from tests.conftest import Pressrun
from tests.opening import stores

TABLE = pa.table({"custom_id": ["a", "b"], "prompt": ["a red mug", "b"], "references": [["x"], None]})


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    pq.write_table(TABLE, tmp_path / "m.parquet")
    return tmp_path / "m.parquet"


def instead(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Let the process do something else than to read, within its limits."""
    real = reader_process._bootstrap()
    patch = "import os, signal, time, pressrun.jobs.tables.table_reader as t\n"
    patch += f"def fault(*_):\n    {fault}\nt.read_table = fault\n"
    program = real.replace("; from pressrun", f"\n{patch}from pressrun")
    monkeypatch.setattr(reader_process, "_bootstrap", lambda: program)


def refused(manifest: Path, max_bytes: int = 1 << 20, **limits: float) -> str:
    with pytest.raises(JobError) as refused:
        read_apart(stores(), str(manifest), None, max_bytes, **limits)
    [problem] = refused.value.problems
    return problem


def test_a_table_comes_over_as_it_is(manifest: Path) -> None:
    table = read_apart(stores(), str(manifest), None, DECODED_BYTES)
    assert table.equals(read_table(stores(), str(manifest))) and table.schema == TABLE.schema
    assert read_apart(stores(), str(manifest), 1, DECODED_BYTES).num_rows == 1


def test_a_refusal_comes_over_with_its_code(tmp_path: Path) -> None:
    with pytest.raises(JobError) as refused:
        read_apart(stores(), f"{tmp_path}/nothing.parquet", None, DECODED_BYTES)
    assert refused.value.codes == ["missing_manifest"]


def test_the_process_that_reads_imports_neither_ray_nor_torch_nor_the_rest_of_the_product(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead(monkeypatch, "from pressrun.pipeline.errors import JobError; raise JobError(' '.join(sys.modules))")
    modules = set(refused(manifest).split())
    assert "pressrun.jobs.tables.table_reader" in modules and "pyarrow" in modules
    assert not modules & {"ray", "ray.data", "torch", "boto3", "PIL", "pressrun.jobs.run.driver", "pyarrow.dataset"}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param("os.abort()", "“m.parquet” is damaged: its bytes crash the process", id="abort"),
        pytest.param("os.kill(os.getpid(), signal.SIGSEGV)", "(SIGSEGV)", id="crash"),
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", "want of memory", id="out of memory"),
        pytest.param("os._exit(70)", "(exit status 70)", id="exit"),
        pytest.param("time.sleep(60)", "could not be read within 2 seconds", id="standstill"),
        pytest.param("bytearray(3 << 30)", "too much memory", id="memory of its own"),
        pytest.param(
            "import pyarrow as pa; pa.allocate_buffer(3 << 30)", "too much memory", id="memory of the native library"
        ),
    ],
)
def test_whatever_ends_the_process_is_one_sentence(
    fault: str, words: str, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead(monkeypatch, fault)
    problem = refused(manifest, wall_sec=2 if "sleep" in fault else 60)
    assert words in problem and problem.endswith(".")


def test_bytes_that_never_come_to_an_end_are_refused(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instead(monkeypatch, "sum(iter(int, 1))")
    assert "takes too long to decode" in refused(manifest, cpu_sec=1)


def test_a_crash_leaves_no_core_and_no_temporary_file(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead(monkeypatch, "os.abort()")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.chdir(temporary)
    refused(manifest)
    assert list(temporary.iterdir()) == []


def test_without_a_place_for_temporary_files_there_is_a_sentence(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc/none")
    assert "set TMPDIR" in refused(manifest)


def test_a_bug_of_ours_stays_one(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instead(monkeypatch, "1 / 0")
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        read_apart(stores(), str(manifest), None, DECODED_BYTES)


def test_a_store_that_says_no_says_it_here_too(manifest: Path, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    with pytest.raises((StorageError, JobError), match=r"\.$"):
        read_apart(stores(), f"{s3_bucket}/m.parquet", None, DECODED_BYTES)


def test_modules_in_the_working_folder_are_never_imported(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "csv.py").write_text("import os; os._exit(66)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    assert read_apart(stores(), str(manifest), None, DECODED_BYTES).num_rows == 2


def test_the_process_ends_with_a_driver_that_is_killed(manifest: Path) -> None:
    program = (
        "import sys; from pressrun.jobs.tables import sandbox as r; real = r._bootstrap()\n"
        "from pressrun.cluster.store.opening import Stores\n"
        "slow = 'import pressrun.jobs.tables.table_reader as t, time; t.read_table = lambda *_: time.sleep(600); '\n"
        "r._bootstrap = lambda: real.replace('from pressrun', slow + 'from pressrun')\n"
        "r.read_apart(Stores(), sys.argv[1], None, 1 << 20)"
    )
    driver = subprocess.Popen([sys.executable, "-c", program, str(manifest)])
    try:
        while not (readers := psutil.Process(driver.pid).children()):
            time.sleep(0.02)
    finally:
        driver.kill()
        driver.wait()
    gone, alive = psutil.wait_procs(readers, timeout=60)
    assert gone and not alive


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_interrupted_while_the_manifest_is_read_stops_cleanly(
    number: signal.Signals, pressrun: Pressrun, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL_S3": endpoint}
        driver = pressrun.start("render", "s3://bucket/m.parquet", "--out", tmp_path / "out", **keys)
        with silent.accept()[0]:
            [reader] = psutil.Process(driver.pid).children()
            driver.send_signal(number)
            _, err = driver.communicate(timeout=60)
    assert (driver.returncode, err) == (3, "Interrupted; the same command goes on.\n")
    assert not reader.is_running()
    assert not (tmp_path / "out").exists()
