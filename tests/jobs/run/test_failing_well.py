"""A job that goes wrong in many ways at once: it stops where it was told to, says why, goes on, and keeps its secrets.

One job, run twice through the command with the real model: some references cannot be read (found by the plan), some
prompts are too long (found while rendering). Whatever is secret holds the word CANARY.
"""

import contextlib
import io
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.conftest import Ended, Pressrun, write_manifest

SECRET = "CANARY"
SIGNED = f"?X-Amz-Credential={SECRET}1&X-Amz-Signature={SECRET}2"


class Shelf(BaseHTTPRequestHandler):
    """A web server for references: one picture, and everything that can be wrong with the others."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/redirected.png":
            self.send_response(302)
            self.send_header("Location", f"http://169.254.169.254/latest{SIGNED}")
        elif path == "/mug.png" or path == "/noise.png":
            self.send_response(200)
        else:
            self.send_response(403)
            self.send_header("X-Reason", SECRET)
        self.end_headers()
        if path == "/mug.png":
            file = io.BytesIO()
            Image.effect_mandelbrot((64, 64), (-2.0, -1.5, 1.0, 1.5), 40).convert("RGB").save(file, "PNG")
            self.wfile.write(file.getvalue())
        elif path == "/noise.png":
            self.wfile.write(f"{SECRET} is no picture".encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shelf)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@contextlib.contextmanager
def kept_logs(scratch: Path, kept: Path) -> Iterator[None]:
    """Whatever Ray writes into its logs under `scratch` is still in `kept` when Ray has cleared them away."""
    kept.mkdir()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            found: list[Path] = []
            with contextlib.suppress(OSError):  # a folder may go while it is looked at
                found = list(scratch.glob("*/session_*/logs/**/*"))
            for path in found:
                with contextlib.suppress(OSError):
                    (kept / path.relative_to(scratch).as_posix().replace("/", "_")).hardlink_to(path)

    thread = threading.Thread(target=watch)
    thread.start()
    yield
    over.set()
    thread.join()


@dataclass(frozen=True)
class Runs:
    """Both runs, the job's folder as the second left it, and the folders of everything else that was written."""

    stopped: Ended
    resumed: Ended
    status: Ended
    out: Path
    scratch: Path
    logs: Path


@pytest.fixture(scope="module")
def runs(web: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("failing")
    good = {"prompt": "a red mug on the beach", "width": 64, "height": 64, "steps": 1}
    references = [
        f"http://{web}/mug.png{SIGNED}",
        f"http://{web}/gone.png{SIGNED}",
        f"http://{web}/noise.png{SIGNED}",
        f"http://{web}/redirected.png{SIGNED}",
        f"http://user:{SECRET}@{web}/mug.png",
        f"ftp://user:{SECRET}@{web}/mug.png",
    ]
    rows = [{**good, "custom_id": f"web-{number}", "references": [uri]} for number, uri in enumerate(references)]
    rows += [{**good, "custom_id": f"good-{number}", "references": []} for number in range(2)]
    long = {**good, "prompt": "a very long story about a mug " * 20, "references": []}
    rows += [{**long, "custom_id": f"long-{number}"} for number in range(4)]
    manifest = write_manifest(folder / "in", rows)
    scratch = Path(tempfile.mkdtemp(prefix="fw-", dir="/tmp"))  # short, because it holds Ray's sockets
    environment = {
        "TMPDIR": str(scratch),
        "AWS_ACCESS_KEY_ID": f"{SECRET}3",
        "AWS_SECRET_ACCESS_KEY": f"{SECRET}4",
        "AWS_SESSION_TOKEN": f"{SECRET}5",
        "AWS_ENDPOINT_URL_S3": f"http://user:{SECRET}6@127.0.0.1:1",
        "HF_TOKEN": f"{SECRET}7",
        "PRESSRUN_REFERENCE_HEADERS": json.dumps({web: {"Authorization": f"Bearer {SECRET}8"}}),
    }
    pressrun = Pressrun(folder)
    order = ("render", manifest, "--out", folder / "out", "--allow-host", web)
    try:
        with kept_logs(scratch, folder / "logs"):
            stopped = pressrun(*order, "--max-failures", "6", **environment)
            resumed = pressrun(*order, **environment)
        status = pressrun("status", folder / "out", **environment)
        yield Runs(stopped, resumed, status, folder / "out", scratch, folder / "logs")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def test_a_job_that_goes_wrong_as_a_whole_stops_and_can_go_on(runs: Runs) -> None:
    assert runs.stopped.code == 3, runs.stopped.err
    assert "Stopped: More than 6 rows failed (--max-failures): " in runs.stopped.out
    assert "prompt_too_long" in runs.stopped.out and "The same command goes on." in runs.stopped.out
    assert "Traceback" not in runs.stopped.err


def test_a_resume_without_the_limit_accounts_for_every_row(runs: Runs) -> None:
    assert runs.resumed.code == 1, runs.resumed.err
    assert "12 rows: 3 succeeded, 9 failed." in runs.resumed.out
    summary = json.loads((runs.out / "summary.json").read_bytes())
    assert (summary["succeeded"], summary["failed"], summary["pending"]) == (3, 9, 0)


def test_the_end_of_a_run_groups_errors_by_cause_as_status_does(runs: Runs) -> None:
    line = next(line for line in runs.resumed.out.splitlines() if "prompt_too_long" in line)
    assert line.startswith("  4 x prompt_too_long, e.g. long-0, long-1, long-2: ")
    causes = [line for line in runs.resumed.out.splitlines() if line.startswith("  ")]
    assert causes == [line for line in runs.status.out.splitlines() if line.startswith("  ")]
    assert json.loads((runs.out / "summary.json").read_bytes())["causes"][0] == {
        "code": "prompt_too_long",
        "rows": 4,
        "example": line.split(": ", 1)[1],
        "custom_ids": ["long-0", "long-1", "long-2"],
    }


def files_under(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]


def test_no_secret_is_in_anything_that_was_written_or_said(runs: Runs) -> None:
    logs = files_under(runs.logs)
    assert len(logs) > 10
    said = {"stopped": runs.stopped, "resumed": runs.resumed, "status": runs.status}
    leaks = [name for name, ended in said.items() if SECRET in ended.out + ended.err]
    for path in files_under(runs.out, runs.scratch, runs.logs):
        if path.name == "manifest.parquet":
            continue  # the customer's own table, which a resume needs as it was given
        text = str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else ""
        if SECRET.encode() in path.read_bytes() or SECRET in text:
            leaks.append(path.name)
    assert leaks == []


def test_nothing_is_left_in_the_folder_for_temporary_files(runs: Runs) -> None:
    assert files_under(runs.scratch) == []


def test_no_message_holds_an_objects_representation(runs: Runs) -> None:
    [part] = sorted((runs.out / "results").glob("*.parquet"))
    messages = [message for message in pq.read_table(part)["error_message"].to_pylist() if message]
    assert len(messages) == 9
    assert not [message for message in messages if " at 0x" in message or "Error(" in message or "Errno" in message]
    assert not [message for message in messages if os.sep + "site-packages" in message]
