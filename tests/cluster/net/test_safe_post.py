"""What is sent to a web server goes to whom it is meant for, once, and nothing of the answer is read but its status."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from pressrun.cluster.net.fetch_rules import WebRules
from pressrun.cluster.net.safe_post import post
from pressrun.pipeline.errors import RequestError
from tests.web_server import Server, closed_port, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def rules(port: int) -> WebRules:
    return WebRules(frozenset({f"127.0.0.1:{port}"}))


def test_body_and_headers_arrive_as_they_are_given(server: Server) -> None:
    found: list[tuple[bytes, dict[str, str]]] = []

    def take(handler: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        found.append((handler.rfile.read(int(headers["content-length"])), headers))
        handler.send_response(202)
        handler.end_headers()

    server.posts["/hook"] = take
    assert post(server.url("/hook"), b'{"a": 1}', {"content-type": "application/json"}, rules(server.port)) == 202
    [(body, headers)] = found
    assert (body, headers["content-type"], headers["host"]) == (
        b'{"a": 1}',
        "application/json",
        f"127.0.0.1:{server.port}",
    )


def test_a_redirect_is_an_answer_and_is_not_followed(server: Server) -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(307)
        handler.send_header("Location", server.url("/elsewhere"))
        handler.end_headers()

    server.posts["/hook"] = redirect
    assert post(server.url("/hook"), b"{}", {}, rules(server.port)) == 307
    assert server.seen == []


@pytest.mark.parametrize(
    ("url", "why"),
    [
        pytest.param("http://127.0.0.1:9/secret", "is not encrypted", id="plain http"),
        pytest.param("https://127.0.0.1:9/secret", "private or special", id="private"),
        pytest.param("ftp://example.com/secret", "no https", id="another scheme"),
        pytest.param("https://user:secret@example.com/", "user name or password", id="credentials"),
    ],
)
def test_what_nobody_allowed_is_refused_without_its_path(url: str, why: str) -> None:
    with pytest.raises(RequestError, match=why) as refused:
        post(url, b"{}", {}, WebRules())
    assert refused.value.code == "reference_refused" and "secret" not in str(refused.value)


def test_a_server_that_never_answers_is_given_up(server: Server) -> None:
    server.posts["/hook"] = lambda _: server.done.wait() and None
    began = time.monotonic()
    with pytest.raises(RequestError) as failed:
        post(server.url("/hook"), b"{}", {}, rules(server.port), deadline_sec=0.3)
    assert failed.value.code == "reference_timeout" and time.monotonic() - began < 5


def test_a_port_where_nobody_listens_is_told() -> None:
    with closed_port() as port, pytest.raises(RequestError, match="takes no connection"):
        post(f"http://127.0.0.1:{port}/", b"{}", {}, rules(port))
