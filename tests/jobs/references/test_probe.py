"""The survey: every distinct reference looked at once, bad places and bad pictures at nobody else's cost."""

import hashlib
import json
import os
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from pressrun.cluster.net import patience
from pressrun.cluster.net import safe_fetch as web
from pressrun.cluster.net.fetch_rules import WebRules
from pressrun.cluster.net.patience import LOST_AFTER
from pressrun.cluster.protocol.unit import Reference
from pressrun.cluster.references.pixel_cache import ReferenceCache
from pressrun.cluster.references.reader import ReferenceReader
from pressrun.jobs.audit.verify import verify
from pressrun.jobs.references.probe import survey
from pressrun.pipeline.errors import RequestError, StorageError
from pressrun.pipeline.models.catalogue import find_model
from pressrun.pipeline.references.decode import decode_reference
from tests.conftest import Pressrun, mixed_rows, write_manifest
from tests.opening import open_store, stores
from tests.picture_files import claiming, encoded, random_picture
from tests.web_server import Server, closed_port, serving

SECRET = "hunter2"
OURS = WebRules(frozenset({"127.0.0.1"}))
MODEL = find_model("mini")
MUG = encoded(Image.new("RGB", (128, 64), "red"))


def reader(rules: WebRules) -> ReferenceReader:
    return ReferenceReader(rules, stores())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(web, "_PAUSES_SEC", (0.01, 0.01))
    with serving() as server:
        server.sends("/mug.png", body=MUG)
        yield server


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_it_says_what_is_wrong_with_each_reference_and_takes_its_neighbours(server: Server, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    server.sends("/cup.png", body=b"%!PS-Adobe-3.0 EPSF-3.0")
    server.sends("/huge.png", body=claiming(60_000))
    server.sends("/half.png", body=encoded(random_picture(99, 99))[:-3000])
    mug = server.url(f"/mug.png?sig={SECRET}")
    wrong = {
        server.url(f"/cup.png?sig={SECRET}"): "reference_unreadable",
        server.url("/huge.png"): "reference_too_large",
        server.url("/half.png"): "reference_unreadable",
        f"https://user:{SECRET}@10.0.0.1/": "reference_refused",
        "https://169.254.169.254/latest/meta-data": "reference_refused",
        str(tmp_path / "pipe.png"): "reference_refused",
        str(tmp_path / "gone.png"): "reference_missing",
    }
    found = survey([mug, *wrong, mug], MODEL, reader(OURS))
    assert found.pop(mug) == Reference(mug, hashlib.sha256(MUG).hexdigest(), (4, 8))
    errors = {uri: error for uri, error in found.items() if isinstance(error, RequestError)}
    assert {uri: error.code for uri, error in errors.items()} == wrong
    assert all(error.message.startswith("Reference ") for error in errors.values())
    assert SECRET not in "".join(error.message for error in errors.values())


def test_pixels_are_kept_once_for_equal_bytes_and_are_those_that_an_actor_would_decode(
    server: Server, tmp_path: Path
) -> None:
    server.sends("/copy.png", body=MUG)
    uris = [server.url("/mug.png"), server.url("/copy.png")]
    found = survey(uris, MODEL, reader(OURS), ReferenceCache(tmp_path / "kept"))
    first, second = (found[uri] for uri in uris)
    assert isinstance(first, Reference) and isinstance(second, Reference)
    assert first == second and (first.uri, second.uri) == tuple(uris)
    [path] = (tmp_path / "kept").iterdir()
    pixels = ReferenceCache(path.parent).find(first)
    assert pixels is not None and np.array_equal(pixels, np.asarray(decode_reference(MUG, MODEL)))


def test_without_a_place_nothing_is_kept(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert isinstance(survey([server.url("/mug.png")], MODEL, reader(OURS))[server.url("/mug.png")], Reference)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_drips_holds_up_its_own_only(server: Server) -> None:
    """Its pictures wait for the others': were threads shared out blindly, the drip would take them all."""
    good_done = threading.Event()

    def stall(handler: BaseHTTPRequestHandler) -> None:
        good_done.wait(30)
        handler.wfile.write(b"HTTP/1.0 404 Gone\r\n\r\n")

    with serving() as slow:
        for number in range(20):
            slow.answers[f"/{number}"] = stall
        good = [server.url(f"/mug.png?{number}") for number in range(20)]

        def last(handler: BaseHTTPRequestHandler) -> None:
            wait_until(lambda: len(server.seen) == 21)
            good_done.set()
            handler.wfile.write(b"HTTP/1.0 404 Gone\r\n\r\n")

        server.answers["/last"] = last
        found = survey(
            [*good, server.url("/last"), *(slow.url(f"/{number}") for number in range(20))], MODEL, reader(OURS)
        )
    assert all(isinstance(found[uri], Reference) for uri in good)
    assert len(found) == 41


@pytest.mark.parametrize("status", [400, 404, 500])
def test_pictures_that_a_server_refuses_cost_the_good_ones_nothing(server: Server, status: int) -> None:
    server.sends("/a-bad.png", status)
    bad = [server.url(f"/a-bad.png?{number}") for number in range(8)]
    good = [server.url(f"/mug.png?{number}") for number in range(100)]
    found = survey([*bad, *good], MODEL, reader(OURS))
    assert {uri for uri in found if isinstance(found[uri], Reference)} == set(good)
    assert all(str(status) in error.message for uri in bad if isinstance(error := found[uri], RequestError))


def test_pictures_that_stall_cost_the_good_ones_of_their_server_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_LEAST_SEC", 0.5)
    server.stalls("/a-stall.png")
    bad = [server.url(f"/a-stall.png?{number}") for number in range(3 * LOST_AFTER)]
    good = [server.url(f"/mug.png?{number}") for number in range(20)]
    found = survey([*bad, *good], MODEL, reader(replace(OURS, deadline_sec=1.0)))
    assert {uri for uri in found if isinstance(found[uri], Reference)} == set(good)
    assert len({path for path, _ in server.seen}) == len(bad) + len(good), "each is tried"
    assert {error.code for error in found.values() if isinstance(error, RequestError)} == {"reference_timeout"}


def test_a_server_that_takes_no_connection_is_left_alone_after_a_few_of_its_pictures(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_GONE_SEC", 600.0)
    with closed_port() as port:
        lost = [f"http://127.0.0.1:{port}/cup.png?{number}" for number in range(100)]
        found = survey([*lost, server.url("/mug.png")], MODEL, reader(OURS))
        assert isinstance(found[server.url("/mug.png")], Reference)
        errors = [error for uri in lost if isinstance(error := found[uri], RequestError)]
        assert {error.code for error in errors} == {"reference_unreachable"} and len(errors) == 100
        assert sum("was not asked for" in error.message for error in errors) > 90
        with serving(port) as back:
            back.sends("/cup.png", body=MUG)
            again = survey(lost, MODEL, reader(OURS))
    assert all(isinstance(again[uri], Reference) for uri in lost), "a rerun gets past it"


def test_a_store_that_does_not_answer_ends_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object) -> bytes:
        raise StorageError("The disk is broken.")

    monkeypatch.setattr("pressrun.cluster.references.reader._read_file", broken)
    with pytest.raises(StorageError, match="broken"):
        survey([str(tmp_path / f"{number}.png") for number in range(50)], MODEL, reader(OURS))


def test_nothing_to_look_at_starts_nothing() -> None:
    assert survey([], MODEL, reader(OURS)) == {}


def rows_with(references: list[list[str]]) -> list[dict]:
    rows = mixed_rows()[:1] * len(references)
    return [{**row, "custom_id": f"row-{n}", "references": references[n]} for n, row in enumerate(rows)]


def test_a_whole_job_asks_for_each_picture_once_and_leaves_nothing(
    server: Server, pressrun: Pressrun, tmp_path: Path
) -> None:
    scratch = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    server.sends("/copy.png", body=MUG)
    server.sends("/bad.png", body=b"no picture")
    mug, copy, bad = (server.url(f"/{name}.png?sig={SECRET}") for name in ("mug", "copy", "bad"))
    rows = rows_with([[mug], [copy], [mug, copy], [bad], [bad, mug]])
    manifest = write_manifest(tmp_path / "in", rows)
    ended = pressrun(
        "render", manifest, "--out", tmp_path / "out", "--json", "--allow-host", "127.0.0.1", TMPDIR=str(scratch)
    )
    assert ended.code == 1, ended.err
    assert (ended.json["succeeded"], ended.json["failed"]) == (3, 2)
    assert Counter(path.partition("?")[0] for path, _ in server.seen) == {"/mug.png": 1, "/copy.png": 1, "/bad.png": 1}
    timeline = json.loads((tmp_path / "out/timeline.json").read_text())
    assert verify(open_store(str(tmp_path / "out"))).discrepancies == ()
    assert sum(span["name"].startswith("encode") for span in timeline["traceEvents"] if span.get("ph") == "X") == 2
    assert not list(scratch.glob("pressrun-*"))
    shutil.rmtree(scratch)


@pytest.mark.parametrize(("end", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 3), (signal.SIGTERM, 3)])
def test_nothing_is_left_of_a_survey_that_is_interrupted(
    end: signal.Signals, code: int, server: Server, pressrun: Pressrun, tmp_path: Path
) -> None:
    server.answers["/slow.png"] = lambda handler: server.done.wait(60)
    scratch = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    manifest = write_manifest(tmp_path / "in", rows_with([[server.url("/mug.png"), server.url("/slow.png")]]))
    driver = pressrun.start(
        "render", manifest, "--out", tmp_path / "out", "--allow-host", "127.0.0.1", TMPDIR=str(scratch)
    )
    wait_until(lambda: list(scratch.glob("pressrun-*/references/*")))
    children = psutil.Process(driver.pid).children(recursive=True)
    assert len(children) >= 2, "the reaper and a decoder"
    assert any(child.environ().get("PRESSRUN_RUN") for child in children), "nobody would end a decoder that is busy"
    driver.send_signal(end)
    _, err = driver.communicate(timeout=60)
    assert driver.returncode == code and "Traceback" not in err, err
    wait_until(lambda: not list(scratch.iterdir()))
    psutil.wait_procs(children, timeout=20)
    assert not any(child.is_running() for child in children)
    scratch.rmdir()
