"""References' bytes from disks, buckets and servers: limits everywhere, one code for each thing that can be wrong."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import reference_bytes, web
from cluster.reference_bytes import LOST_AFTER, ReferenceReader, place_of
from cluster.store import open_store
from cluster.web_rules import WebRules
from pipeline.errors import RequestError, StorageError
from tests.web_server import Server, serving

SECRET = "hunter2"
RULES = WebRules(frozenset({"127.0.0.1"}), max_bytes=100_000, deadline_sec=5.0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(web, "_PAUSES_SEC", (0.01, 0.01))
    with serving() as server:
        yield server


def refused(uri: object, code: str, reader: ReferenceReader | None = None) -> str:
    with pytest.raises(RequestError) as failure:
        (reader or ReferenceReader(RULES)).read(str(uri))
    assert failure.value.code == code, failure.value.message
    message = failure.value.message
    assert message.startswith("Reference ") and message.endswith(".") and message.isprintable()
    assert SECRET not in message and "<" not in message
    return message


def test_a_file_may_be_as_large_as_the_limit_and_no_larger(tmp_path: Path) -> None:
    (tmp_path / "just.png").write_bytes(b"x" * 100_000)
    (tmp_path / "large.png").write_bytes(b"x" * 100_001)
    assert len(ReferenceReader(RULES).read(str(tmp_path / "just.png"))) == 100_000
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
            ReferenceReader(RULES).read(device)
        assert failure.value.code in ("reference_refused", "reference_missing")


def test_a_file_that_never_said_how_large_it_is_ends_at_the_limit() -> None:
    rules = WebRules(max_bytes=10)
    assert Path("/proc/self/status").stat().st_size == 0
    refused("/proc/self/status", "reference_too_large", ReferenceReader(rules))


def test_a_disk_that_hangs_ends_at_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mended = threading.Event()
    monkeypatch.setattr(reference_bytes, "_read_file", lambda *_: mended.wait(60) and b"")
    reader = ReferenceReader(WebRules(deadline_sec=0.1))
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
        ReferenceReader(RULES).read(str(tmp_path / "mug.png"))


def test_an_object_is_read_up_to_the_limit(s3_bucket: str) -> None:
    store = open_store(s3_bucket)
    store.put("just.png", b"x" * 100_000)
    store.put("large.png", b"x" * 100_001)
    store.put("none.png", b"")
    reader = ReferenceReader(RULES)
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
    from cluster.s3_store import S3Store

    open_store(s3_bucket).put("large.png", b"x" * 100_001)
    monkeypatch.setattr(S3Store, "_read", lambda *_, **__: pytest.fail("the body was asked for"))
    refused(f"{s3_bucket}/large.png", "reference_too_large")


def test_credentials_that_are_wrong_are_no_rows_fault(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(s3_bucket).put("mug.png", b"mug")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StorageError, match="AWS_SECRET_ACCESS_KEY"):
        ReferenceReader(RULES).read(f"{s3_bucket}/mug.png")


def test_an_aws_environment_that_cannot_be_used_is_no_rows_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody-has-this-one")
    with pytest.raises(StorageError, match="AWS_PROFILE"):
        ReferenceReader(WebRules()).read("s3://bucket/mug.png")


def test_no_query_is_in_what_a_store_says(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StorageError) as failure:
        ReferenceReader(RULES).read(f"{s3_bucket}/mug.png?X-Amz-Signature={SECRET}")
    assert SECRET not in str(failure.value)


def test_a_place_that_fails_again_and_again_is_left_alone(server: Server) -> None:
    server.sends("/down", 503)
    server.sends("/mug.png", body=b"mug")
    with serving() as other:
        other.sends("/cup.png", body=b"cup")
        reader = ReferenceReader(RULES)
        for number in range(LOST_AFTER):
            refused(server.url(f"/down?{number}&sig={SECRET}"), "reference_unreachable", reader)
        asked = len(server.seen)
        message = refused(server.url(f"/mug.png?sig={SECRET}"), "reference_unreachable", reader)
        assert f"{LOST_AFTER} others in a row" in message and f"127.0.0.1:{server.port}" in message
        assert len(server.seen) == asked
        assert reader.read(other.url("/cup.png")) == b"cup", "another server's are another matter"


def test_a_failure_now_and_then_closes_nothing(server: Server) -> None:
    server.sends("/down", 503)
    server.sends("/gone", 404)
    server.sends("/mug.png", body=b"mug")
    reader = ReferenceReader(RULES)
    for _ in range(3):
        for number in range(LOST_AFTER - 1):
            refused(server.url(f"/down?{number}"), "reference_unreachable", reader)
        refused(server.url("/gone"), "reference_missing", reader)
    assert reader.read(server.url("/mug.png")) == b"mug"


def test_the_last_code_of_a_place_that_fails_is_that_of_what_follows(server: Server) -> None:
    server.drips("/drip", b"HTTP/1.1 200 OK\r\n\r\n", b"x", pause=0.02)
    reader = ReferenceReader(WebRules(frozenset({"127.0.0.1"}), deadline_sec=0.1))
    for _ in range(LOST_AFTER + 1):
        refused(server.url("/drip"), "reference_timeout", reader)
    assert len(server.seen) == LOST_AFTER


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
