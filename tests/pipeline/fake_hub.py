"""A Hugging Face hub on loopback: one repository at one revision, served as the real client asks for it."""

import hashlib
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LARGE = (".safetensors", ".bin", ".pt")


class FakeHub:
    """Serves the files under `folder` as `repo`; `gated`, `corrupt`, `cut` and `broken` make faults on purpose.

    `corrupt` names files whose content is another than promised, `cut` ones whose first answer ends early, `broken`
    ones that are answered with 500. `asked` counts the bodies that were sent, `tokens` holds what clients brought.
    """

    def __init__(self, folder: Path, repo: str, revision: str) -> None:
        self.folder, self.repo, self.revision = folder, repo, revision
        self.gated = False
        self.corrupt: set[str] = set()
        self.cut: set[str] = set()
        self.broken: set[str] = set()
        self.sizes: dict[str, int] = {}
        self.asked: Counter[str] = Counter()
        self.tokens: set[str | None] = set()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                hub.answer(self, body=False)

            def do_GET(self) -> None:
                hub.answer(self, body=True)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FakeHub":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: BaseHTTPRequestHandler, body: bool) -> None:
        self.tokens.add(request.headers.get("Authorization"))
        path = request.path.partition("?")[0]
        prefix = f"/{self.repo}/resolve/{self.revision}/"
        if path == f"/api/models/{self.repo}/revision/{self.revision}":
            _send(request, 200, json.dumps(self._info()).encode(), {"Content-Type": "application/json"}, True)
        elif not path.startswith(prefix) or not (self.folder / path.removeprefix(prefix)).is_file():
            _send(request, 404, b"", {"X-Error-Code": "EntryNotFound"}, body)
        elif self.gated:
            _send(request, 403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "SECRET-IN-MESSAGE"}, body)
        else:
            self._file(request, path.removeprefix(prefix), body)

    def _file(self, request: BaseHTTPRequestHandler, name: str, body: bool) -> None:
        data = (self.folder / name).read_bytes()
        headers = {"ETag": f'"{_digest(name, data)}"', "X-Repo-Commit": self.revision}
        if name in self.corrupt:
            data = data[:-1] + bytes([data[-1] ^ 1])
        if not body:
            _send(request, 200, data, headers, False)
            return
        self.asked[name] += 1
        if name in self.broken:
            _send(request, 500, b"", {}, True)
            return
        start = int((request.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        end = len(data) // 2 if name in self.cut else len(data)
        self.cut.discard(name)
        _send(request, 206 if start else 200, data[start:], headers, True, sent=end - start)

    def _info(self) -> dict[str, Any]:
        siblings = []
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            name, data = path.relative_to(self.folder).as_posix(), path.read_bytes()
            size = self.sizes.get(name, len(data))
            file: dict[str, Any] = {"rfilename": name, "size": size, "blobId": _git_digest(data)}
            if name.endswith(LARGE):
                file["lfs"] = {"sha256": _digest(name, data), "size": size, "pointerSize": 134}
            siblings.append(file)
        return {"id": self.repo, "modelId": self.repo, "sha": self.revision, "siblings": siblings, "tags": []}


def _git_digest(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _digest(name: str, data: bytes) -> str:
    """What the hub's ETag says: SHA-256 of large files, Git's digest of others."""
    return hashlib.sha256(data).hexdigest() if name.endswith(LARGE) else _git_digest(data)


def _send(
    request: BaseHTTPRequestHandler,
    status: int,
    data: bytes,
    headers: dict[str, str],
    body: bool,
    sent: int | None = None,
) -> None:
    """An answer, of whose body only the first `sent` bytes arrive."""
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    if body:
        request.wfile.write(data[:sent])
        if sent is not None and sent < len(data):
            request.close_connection = True
            request.wfile.flush()
            request.connection.close()
