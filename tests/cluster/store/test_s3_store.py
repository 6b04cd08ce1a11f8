"""S3: what is in the way at a job's start, and what goes wrong later, between us and a real server."""

import http.client
import http.server
import os
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.s3_server import S3Server
from pressrun.cluster.store.s3_client import s3_client
from pressrun.cluster.store.s3_errors import FOREIGN, explain
from pressrun.cluster.store.s3_store import S3Store
from pressrun.pipeline.errors import JobError, StorageError
from tests.opening import open_store, stores

_ERROR = "<Error><Code>{}</Code><Message>AKIASECRET did something</Message></Error>"


class _Proxy(http.server.BaseHTTPRequestHandler):
    """Forwards requests to the S3 server, but for those for which the test has planned a fault."""

    protocol_version = "HTTP/1.1"
    upstream: str
    faults: deque[str]
    seen: list[str]

    def _forward(self) -> None:
        self.close_connection = True
        self.seen.append(self.command)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.faults.popleft() if self.faults else "none"
        if fault[0].isdigit():
            status, code = fault.split()
            return self._answer(int(status), _ERROR.format(code).encode())
        upstream = http.client.HTTPConnection(self.upstream, timeout=20)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "expect"}
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        data = answer.read()
        upstream.close()
        if fault == "lost answer":
            return None
        return self._answer(answer.status, data, cut=fault == "cut", headers=dict(answer.getheaders()))

    do_GET = do_PUT = do_HEAD = do_DELETE = _forward

    def _answer(self, status: int, data: bytes, cut: bool = False, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def proxy(s3: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server in front of the S3 server; `faults` are planned for the next requests, `seen` are their methods."""
    plan = {"upstream": urlsplit(s3.endpoint).netloc, "faults": deque(), "seen": []}
    handler = type("Handler", (_Proxy,), plan)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
        yield handler
        server.shutdown()
        thread.join()
    s3_client.cache_clear()  # tests hang their own hooks into the clients of this proxy


@pytest.fixture
def faulty(proxy: Any, s3_bucket: str) -> S3Store:
    """A store behind the proxy."""
    return S3Store(s3_bucket.removeprefix("s3://"), "run-1", stores(), conditional=True)


def test_prepare_finds_out_that_creation_is_conditional_and_tidies_up(s3_bucket: str) -> None:
    store = open_store(f"{s3_bucket}/run-1")
    store.prepare()
    assert store.conditional
    assert not list(open_store(s3_bucket).list())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIAWRONG"}, "the access key id is unknown there: check AWS_ACCESS_KEY_ID."),
        ({"AWS_SECRET_ACCESS_KEY": "wr0ng"}, "does not fit the access key id: check AWS_SECRET_ACCESS_KEY."),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no credentials were found; set AWS_ACCESS_KEY_ID"),
        ({"AWS_ENDPOINT_URL_S3": "http://me:pa55@127.0.0.1:9"}, "http://127.0.0.1:9 cannot be reached; check AWS_END"),
        ({"AWS_ENDPOINT_URL_S3": "nonsense"}, "The AWS environment cannot be used .* check .* AWS_ENDPOINT_URL_S3"),
        ({"AWS_PROFILE": "nobody"}, "The AWS environment cannot be used .* check AWS_PROFILE"),
    ],
)
def test_a_wrong_environment_is_a_sentence_without_secrets(
    s3_bucket: str, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], sentence: str
) -> None:
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    for name, value in change.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    monkeypatch.setattr("pressrun.cluster.store.s3_store._PREPARE_SEC", 0.3)
    with pytest.raises(JobError, match=sentence) as refusal:
        open_store(f"{s3_bucket}/run-1").prepare()
    assert str(refusal.value).count("\n") == 0
    for hidden in (secret, "AKIAWRONG", "wr0ng", "pa55", "Signature="):
        assert hidden not in str(refusal.value)


def test_a_missing_bucket_is_a_sentence(s3_bucket: str) -> None:
    with pytest.raises(JobError, match="Cannot list s3://no-such-bucket/run-1: the bucket does not exist: create it"):
        open_store("s3://no-such-bucket/run-1").prepare()


def test_a_bucket_that_may_not_be_read_or_written(proxy: Any, faulty: S3Store) -> None:
    proxy.faults.append("403 AccessDenied")
    with pytest.raises(JobError, match="access is denied: ask the bucket's owner"):
        faulty.prepare()
    proxy.faults.extend(["none", "none", *["403 AccessDenied"] * 4])
    with pytest.raises(JobError, match=r"Cannot write s3://.*/run-1/\.probe/.*: access is denied"):
        faulty.prepare()


def test_a_server_that_refuses_conditions_gets_plain_writes(proxy: Any, faulty: S3Store) -> None:
    proxy.faults.extend(["none", "none", *["501 NotImplemented"] * 4])
    faulty.prepare()
    assert not faulty.conditional
    assert faulty.create("a", b"1") and faulty.create("a", b"2")
    assert faulty.get("a") == b"2"


def test_a_server_that_ignores_conditions_gets_plain_writes(faulty: S3Store) -> None:
    faulty._client.meta.events.register("provide-client-params.s3.PutObject", _forget_condition)
    faulty.prepare()
    assert not faulty.conditional


def _forget_condition(params: dict[str, Any], **_: object) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name != "IfNoneMatch"}


@pytest.mark.parametrize(
    ("fault", "times"),
    [("503 SlowDown", 4), ("500 InternalError", 2), ("409 ConditionalRequestConflict", 2)],  # botocore gives up at 3
)
def test_passing_trouble_is_waited_out(proxy: Any, faulty: S3Store, fault: str, times: int) -> None:
    proxy.faults.extend([fault] * times)
    assert faulty.create("a", b"1")
    assert faulty.get("a") == b"1"
    assert proxy.seen == ["PUT"] * (times + 1) + ["GET"]


def test_trouble_that_stays_is_the_stores_fault(proxy: Any, s3_bucket: str) -> None:
    store = S3Store(s3_bucket.removeprefix("s3://"), "", stores(), patience_sec=0.5)
    proxy.faults.extend(["503 SlowDown"] * 100)
    with pytest.raises(StorageError, match=r"the server is overloaded or broken \(503 SlowDown\); run"):
        store.put("a", b"1")


def test_a_put_whose_answer_was_lost_says_that_something_is_there(proxy: Any, faulty: S3Store) -> None:
    proxy.faults.append("lost answer")
    assert not faulty.create("images/a.png", b"ours")
    assert faulty.get("images/a.png") == b"ours"
    assert proxy.seen.count("PUT") == 2


def test_a_body_that_was_cut_off_is_read_again(proxy: Any, faulty: S3Store) -> None:
    data = os.urandom(300_000)
    faulty.put("a", data)
    proxy.faults.append("cut")
    assert faulty.get("a") == data
    proxy.faults.append("cut")
    assert faulty.get_range("a", 10, 1000) == data[10:1010]


@pytest.mark.parametrize("code", ["ExpiredToken", "RequestTimeTooSkewed", "InvalidToken"])
def test_credentials_that_end_meanwhile_stop_at_once(proxy: Any, faulty: S3Store, code: str) -> None:
    proxy.faults.append(f"400 {code}")
    with pytest.raises(StorageError, match=r"Cannot write s3://.*/run-1/a: ") as failure:
        faulty.create("a", b"1")
    assert "AKIASECRET" not in str(failure.value)
    assert proxy.seen == ["PUT"]


def test_a_listing_of_many_pages_is_whole(faulty: S3Store, proxy: Any) -> None:
    for number in range(5):
        faulty.put(f"images/{number}", b"")
    faulty._client.meta.events.register("provide-client-params.s3.ListObjectsV2", _two_a_page)
    proxy.faults.extend(["none", "503 SlowDown"])
    assert [entry.path for entry in faulty.list("images/")] == [f"images/{number}" for number in range(5)]
    assert proxy.seen.count("GET") == 4


def _two_a_page(params: dict[str, Any], **_: object) -> dict[str, Any]:
    return params | {"MaxKeys": 2}


def test_every_foreign_error_becomes_a_sentence_of_ours() -> None:
    from botocore import exceptions as aws

    for kind in vars(aws).values():
        if isinstance(kind, type) and issubclass(kind, aws.BotoCoreError):
            error = kind.__new__(kind)
            assert isinstance(error, FOREIGN)
            assert str(explain(error, "read", "bucket", "a/b", "http://host:1")).startswith(
                "Cannot read s3://bucket/a/b"
            )
