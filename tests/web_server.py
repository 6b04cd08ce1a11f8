"""A web server on loopback that answers as a test tells it, well or ill, and remembers what it was asked."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """A web server on loopback: `answers` by path, `posts` those to a POST; `seen` are what it was asked to get."""

    def __init__(self, port: int = 0) -> None:
        self.answers: dict[str, Answer] = {}
        self.posts: dict[str, Answer] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.done = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                try:
                    outer.answers[self.path.partition("?")[0]](self)
                except OSError:
                    self.close_connection = True  # the client has gone

            def do_POST(self) -> None:
                outer.posts[self.path](self)

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.http.daemon_threads = True
        self.port = self.http.server_port
        self._thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self.done.set()
        self.http.shutdown()
        self._thread.join()
        self.http.server_close()

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def sends(self, path: str, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """`headers` are written with `_` for `-`."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in {"Content_Length": str(len(body)), **headers}.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)

        self.answers[path] = answer

    def stalls(self, path: str) -> None:
        """It is asked, and never answers."""
        self.answers[path] = self._stall

    def _stall(self, _: BaseHTTPRequestHandler) -> None:
        self.done.wait()

    def drips(self, path: str, start: bytes, drop: bytes, pause: float = 0.05) -> None:
        """`start`, and then `drop` for ever."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.wfile.write(start)
            while not self.done.wait(pause):
                handler.wfile.write(drop)

        self.answers[path] = answer


@contextmanager
def closed_port() -> Iterator[int]:
    """Where nobody listens, and only a server of the test may."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextmanager
def serving(port: int = 0) -> Iterator[Server]:
    server = Server(port)
    try:
        yield server
    finally:
        server.close()
