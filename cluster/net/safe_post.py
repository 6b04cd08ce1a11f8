"""The one way to tell a web server something: as safe as `safe_fetch`, once, and without listening to the answer.

The same rules of addresses hold; redirects are not followed, and of what the server answers only the status is read.
"""

import http.client
from collections.abc import Mapping

from pressrun.cluster.net.deadline import Deadline, Failure
from pressrun.cluster.net.fetch_rules import WebRules
from pressrun.cluster.net.safe_fetch import Connection
from pressrun.cluster.net.url import Url, bracketed
from pressrun.pipeline.errors import RequestError

DEADLINE_SEC = 15.0


def post(url: str, body: bytes, headers: Mapping[str, str], rules: WebRules, deadline_sec: float = DEADLINE_SEC) -> int:
    """Send `body` to an `https://` address (`http://` only where the rules name the host); the answer's status.

    Raises:
        RequestError: the address is refused, or there was no answer in time; the sentence shows the host
            alone, for at some services a webhook's path is its secret.
    """
    try:
        there = Url.parse(url)
    except ValueError as error:
        raise RequestError("reference_refused", f"The address {error}.") from None
    try:
        return _posted(there, body, headers, rules, Deadline(deadline_sec))
    except Failure as failure:
        raise RequestError(f"reference_{failure.code}", f"{there.origin} {failure.reason}.") from None


def _posted(url: Url, body: bytes, headers: Mapping[str, str], rules: WebRules, deadline: Deadline) -> int:
    if url.scheme == "http" and not rules.allow(url):
        raise Failure("refused", f"is not encrypted; write https://, or allow the host {bracketed(url.host)}")
    sent = {"host": url.authority, "user-agent": "Pressrun/1", "connection": "close", **headers}
    connection = Connection(url, rules, deadline)
    try:
        connection.connect()
        with deadline.cutting(connection.sock):
            connection.request("POST", url.target, body, sent)
            with connection.getresponse() as response:
                return response.status
    except (OSError, http.client.HTTPException):
        deadline.left()
        raise Failure("unreachable", f"cannot be reached: {url.host} does not answer, or breaks off") from None
    finally:
        connection.close()
