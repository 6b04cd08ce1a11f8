"""References from web servers: what is fetched, and everything that is not."""

import gzip
import json
import logging
import pickle
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from pressrun.cluster.net import patience as patience_module
from pressrun.cluster.net import safe_fetch as web
from pressrun.cluster.net.fetch_rules import HEADERS, WebRules, web_rules
from pressrun.cluster.net.patience import LOST_AFTER, Patience
from pressrun.cluster.net.safe_fetch import fetch
from pressrun.cluster.net.url import Url, shown
from pressrun.cluster.protocol.job_context import JobContext
from pressrun.cluster.protocol.spec import Finishing
from pressrun.cluster.references.reader import ReferenceReader
from pressrun.cluster.store.opening import Place
from pressrun.pipeline.errors import JobError, RequestError
from pressrun.pipeline.finishing.spec import FinishingSpec
from tests.opening import stores
from tests.web_server import Server, serving

PICTURE = bytes(range(256)) * 1000
SECRET = "hunter2"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_PAUSES_SEC", (0.01, 0.01))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A name server: what is put in here is what hosts are called; addresses stand for themselves."""
    real, book = socket.getaddrinfo, dict[str, list[str]]()

    def look_up(host: str, port: int, **more: Any) -> list[Any]:
        if host not in book:
            return real(host, port, flags=socket.AI_NUMERICHOST, **more)
        addresses = book[host]
        return [found for address in addresses for found in real(address, port, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return book


@pytest.fixture
def no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(_: socket.socket, address: object) -> None:
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", connect)


def allowing(*hosts: str, **more: Any) -> WebRules:
    return WebRules(frozenset(hosts), **more)


OURS = allowing("127.0.0.1")


def refused(url: str, rules: WebRules = OURS, code: str = "reference_refused", patience: Patience | None = None) -> str:
    """The sentence with which a fetch is refused."""
    with pytest.raises(RequestError) as failure:
        fetch(url, rules, patience)
    assert failure.value.code == code, failure.value.message
    assert failure.value.message.startswith("Reference ") and failure.value.message.endswith(".")
    return failure.value.message


def test_a_picture_is_fetched(server: Server) -> None:
    server.sends("/mug.png", body=PICTURE)
    assert fetch(server.url("/mug.png"), OURS) == PICTURE
    [(_, headers)] = server.seen
    assert headers["accept-encoding"] == "identity" and headers["user-agent"].startswith("Pressrun")
    assert headers["host"] == f"127.0.0.1:{server.port}"


def test_what_a_proxy_has_changed_is_taken_as_any_other_answer(server: Server) -> None:
    server.sends("/mug.png", 203, body=PICTURE)
    assert fetch(server.url("/mug.png"), OURS) == PICTURE


@pytest.mark.parametrize("hints", [1, 3])
@pytest.mark.parametrize("status", [b"102 Processing", b"103 Early Hints", b"199 Of their own"])
def test_hints_before_the_answer_are_passed_over(server: Server, status: bytes, hints: int) -> None:
    hint = b"HTTP/1.1 %s\r\nLink: </style.css>; rel=preload\r\nContent-Length: 3\r\n\r\n" % status

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(hint * hints + b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE)

    server.answers["/a.png"] = answer
    assert fetch(server.url("/a.png"), OURS) == PICTURE


def test_hints_without_an_answer_are_none(server: Server) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 1_000)

    server.answers["/a.png"] = answer
    assert "does not answer, or breaks off" in refused(server.url("/a.png"), code="reference_unreachable")


def test_a_chunked_body_and_one_that_ends_with_the_connection_are_whole(server: Server) -> None:
    server.drips(
        "/chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nmug\r\n2;x=y\r\nup\r\n0\r\n\r\n", b""
    )
    assert fetch(server.url("/chunked"), OURS) == b"mugup"
    server.answers["/plain"] = lambda handler: handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\nmug")
    assert fetch(server.url("/plain"), OURS) == b"mug"


def test_signature_and_odd_letters_reach_the_server_as_they_are_meant(server: Server) -> None:
    server.sends("/a%20b/%C3%BC", body=b"mug")
    assert fetch(server.url("/a b/ü?X-Amz-Signature=a%2Fb+c&x=1#part"), OURS) == b"mug"
    assert server.seen[0][0] == "/a%20b/%C3%BC?X-Amz-Signature=a%2Fb+c&x=1"


def test_a_reference_that_is_not_on_the_web_is_read_from_its_store(tmp_path: Path) -> None:
    (tmp_path / "mug.png").write_bytes(b"mug")
    reader = ReferenceReader(WebRules(), stores())
    assert reader.read(str(tmp_path / "mug.png")) == b"mug"
    with pytest.raises(RequestError, match="without encryption"):
        reader.read("HTTP://shop.example/mug.png")


EVIL = [
    pytest.param("https://169.254.169.254/latest/meta-data/", id="cloud metadata"),
    pytest.param("https://[::ffff:169.254.169.254]/", id="mapped metadata"),
    pytest.param("https://[::ffff:127.0.0.1]/", id="mapped loopback"),
    pytest.param("https://[::ffff:7f00:1]/", id="mapped loopback in hex"),
    pytest.param("https://[::127.0.0.1]/", id="compatible loopback"),
    pytest.param("https://0x7f.1/", id="hexadecimal"),
    pytest.param("https://0x7f000001/", id="one hexadecimal number"),
    pytest.param("https://2130706433/", id="one number"),
    pytest.param("https://0177.0.0.1/", id="octal"),
    pytest.param("https://127.1/", id="short"),
    pytest.param("https://127.0.0.1./", id="a dot at the end"),
    pytest.param("https://１２７.0.0.1/", id="wide digits"),
    pytest.param("https://127。0。0。1/", id="wide dots"),
    pytest.param("https://%31%32%37.0.0.1/", id="percent-encoded host"),
    pytest.param("https://127.0.0.1/", id="loopback"),
    pytest.param("https://127.8.9.1:8443/", id="other loopback"),
    pytest.param("https://[::1]/", id="loopback 6"),
    pytest.param("https://0.0.0.0/", id="unspecified"),
    pytest.param("https://[::]/", id="unspecified 6"),
    pytest.param("https://10.1.2.3/", id="10/8"),
    pytest.param("https://172.16.0.1/", id="172.16/12"),
    pytest.param("https://192.168.1.1/", id="192.168/16"),
    pytest.param("https://100.64.0.1/", id="carrier NAT"),
    pytest.param("https://198.18.0.1/", id="benchmarking"),
    pytest.param("https://224.0.0.1/", id="multicast"),
    pytest.param("https://255.255.255.255/", id="broadcast"),
    pytest.param("https://240.0.0.1/", id="reserved"),
    pytest.param("https://[fe80::1]/", id="link-local 6"),
    pytest.param("https://[fe80::1%25eth0]/", id="link-local 6 with zone"),
    pytest.param("https://[fec0::1]/", id="site-local"),
    pytest.param("https://[fd00:ec2::254]/", id="unique local"),
    pytest.param("https://[ff02::1]/", id="multicast 6"),
    pytest.param("https://[2002:7f00:1::]/", id="6to4"),
    pytest.param("https://[64:ff9b::7f00:1]/", id="NAT64"),
    pytest.param("https://[64:ff9b::a9fe:a9fe]/", id="NAT64 metadata"),
    pytest.param("https://[2001:0:7f00:1::1]/", id="Teredo"),
    pytest.param("https://[2001:db8::1]/", id="documentation"),
    pytest.param(f"https://user:{SECRET}@shop.example/mug.png", id="user and password"),
    pytest.param(f"https://shop.example:{SECRET}@10.0.0.1/", id="a host that is a user"),
    pytest.param("https://shop.example\\@10.0.0.1/", id="backslash"),
    pytest.param("https://shop.example\t.evil/", id="tab"),
    pytest.param("https://shop.example/\r\nHost: x", id="line break"),
    pytest.param("https://shop.example\0/", id="NUL"),
    pytest.param("https://shop.example:99999/", id="port"),
    pytest.param("https://shop.example:0/", id="port 0"),
    pytest.param(f"https://shop.example:{SECRET}/", id="port of letters"),
    pytest.param("https://shop..example/", id="empty label"),
    pytest.param(f"https://{'a' * 64}.example/", id="long label"),
    pytest.param("https:///mug.png", id="no host"),
    pytest.param("https://[::1/", id="half an address"),
    pytest.param("https://[v1.x]/", id="future address"),
    pytest.param("https://shop example/", id="space in the host"),
    pytest.param("http://shop.example/mug.png", id="plain http"),
    pytest.param("file:///etc/passwd", id="file"),
    pytest.param("ftp://shop.example/mug.png", id="ftp"),
    pytest.param("gopher://127.0.0.1:6379/_FLUSHALL", id="gopher"),
    pytest.param("data:image/png;base64,AAAA", id="data"),
    pytest.param("//shop.example/mug.png", id="no scheme"),
    pytest.param("", id="nothing"),
]


@pytest.mark.parametrize("url", EVIL)
@pytest.mark.usefixtures("no_connections", "names")
def test_an_address_that_leads_astray_is_refused_before_anything_is_asked(url: str) -> None:
    assert SECRET not in refused(url, WebRules())


@pytest.mark.parametrize(
    "addresses",
    [["10.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::1"], ["2606:2800:220:1::1", "fe80::1%1"], ["169.254.169.254"]],
)
@pytest.mark.usefixtures("no_connections")
def test_a_name_that_leads_inside_is_refused(names: dict[str, list[str]], addresses: list[str]) -> None:
    names["shop.example"] = addresses
    assert "allow the host shop.example" in refused("https://shop.example/mug.png", WebRules())


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_a_public_address_is_taken(address: str) -> None:
    assert web._may_connect(address, Url.parse("https://shop.example/"), WebRules())


def test_a_connection_goes_to_the_address_that_was_checked(
    server: Server, names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.sends("/mug.png", body=b"mug")
    names["dam.example"] = ["127.0.0.1"]
    book, asked = socket.getaddrinfo, []

    def turning(host: str, port: int, **more: Any) -> list[Any]:
        asked.append(host)
        if len(asked) > 1:
            raise AssertionError("a second question")
        return book(host, port, **more)

    monkeypatch.setattr(socket, "getaddrinfo", turning)
    assert fetch(server.url("/mug.png", "dam.example"), allowing("dam.example")) == b"mug"
    assert asked == ["dam.example"]


@pytest.mark.usefixtures("no_connections")
def test_an_allowed_name_may_still_not_lead_to_the_clouds_credentials(names: dict[str, list[str]]) -> None:
    names["dam.example"] = ["169.254.169.254"]
    refused("http://dam.example/", allowing("dam.example"))
    names["dam.example"] = ["::ffff:169.254.169.254"]
    refused("http://dam.example/", allowing("dam.example"))
    names["dam.example"] = ["64:ff9b::a9fe:a9fe"]
    refused("http://dam.example/", allowing("dam.example"))


def test_an_allowed_port_allows_no_other(server: Server) -> None:
    server.sends("/mug.png", body=b"mug")
    assert fetch(server.url("/mug.png"), allowing(f"127.0.0.1:{server.port}")) == b"mug"
    refused(server.url("/mug.png"), allowing(f"127.0.0.1:{server.port + 1}"))


def test_redirects_are_followed(server: Server) -> None:
    server.sends("/old", 301, Location="new?size=2")
    server.sends("/new", 307, Location=server.url("/mug.png"))
    server.sends("/mug.png", body=b"mug")
    assert fetch(server.url("/old"), OURS) == b"mug"
    assert [path for path, _ in server.seen] == ["/old", "/new?size=2", "/mug.png"]


@pytest.mark.parametrize(
    "location",
    [
        "https://10.0.0.1/mug.png",
        "https://[::ffff:127.0.0.1]/",
        "http://localhost/",
        "https://inside.example/",
        "https://0x7f.1/",
        "file:///etc/passwd",
        f"https://user:{SECRET}@shop.example/",
        f"//evil.example:{SECRET}/",
        "https://[::1",
        "https://shop.example\\@10.0.0.1/",
    ],
)
def test_a_redirect_is_checked_as_the_first_address_was(
    server: Server, names: dict[str, list[str]], location: str
) -> None:
    names["inside.example"] = ["192.168.0.7"]
    server.sends("/mug.png", 302, Location=location)
    assert SECRET not in refused(server.url("/mug.png"))


def test_a_name_that_turns_internal_between_two_redirects_is_refused(
    server: Server, names: dict[str, list[str]]
) -> None:
    def turn(handler: BaseHTTPRequestHandler) -> None:
        names["dam.example"] = ["169.254.169.254"]
        handler.wfile.write(b"HTTP/1.0 302 Found\r\nLocation: /creds\r\n\r\n")

    names["dam.example"] = ["127.0.0.1"]
    server.answers["/mug.png"] = turn
    assert "which leads to" in refused(server.url("/mug.png", "dam.example"), allowing("dam.example"))


def test_a_circle_of_redirects_ends(server: Server) -> None:
    server.sends("/a", 302, Location="/b")
    server.sends("/b", 302, Location="/a")
    assert "more than 5 times" in refused(server.url("/a"))
    assert len(server.seen) == 6


def test_headers_go_to_their_host_only(server: Server, names: dict[str, list[str]]) -> None:
    names |= {"dam.example": ["127.0.0.1"], "cdn.example": ["127.0.0.1"]}
    server.sends("/old", 302, Location="/mug.png")
    server.sends("/mug.png", 302, Location=server.url("/cup.png", "cdn.example"))
    server.sends("/cup.png", body=b"cup")
    headers = {"dam.example": {"Authorization": f"Bearer {SECRET}", "User-Agent": "Shop"}}
    rules = allowing("dam.example", "cdn.example", headers=headers)
    assert fetch(server.url("/old", "dam.example"), rules) == b"cup"
    assert [seen.get("authorization") for _, seen in server.seen] == [f"Bearer {SECRET}"] * 2 + [None]
    assert [seen["user-agent"] == "Shop" for _, seen in server.seen] == [True, True, False]


def test_a_body_without_end_is_cut_at_the_limit(server: Server) -> None:
    rules = allowing("127.0.0.1", max_bytes=100_000)
    server.drips("/endless", b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4096, pause=0)
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    server.drips("/chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk, pause=0)
    server.sends("/large", body=b"", Content_Length="100001")
    for path in ("/endless", "/chunks", "/large"):
        assert "100,000 bytes" in refused(server.url(path), rules, "reference_too_large")
    server.sends("/just", body=b"x" * 100_000)
    assert len(fetch(server.url("/just"), rules)) == 100_000


def test_a_chunk_of_less_than_nothing_does_not_pass_the_limit(server: Server) -> None:
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"
    server.drips("/mug.png", start, b"x" * 65536, pause=0)
    refused(server.url("/mug.png"), allowing("127.0.0.1", max_bytes=100_000), "reference_too_large")


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x", id="body"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", b"x", id="body of unknown length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1", id="length of a chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", b"x", id="header"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="for ever to be continued"),
        pytest.param(b"", b"", id="silence"),
    ],
)
def test_a_slow_drip_ends_at_the_deadline(server: Server, start: bytes, drop: bytes) -> None:
    server.drips("/mug.png", start, drop)
    started = time.monotonic()
    refused(server.url("/mug.png"), allowing("127.0.0.1", deadline_sec=0.4), "reference_timeout")
    assert 0.35 < time.monotonic() - started < 1.5


def test_a_name_server_that_does_not_answer_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: asked.wait(10) and [])
    refused("https://shop.example/", WebRules(deadline_sec=0.2), "reference_timeout")
    asked.set()


@pytest.mark.parametrize("header", [{"Content_Encoding": "gzip"}, {"Transfer_Encoding": "gzip, chunked"}])
def test_a_compressed_body_is_refused_unread(server: Server, header: dict[str, str]) -> None:
    server.sends("/mug.png", body=gzip.compress(bytes(10_000_000)), **header)
    [(name, value)] = header.items()
    assert f"“{name.replace('_', '-')}: {value}”" in refused(server.url("/mug.png"), code="reference_encoded")


@pytest.mark.parametrize(
    "value", ["", "identity", "None", "UTF-8", "utf8", "binary", "aws-chunked", "aws-chunked,identity", "binary, utf-8"]
)
def test_an_encoding_that_encodes_nothing_is_passed_over(server: Server, value: str) -> None:
    server.sends("/mug.png", body=PICTURE, Content_Encoding=value)
    assert fetch(server.url("/mug.png"), OURS) == PICTURE


@pytest.mark.parametrize("value", ["gzip", "br", "deflate", "aws-chunked, gzip", "utf-8 br", "x\xff" * 99])
def test_any_other_encoding_is_named(server: Server, value: str) -> None:
    server.sends("/mug.png", body=PICTURE, Content_Encoding=value)
    said = refused(server.url("/mug.png"), code="reference_encoded")
    assert f"Content-Encoding: {value[:4]}" in said.replace("�", "\xff") and len(said) < 300


@pytest.mark.parametrize(
    ("status", "code", "asked"),
    [
        (404, "reference_missing", 1),
        (410, "reference_missing", 1),
        (401, "reference_denied", 1),
        (403, "reference_denied", 1),
        (204, "reference_unreachable", 1),
        (302, "reference_unreachable", 1),
        (418, "reference_unreachable", 1),
        (429, "reference_unreachable", 3),
        (503, "reference_unreachable", 3),
    ],
)
def test_every_status_has_its_code(server: Server, status: int, code: str, asked: int) -> None:
    server.sends("/mug.png", status)
    assert str(status) in refused(server.url("/mug.png"), code=code)
    assert len(server.seen) == asked


def test_what_passes_is_tried_again(server: Server) -> None:
    def moody(handler: BaseHTTPRequestHandler) -> None:
        answers = [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nmug", b"HTTP/1.1 200 OK\r\n\r\nmug"]
        handler.wfile.write(answers[len(server.seen) - 1])

    server.answers["/mug.png"] = moody
    assert fetch(server.url("/mug.png"), OURS) == b"mug"
    assert len(server.seen) == 3


def test_a_server_that_asks_for_a_rest_gets_it_within_the_deadline(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    monkeypatch.setattr(web.time, "sleep", rests.append)
    soon = datetime.now(UTC) + timedelta(seconds=30)
    wishes = ["7", "0", format_datetime(soon, usegmt=True), "soon", "-3", "Thu, 99 Foo 2026 25:61:61 GMT"]

    def busy(handler: BaseHTTPRequestHandler) -> None:
        wish = wishes[len(server.seen) - 1]
        handler.wfile.write(f"HTTP/1.0 429 Busy\r\nRetry-After: {wish}\r\n\r\n".encode())

    server.answers["/mug.png"] = busy
    refused(server.url("/mug.png"), code="reference_unreachable")
    refused(server.url("/mug.png"), code="reference_unreachable")
    assert rests[:2] == [7.0, 0.01]
    assert rests[2:] == [0.01, 0.01]
    wishes[:] = [format_datetime(soon, usegmt=True)] * 20
    refused(server.url("/mug.png"), code="reference_unreachable")
    assert all(20 < rest <= 30 for rest in rests[4:]) and len(rests) == 6
    wishes[:] = ["3600"] * 20
    refused(server.url("/mug.png"), code="reference_unreachable")
    assert len(rests) == 6, "an hour is longer than the deadline: the picture fails at once"


def test_a_server_that_asks_for_a_rest_again_and_again_gets_no_more(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    monkeypatch.setattr(web.time, "sleep", rests.append)
    server.sends("/busy.png", 503, Retry_After="7")
    server.sends("/mug.png", body=b"mug")
    patience = Patience()
    for number in range(LOST_AFTER + 1):
        refused(server.url(f"/busy.png?{number}"), code="reference_unreachable", patience=patience)
    assert rests == [7.0] * 2 * LOST_AFTER + [0.01] * 2
    assert len(server.seen) == 3 * LOST_AFTER + 3, "it is asked all the same"
    assert fetch(server.url("/mug.png"), OURS, patience) == b"mug"
    refused(server.url("/busy.png"), code="reference_unreachable", patience=patience)
    assert rests[-2:] == [7.0] * 2, "one that has come gives it back"


def doubting(server: Server) -> Patience:
    """Of a server that was met with silence again and again."""
    patience = Patience()
    for _ in range(2 * LOST_AFTER):
        patience.unheard(f"http://127.0.0.1:{server.port}")
    return patience


def test_a_large_picture_that_keeps_coming_is_had_from_a_server_in_doubt(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience_module, "_LEAST_SEC", 1.0)

    def slow(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(6):
            time.sleep(0.3)  # all of it takes longer than the silence that is borne
            handler.wfile.write(bytes(1 << 16))

    server.answers["/mug.png"] = slow
    assert len(fetch(server.url("/mug.png"), allowing("127.0.0.1", deadline_sec=10.0), doubting(server))) == 6 << 16


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_drip_is_no_progress_where_a_server_is_in_doubt(
    server: Server, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(patience_module, "_LEAST_SEC", 0.5)
    server.drips("/mug.png", start, b"x")
    rules = allowing("127.0.0.1", deadline_sec=10.0)
    said = refused(server.url("/mug.png"), rules, "reference_timeout", doubting(server))
    assert "within 0.5 s, the time left to each" in said


def test_a_picture_that_breaks_off_is_never_taken_for_whole(server: Server) -> None:
    server.sends("/mug.png", body=b"mug", Content_Length="4")
    server.answers["/cup.png"] = lambda handler: handler.wfile.write(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ncup"
    )
    server.answers["/pot.png"] = lambda handler: handler.wfile.write(b"\x16\x03\x01 no http")
    for path in ("/mug.png", "/cup.png", "/pot.png"):
        refused(server.url(path), code="reference_unreachable")


def test_where_nobody_listens_and_what_nobody_knows_is_unreachable(names: dict[str, list[str]]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        refused(f"http://127.0.0.1:{free.getsockname()[1]}/", code="reference_unreachable")
    message = refused("https://no-such-shop.example/", code="reference_unreachable")
    assert "no address is known for no-such-shop.example" in message


def test_proxies_of_the_environment_are_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.sends("/mug.png", body=b"mug")
    assert fetch(server.url("/mug.png"), OURS) == b"mug"


@pytest.mark.parametrize(
    ("uri", "seen"),
    [
        (f"https://s.example/a/b.png?X-Amz-Signature={SECRET}", "https://s.example/a/b.png?…"),
        (f"https://u:{SECRET}@s.example:8443/a@2x.png#{SECRET}", "https://s.example:8443/a@2x.png"),
        (f"https://u:{SECRET}", "https://…"),
        (f"https://u:x{SECRET}/y@s.example/", "https://…"),
        (f"https://u\\{SECRET}@s.example/", "https://…"),
        (f"https://u:{SECRET}?x@s.example/", "https://…?…"),
        (f"s3://key:{SECRET}@bucket/mug.png", "s3://bucket/mug.png"),
        (f"ftp://u:{SECRET}@s.example/x?y", "ftp://s.example/x?…"),
        (f"https:/s.example/a.png?sig={SECRET}", "https:/s.example/a.png?…"),
        ("https://[::1]:8443/a", "https://[::1]:8443/a"),
        ("/refs/red#1 mug.png", "/refs/red#1 mug.png"),
        ("https://s.example/a\n\x1b[2J", "https://s.example/a��[2J"),
        ("", ""),
        ("://", "://"),
    ],
)
def test_what_may_be_secret_is_not_shown(uri: str, seen: str) -> None:
    assert shown(uri) == seen


def test_no_secret_is_in_a_sentence_a_log_or_a_representation(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"127.0.0.1": {"Authorization": f"Bearer {SECRET}"}}
    rules = allowing("127.0.0.1", headers=headers)
    server.answers["/odd"] = lambda handler: handler.wfile.write(b"HTTP/1.1 500 Oh\r\nno header\r\n\r\n")
    server.sends("/away", 302, Location=server.url(f"/gone?sig={SECRET}"))
    server.sends("/gone", 404)
    said = [refused(server.url(f"/odd?sig={SECRET}"), rules, "reference_unreachable")]
    said += [refused(server.url(f"/away?sig={SECRET}"), rules, "reference_missing")]
    spec = JobContext("key", Finishing(Place("/nowhere"), FinishingSpec(), "mini", "", "fp32", ""), rules)
    said += [repr(rules), repr(spec), repr(Url.parse(f"https://s.example/?{SECRET}")), caplog.text]
    assert SECRET not in "".join(said)
    assert said[1].startswith(f"Reference {server.url('/away')}?…, which leads to {server.url('/gone')}?…, ")
    assert pickle.loads(pickle.dumps(spec)).web.headers == headers


def test_rules_come_from_the_command_line_and_the_context() -> None:
    assert web_rules() == WebRules()
    headers = json.dumps({"DAM.example:8443": {"X-Key": SECRET}})
    rules = web_rules(["DAM.Example", "10.0.0.1:80", "::1", "[::1]:8443", "müller.example"], headers)
    named = {"dam.example", "10.0.0.1:80", "[::1]", "[::1]:8443", "xn--mller-kva.example"}
    assert rules.allowed_hosts == named and SECRET not in repr(rules)
    assert rules.headers_for(Url.parse("https://dam.example:8443/"))["x-key"] == SECRET
    assert "x-key" not in rules.headers_for(Url.parse("https://dam.example/"))


@pytest.mark.parametrize(
    "value",
    [
        SECRET,
        f'["{SECRET}"]',
        f'{{"dam.example": "{SECRET}"}}',
        f'{{"dam.example": {{"X": ["{SECRET}"]}}}}',
        f'{{"dam.example": {{"X": "{SECRET}\\r\\nY: z"}}}}',
        f'{{"dam.example": {{"X {SECRET}": "y"}}}}',
        f'{{"dam.example": {{"Host": "{SECRET}"}}}}',
        f'{{"https://dam.example/{SECRET}": {{}}}}',
        "[" * 100_000,
    ],
)
def test_headers_that_are_malformed_refuse_the_job(value: str) -> None:
    with pytest.raises(JobError, match=HEADERS) as refusal:
        web_rules((), value)
    assert SECRET not in str(refusal.value)


def test_hosts_that_are_malformed_refuse_the_job_all_together() -> None:
    hosts = ["https://dam.example", "*.example", "dam.example/x", "10.0.0.0/8", "", "dam.example:x", "a@b"]
    with pytest.raises(JobError) as refusal:
        web_rules(["dam.example", *hosts])
    assert len(refusal.value.problems) == len(hosts)


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Key and certificate of dam.example, signed by nobody but itself, in one file."""
    if not shutil.which("openssl"):
        pytest.skip("needs the openssl command")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=dam.example"
    command += f" -addext subjectAltName=DNS:dam.example -keyout {key} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    key.write_text(key.read_text() + certificate.read_text())
    web._tls.cache_clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    yield key
    web._tls.cache_clear()


def test_certificates_are_checked_against_the_hosts_name(
    server: Server, names: dict[str, list[str]], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    names |= {"dam.example": ["127.0.0.1"], "shop.example": ["127.0.0.1"]}
    rules = allowing("dam.example", "shop.example", deadline_sec=5.0)
    server.sends("/mug.png", body=PICTURE)
    assert fetch(server.url("/mug.png", "dam.example", "https"), rules) == PICTURE
    assert "certificate" in refused(server.url("/mug.png", "shop.example", "https"), rules)
    server.sends("/down", 302, Location=server.url("/mug.png", "dam.example"))
    assert "not encrypted" in refused(server.url("/down", "dam.example", "https"), rules)
    server.drips("/slow", b"HTTP/1.1 200 OK\r\n\r\n", b"x")
    slow = allowing("dam.example", deadline_sec=0.5)
    refused(server.url("/slow", "dam.example", "https"), slow, "reference_timeout")
    web._tls.cache_clear()
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    assert "certificate" in refused(server.url("/mug.png", "dam.example", "https"), rules)
