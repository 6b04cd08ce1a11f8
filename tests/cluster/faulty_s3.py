"""Servers that are not as S3 should be: in front of the real one, and each with one quirk of its answers."""

import gzip
import http.client
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

ERROR = "<Error><Code>{}</Code><Message>{}</Message>{}</Error>"


@dataclass
class Answer:
    """An answer on its way to the client. `framed` is how it says where it ends: length, chunks, or not at all."""

    status: int
    headers: dict[str, str]
    data: bytes
    framed: str = "length"


@dataclass(frozen=True)
class Request:
    """What the client asks."""

    method: str
    path: str
    headers: dict[str, str]

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))

    @property
    def lists(self) -> bool:
        return self.query.get("list-type") == "2"


Quirk = Callable[[Request, Answer], Answer | None]
"""What becomes of an answer; None: it stays as it is."""


@dataclass
class FaultyServer:
    """A server on loopback: `url`, what it has `seen`, and the `quirk` that it has just now; `instead` answers what the
    real server is not asked."""

    url: str = ""
    quirk: Quirk = lambda _request, _answer: None
    instead: Callable[[Request], Answer | None] = lambda _request: None
    seen: list[Request] = field(default_factory=list)


class _Listening(http.server.ThreadingHTTPServer):
    daemon_threads = True  # connections that a client keeps open are not waited for


@contextmanager
def serving(upstream: str) -> Iterator[FaultyServer]:
    """A server in front of the one at `upstream`."""
    server = FaultyServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
            server.seen.append(request)
            answer = server.instead(request) or _asked(
                urlsplit(upstream).netloc, self.command, self.path, body, dict(self.headers.items())
            )
            answer = server.quirk(request, answer) or answer
            self.close_connection = answer.framed == "connection"
            _send(self, answer)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _forward

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    with _Listening(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        server.url = f"http://127.0.0.1:{listening.server_port}"
        yield server
        listening.shutdown()
        thread.join()


def _asked(host: str, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
    upstream = http.client.HTTPConnection(host, timeout=20)
    upstream.request(method, path, body, {k: v for k, v in headers.items() if k.lower() != "expect"})
    got = upstream.getresponse()
    data = got.read()
    upstream.close()
    drop = ("connection", "transfer-encoding", "date", "server")
    return Answer(got.status, {k.lower(): v for k, v in got.getheaders() if k.lower() not in drop}, data)


def _send(handler: http.server.BaseHTTPRequestHandler, answer: Answer) -> None:
    handler.send_response(answer.status)
    if handler.command != "HEAD" or "content-length" not in answer.headers:
        answer.headers["content-length"] = str(len(answer.data))
    if answer.framed != "length":
        del answer.headers["content-length"]
    if answer.framed == "chunks":
        answer.headers["transfer-encoding"] = "chunked"
    for name, value in answer.headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    if handler.command != "HEAD":
        chunk = b"%x\r\n%s\r\n" % (len(answer.data), answer.data) if answer.data else b""
        handler.wfile.write(chunk + b"0\r\n\r\n" if answer.framed == "chunks" else answer.data)


def refusing(status: int, code: str, message: str = "", more: str = "", *methods: str) -> Quirk:
    """Every request (or those of some methods) is refused."""

    def quirk(request: Request, answer: Answer) -> Answer | None:
        if methods and request.method not in methods:
            return None
        data = ERROR.format(code, message, more).encode()
        return Answer(status, {"content-type": "application/xml"}, b"" if request.method == "HEAD" else data)

    return quirk


def losing(but: str = "\0") -> Callable[[Request], Answer | None]:
    """Whatever is put is acknowledged and not kept, but for keys in which `but` stands."""

    def instead(request: Request) -> Answer | None:
        if request.method != "PUT" or but in request.path:
            return None
        return Answer(200, {"etag": '"d41d8cd98f00b204e9800998ecf8427e"'}, b"")

    return instead


def numbered(number: str) -> Quirk:
    """Listings have this for every size."""

    def quirk(request: Request, answer: Answer) -> None:
        if request.lists:
            answer.data = re.sub(rb"<Size>.*?</Size>", f"<Size>{number}</Size>".encode(), answer.data)

    return quirk


def cached(change: Callable[[bytes], bytes]) -> Quirk:
    """Objects that are read are changed, and what tells their length fits, as behind a cache that kept a part."""

    def quirk(request: Request, answer: Answer) -> None:
        if request.method == "GET" and not request.lists and answer.status == 200:
            answer.data = change(answer.data)

    return quirk


def without(*fields: str) -> Quirk:
    """No answer has these fields, neither among its headers nor in a listing."""

    def quirk(request: Request, answer: Answer) -> None:
        for name in fields:
            answer.headers.pop(name.lower(), None)
            tag = name.replace("-", "").encode()
            if b"<ListBucketResult" in answer.data or b"<CopyObjectResult" in answer.data:
                answer.data = re.sub(rb"<%s>.*?</%s>" % (tag, tag), b"", answer.data)

    return quirk


def framed(how: str) -> Quirk:
    """Objects come without a Content-Length."""

    def quirk(request: Request, answer: Answer) -> None:
        if request.method in ("GET", "HEAD") and not request.lists and answer.status in (200, 206):
            answer.framed = how

    return quirk


def packed(request: Request, answer: Answer) -> None:
    """Objects come packed although nobody said that they may."""
    if request.method in ("GET", "HEAD") and not request.lists and answer.status in (200, 206):
        answer.data = gzip.compress(answer.data)
        answer.headers["content-encoding"] = "gzip"
        answer.headers["etag"] = "W/" + answer.headers["etag"]
        answer.framed = "chunks"


def without_ranges(request: Request, answer: Answer) -> None:
    """Whatever part is asked for, the whole object comes; to be used where what stands there is b"0123456789"."""
    if answer.status == 206:
        answer.status, answer.data = 200, b"0123456789"
        answer.headers.pop("content-range")


def paged(keys: int, told: Callable[[int, bool, str], str]) -> Quirk:
    """Listings come in pages of some keys; `told` makes what a page says of itself, of the number of the next page's
    first key, whether there is more, and the token with which this page was asked for."""

    def quirk(request: Request, answer: Answer) -> None:
        if not request.lists or answer.status != 200:
            return
        items = re.findall(rb"<Contents>.*?</Contents>|<CommonPrefixes>.*?</CommonPrefixes>", answer.data, re.DOTALL)
        token = request.query.get("continuation-token", "")
        start = int(re.sub(r"\D", "", token) or 0)
        more = start + keys < len(items)
        said = told(start + keys, more, token).encode()
        answer.data = (
            b"<?xml version='1.0'?><ListBucketResult><Name>b</Name><EncodingType>url</EncodingType>"
            + said
            + b"".join(items[start : start + keys])
            + b"</ListBucketResult>"
        )

    return quirk


def said(is_truncated: bool | None, token: object = None, more: str = "") -> str:
    """What a page says of itself."""
    text = more if is_truncated is None else f"<IsTruncated>{str(is_truncated).lower()}</IsTruncated>{more}"
    return text if token is None else f"{text}<NextContinuationToken>{token}</NextContinuationToken>"
