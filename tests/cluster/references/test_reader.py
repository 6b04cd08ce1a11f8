"""References' bytes from disks, buckets and servers: limits everywhere, one code for each thing that can be wrong."""

import os
import random
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from pressrun.cluster.net import patience
from pressrun.cluster.net import safe_fetch as web
from pressrun.cluster.net.fetch_rules import WebRules
from pressrun.cluster.net.patience import LOST_AFTER
from pressrun.cluster.references import reader as reference_bytes
from pressrun.cluster.references.reader import ReferenceReader, place_of
from pressrun.pipeline.errors import RequestError, StorageError
from tests.opening import open_store, stores
from tests.web_server import Server, closed_port, serving

SECRET = "hunter2"
RULES = WebRules(frozenset({"127.0.0.1"}), max_bytes=100_000, deadline_sec=5.0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(web, "_PAUSES_SEC", (0.01, 0.01))
    with serving() as server:
        yield server


def refused(uri: object, code: str, reader: ReferenceReader | None = None) -> str:
    with pytest.raises(RequestError) as failure:
        (reader or ReferenceReader(RULES, stores())).read(str(uri))
    assert failure.value.code == code, failure.value.message
    message = failure.value.message
    assert message.startswith("Reference ") and message.endswith(".") and message.isprintable()
    assert SECRET not in message and "<" not in message
    return message


def test_a_file_may_be_as_large_as_the_limit_and_no_larger(tmp_path: Path) -> None:
    (tmp_path / "just.png").write_bytes(b"x" * 100_000)
    (tmp_path / "large.png").write_bytes(b"x" * 100_001)
    assert len(ReferenceReader(RULES, stores()).read(str(tmp_path / "just.png"))) == 100_000
    assert "100,000 bytes" in refused(tmp_path / "large.png", "reference_too_large")


def test_a_file_of_a_hundred_gigabytes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(100 << 30)
    refused(tmp_path / "huge.png", "reference_too_large")


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.png"))
        for name in ("pipe.png", "folder.png", "socket.png"):
            refused(tmp_path / name, "reference_refused")
    for device in ("/dev/zero", "/dev/tty", "/dev/stdin"):
        with pytest.raises(RequestError) as failure:
            ReferenceReader(RULES, stores()).read(device)
        assert failure.value.code in ("reference_refused", "reference_missing")


def test_a_file_that_never_said_how_large_it_is_ends_at_the_limit() -> None:
    rules = WebRules(max_bytes=10)
    assert Path("/proc/self/status").stat().st_size == 0
    refused("/proc/self/status", "reference_too_large", ReferenceReader(rules, stores()))


def test_a_disk_that_hangs_ends_at_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mended = threading.Event()
    monkeypatch.setattr(reference_bytes, "_read_file", lambda *_: mended.wait(60) and b"")
    reader = ReferenceReader(WebRules(deadline_sec=0.1), stores())
    assert "0.1 s" in refused(tmp_path / "mug.png", "reference_timeout", reader)
    mended.set()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        pytest.param("nowhere.png", "reference_missing", id="nothing there"),
        pytest.param("mug.png/more.png", "reference_missing", id="a file for a folder"),
        pytest.param("x" * 300, "reference_missing", id="too long a name"),
        pytest.param("a\0b", "reference_missing", id="NUL"),
        pytest.param("\ud800", "reference_missing", id="no Unicode"),
        pytest.param("circle.png", "reference_missing", id="a link to itself"),
        pytest.param(f"mug.png?sig={SECRET}", "reference_missing", id="a query"),
    ],
)
def test_a_path_that_leads_nowhere_is_a_missing_reference(tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / "mug.png").write_bytes(b"mug")
    (tmp_path / "circle.png").symlink_to("circle.png")
    refused(f"{tmp_path}/{name}", code)


def test_a_file_that_may_not_be_read_is_a_denied_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(reference_bytes.os, "open", denied)  # root may read everything
    refused(tmp_path / "mug.png", "reference_denied")


def test_a_disk_that_fails_is_no_rows_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: str, flags: int) -> int:
        raise OSError(5, "Input/output error", path)

    monkeypatch.setattr(reference_bytes.os, "open", broken)
    with pytest.raises(StorageError, match="Input/output error"):
        ReferenceReader(RULES, stores()).read(str(tmp_path / "mug.png"))


def test_an_object_is_read_up_to_the_limit(s3_bucket: str) -> None:
    store = open_store(s3_bucket)
    store.put("just.png", b"x" * 100_000)
    store.put("large.png", b"x" * 100_001)
    store.put("none.png", b"")
    reader = ReferenceReader(RULES, stores())
    assert len(reader.read(f"{s3_bucket}/just.png")) == 100_000
    assert reader.read(f"{s3_bucket}/none.png") == b""
    refused(f"{s3_bucket}/large.png", "reference_too_large")
    refused(f"{s3_bucket}/cup.png", "reference_missing")
    refused(f"{s3_bucket}/cup.png?X-Amz-Signature={SECRET}", "reference_missing")
    refused("s3://no-such-bucket/mug.png", "reference_denied")
    for odd in (f"s3://key:{SECRET}@bucket/mug.png", "s3://bucket-alone", "s3:///mug.png", "s3://bucket/../mug.png"):
        refused(odd, "reference_missing")


def test_the_body_of_an_object_that_is_too_large_is_not_asked_for(
    s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pressrun.cluster.store.s3_store import S3Store

    open_store(s3_bucket).put("large.png", b"x" * 100_001)
    monkeypatch.setattr(S3Store, "get_range", lambda *_, **__: pytest.fail("the body was asked for"))
    refused(f"{s3_bucket}/large.png", "reference_too_large")


def test_credentials_that_are_wrong_are_no_rows_fault(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(s3_bucket).put("mug.png", b"mug")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StorageError, match="AWS_SECRET_ACCESS_KEY"):
        ReferenceReader(RULES, stores()).read(f"{s3_bucket}/mug.png")


def test_an_aws_environment_that_cannot_be_used_is_no_rows_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody-has-this-one")
    with pytest.raises(StorageError, match="AWS_PROFILE"):
        ReferenceReader(WebRules(), stores()).read("s3://bucket/mug.png")


def test_no_query_is_in_what_a_store_says(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StorageError) as failure:
        ReferenceReader(RULES, stores()).read(f"{s3_bucket}/mug.png?X-Amz-Signature={SECRET}")
    assert SECRET not in str(failure.value)


@pytest.fixture
def port() -> Iterator[int]:
    with closed_port() as port:
        yield port


@pytest.mark.parametrize("status", [204, 400, 401, 403, 404, 410, 418, 429, 500, 503])
def test_whatever_a_server_answers_about_some_pictures_the_others_are_had(server: Server, status: int) -> None:
    server.sends("/bad", status)
    server.sends("/mug.png", body=b"mug")
    reader = ReferenceReader(RULES, stores())
    for number in range(LOST_AFTER + 3):
        with pytest.raises(RequestError, match=str(status)):
            reader.read(server.url(f"/bad?{number}"))
    assert [reader.read(server.url(f"/mug.png?{number}")) for number in range(100)] == [b"mug"] * 100


@pytest.mark.parametrize("seed", range(5))
def test_those_that_can_be_used_are_the_same_in_any_order(server: Server, seed: int) -> None:
    """Bad ones of each kind in runs longer than what puts a place in doubt, and good ones that come at a second try."""
    cut = {"/silent": b"", "/odd": b"\x16\x03\x01 no http", "/half": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nmug"}
    for path, start in cut.items():
        server.answers[path] = lambda handler, start=start: handler.wfile.write(start)
    for status in (400, 403, 404, 429, 500):
        server.sends(f"/{status}", status)
    server.sends("/away", 302, Location="https://10.0.0.1/")
    server.sends("/packed", body=b"mug", Content_Encoding="gzip")
    server.sends("/large", Content_Length="100001")
    server.sends("/mug.png", body=b"mug")
    asked = Counter[str]()

    def moody(handler: BaseHTTPRequestHandler) -> None:
        asked[handler.path] += 1
        status = 503 if asked[handler.path] == 1 else 200
        handler.wfile.write(f"HTTP/1.1 {status} Well\r\nContent-Length: 3\r\n\r\ncup".encode())

    bad = [path for path in server.answers if path != "/mug.png"]
    server.answers["/cup.png"] = moody
    good = {f"{path}?{number}" for path in ("/mug.png", "/cup.png") for number in range(8)}
    paths = [*good, *(f"{path}?{number}" for path in bad for number in range(3)), *(f"/silent?{n}" for n in range(9))]
    random.Random(seed).shuffle(paths)
    paths += [*(f"/silent?{n}" for n in range(10, 20)), "/cup.png?last"]
    reader, usable = ReferenceReader(RULES, stores()), set()
    for path in paths:
        with suppress(RequestError):
            reader.read(server.url(path))
            usable.add(path)
    assert usable == good | {"/cup.png?last"}


def test_pictures_that_stall_cost_the_good_ones_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_LEAST_SEC", 0.5)
    server.stalls("/stall")
    server.sends("/mug.png", body=b"mug")
    reader = ReferenceReader(replace(RULES, deadline_sec=1.0), stores())
    with ThreadPoolExecutor(LOST_AFTER) as at_once:
        for said in at_once.map(lambda n: refused(server.url(f"/stall?{n}"), "reference_timeout", reader), range(5)):
            assert "within 1 s." in said
    said = refused(server.url(f"/stall?sig={SECRET}"), "reference_timeout", reader)
    assert f"within 0.5 s, the time left to each after {LOST_AFTER} others in a row" in said
    assert f"from http://127.0.0.1:{server.port}; see to it, and render again" in said
    assert reader.read(server.url("/mug.png")) == b"mug"
    assert "within 1 s." in refused(server.url("/stall"), "reference_timeout", reader), "the doubt is over"


def test_a_host_that_takes_no_connection_is_left_alone_until_it_is_back(
    server: Server, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_GONE_SEC", 600.0)
    server.sends("/cup.png", body=b"cup")
    reader = ReferenceReader(RULES, stores())
    mug = f"http://127.0.0.1:{port}/mug.png?sig={SECRET}"
    for _ in range(LOST_AFTER):
        assert "takes no connection" in refused(mug, "reference_unreachable", reader)
    with serving(port) as back:
        back.sends("/mug.png", body=b"mug")
        said = refused(mug, "reference_unreachable", reader)
        assert (
            f"was not asked for: {LOST_AFTER} others in a row could not be had from http://127.0.0.1:{port}, " in said
        )
        assert said.endswith("see that it is up, and render again.") and not back.seen
        assert reader.read(server.url("/cup.png")) == b"cup", "another server's are another matter"
        monkeypatch.setattr(patience, "_GONE_SEC", 0.0)
        assert reader.read(mug) == b"mug"
        monkeypatch.setattr(patience, "_GONE_SEC", 600.0)
        assert [reader.read(mug) for _ in range(3)] == [b"mug"] * 3


def test_the_server_that_a_redirect_leads_to_is_blamed_and_not_the_one_that_was_asked(
    server: Server, port: int
) -> None:
    reader = ReferenceReader(RULES, stores())
    server.sends("/away", 302, Location=f"http://127.0.0.1:{port}/mug.png?sig={SECRET}")
    server.sends("/mug.png", body=b"mug")
    for _ in range(LOST_AFTER):
        refused(server.url("/away"), "reference_unreachable", reader)
    said = refused(server.url("/away"), "reference_unreachable", reader)
    assert f"was not asked for: {LOST_AFTER} others in a row could not be had from http://127.0.0.1:{port}" in said
    assert reader.read(server.url("/mug.png")) == b"mug"


def test_files_that_hang_cost_the_others_of_their_folder_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mended, real = threading.Event(), reference_bytes._read_file
    monkeypatch.setattr(patience, "_LEAST_SEC", 0.5)
    monkeypatch.setattr(
        reference_bytes, "_read_file", lambda *a: mended.wait(60) and b"" if "hung" in a[0] else real(*a)
    )
    (tmp_path / "mug.png").write_bytes(b"mug")
    reader = ReferenceReader(WebRules(deadline_sec=1.0), stores())
    with ThreadPoolExecutor(LOST_AFTER) as at_once:
        list(at_once.map(lambda n: refused(tmp_path / f"hung-{n}", "reference_timeout", reader), range(LOST_AFTER)))
    assert f"could not be had from {tmp_path};" in refused(tmp_path / "hung", "reference_timeout", reader)
    assert reader.read(str(tmp_path / "mug.png")) == b"mug"
    assert "within 1 s." in refused(tmp_path / "hung", "reference_timeout", reader), "the doubt is over"
    mended.set()


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        (f"https://Shop.example/a?sig={SECRET}", "https://shop.example"),
        ("http://shop.example:8080/a", "http://shop.example:8080"),
        (f"https://u:{SECRET}@shop.example/a", ""),
        ("s3://bucket/a/b.png", "s3://bucket"),
        ("/refs/mug.png", "/refs"),
        ("/mug.png", "/"),
    ],
)
def test_what_lies_together_fails_together(uri: str, place: str) -> None:
    assert place_of(uri) == place
