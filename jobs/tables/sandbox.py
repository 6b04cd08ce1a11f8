"""Reading a stranger's table in a process of its own, which may crash, swell or hang without harm to the driver.

Parquet, CSV and JSON are decoded by native code. Bytes made for it can end a process (some damaged footers do), fill
the memory or never come to an end; then the job is refused with a sentence, and the driver lives on. The process is
started, not forked (a caller may have threads), and imports only what reading needs: neither Ray nor torch.

Request and outcome are lines of JSON on its stdin and stdout. The table comes back as an Arrow file that both processes
have open and that has no name, so that no end of either leaves it behind; the driver maps it into memory.
"""

import contextlib
import json
import mmap
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from typing import IO, Any

import pyarrow as pa

from pressrun.cluster.runtime.scratch import temporary
from pressrun.cluster.store.opening import Stores
from pressrun.jobs.text.wording import shortened
from pressrun.pipeline.errors import JobError, Reason, StorageError
from pressrun.pipeline.import_path import isolated, program

WALL_SEC = 1800
"""Seconds until a table must be there, however slow the store: 2 GiB at little more than 1 MB/s."""

CPU_SEC = 600
"""Seconds of computing: decoding a million rows takes three."""

SPARE_BYTES = 1 << 30
"""Bytes of memory that the process takes beside the table, and three times the table is what reading text takes."""


def read_apart(
    stores: Stores, uri: str, limit: int | None, max_bytes: int, *, wall_sec: float = WALL_SEC, cpu_sec: int = CPU_SEC
) -> pa.Table:
    """What `jobs.tables.table_reader.read_table` returns, read by a process that is gone when this returns.

    Raises JobError and StorageError as `read_table` does, and JobError when the process dies or comes to no end.
    """
    request: dict[str, Any] = {"uri": uri, "limit": limit, "max_bytes": max_bytes, "cpu_sec": cpu_sec}
    request["aws"] = dict(stores.variables)
    with temporary(tempfile.TemporaryFile) as file:
        outcome, status = _asked({**request, "file": file.fileno()}, file, wall_sec)
        if outcome is None:
            raise JobError(_epitaph(_last_part(uri), status, wall_sec), code="bad_manifest")
        _raise_failure(outcome)
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped))).read_all()


def _asked(request: dict[str, Any], file: IO[bytes], wall_sec: float) -> tuple[dict[str, Any] | None, int | None]:
    """The process's outcome, None if it had none; its exit status, None if it took too long."""
    process = subprocess.Popen(
        [*isolated(), "-c", _bootstrap()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=(file.fileno(),),
        start_new_session=True,  # the terminal's Ctrl-C is for the driver
    )
    assert process.stdin is not None and process.stdout is not None
    late = threading.Event()

    def end() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(wall_sec, end)
    timer.daemon = True
    timer.start()
    try:
        with contextlib.suppress(BrokenPipeError):  # it died at once; its status tells
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        answer = process.stdout.read()
        process.wait()
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    if process.returncode == 0:
        return json.loads(answer), 0
    return None, None if late.is_set() else process.returncode


def _bootstrap() -> str:
    """The process's program: this module."""
    return program("from pressrun.jobs.tables.sandbox import main; main()")


def _raise_failure(outcome: dict[str, Any]) -> None:
    """Raise what the process raised."""
    if "problems" in outcome:
        raise JobError(*(Reason(sentence, code) for sentence, code in outcome["problems"]))
    if "storage" in outcome:
        from pressrun.cluster.store.store import Refusal

        raise (Refusal if outcome["refusal"] else StorageError)(outcome["storage"])
    if "bug" in outcome:
        raise RuntimeError(f"the manifest's reader failed:\n{outcome['bug']}")


def _epitaph(name: str, status: int | None, wall_sec: float) -> str:
    if status is None:
        return f"“{name}” could not be read within {wall_sec:,.0f} seconds; copy it nearer, or write it again."
    if status == -signal.SIGXCPU:
        return f"“{name}” takes too long to decode, as a damaged or malicious file does; write it again."
    if status == -signal.SIGKILL:
        return (
            f"The system ended the process that read “{name}”, most likely for want of memory; "
            "split the manifest into several jobs, or free memory."
        )
    cause = signal.Signals(-status).name if -status in set(signal.Signals) else f"exit status {status}"
    return f"“{name}” is damaged: its bytes crash the process that reads it ({cause}); write it again."


def _last_part(uri: str) -> str:
    return shortened(uri.rstrip("/").rsplit("/", 1)[-1])


def main() -> None:
    """The process: read what stdin asks for, write the table and say on stdout what came of it."""
    request = json.loads(sys.stdin.readline())
    _limit_itself(3 * request["max_bytes"] + SPARE_BYTES, request["cpu_sec"])
    threading.Thread(target=_end_with_driver, daemon=True).start()
    outcome = json.dumps(_outcome(request)).encode()
    with os.fdopen(1, "wb") as stdout:
        stdout.write(outcome)
    os._exit(0)


def _limit_itself(memory: int, cpu_sec: int) -> None:
    """No core dump, a bound on memory and computing; and if memory runs out, this process is the one to go."""
    for kind, wanted in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_CPU, cpu_sec),
    ):
        hard = resource.getrlimit(kind)[1]
        with contextlib.suppress(ValueError, OSError):  # not every system has every limit
            resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123
        score.write("1000")


def _end_with_driver() -> None:
    """The driver writes nothing more: what ends this read is the driver's own end."""
    os.read(0, 1)
    os._exit(1)


def _outcome(request: dict[str, Any]) -> dict[str, Any]:
    from pressrun.cluster.store.store import Refusal
    from pressrun.jobs.tables.table_reader import read_table

    name = _last_part(request["uri"])
    try:
        table = read_table(Stores(request["aws"]), request["uri"], request["limit"], request["max_bytes"])
        return _handed_over(table, request["file"])
    except JobError as error:
        return {"problems": [(str(problem), problem.code) for problem in error.problems]}
    except StorageError as error:
        return {"storage": str(error), "refusal": isinstance(error, Refusal)}
    except MemoryError:
        sentence = f"“{name}” takes too much memory to be read; split it into several jobs."
        return {"problems": [(sentence, "manifest_too_large")]}
    except Exception:
        return {"bug": traceback.format_exc()[-4000:]}


def _handed_over(table: pa.Table, descriptor: int) -> dict[str, Any]:
    """Write the table where the driver reads it."""
    try:
        with os.fdopen(descriptor, "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    except OSError as error:
        reason = f"{error.strerror or error}".rstrip(".")
        folder = tempfile.gettempdir()
        sentence = f"The folder for temporary files, {folder}, cannot hold the manifest ({reason}); free it."
        return {"problems": [(sentence, "environment")]}
    return {}
