"""The one way to a picture on a web server, for addresses that strangers wrote.

A host's addresses are checked where the connection is made, which goes to a checked address and asks no name server
again, and so at every redirect. Built on http.client, whose `connect` is meant to be replaced: urllib3 logs the whole
address, signature and all, when a server's headers are odd. Proxies from the environment are not used: a proxy would
look the host up itself. Trusted certificates are the machine's, or those of the standard SSL_CERT_FILE.
"""

import functools
import http.client
import io
import queue
import socket
import ssl
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from pressrun.cluster.net.deadline import Deadline, Failure, Silence
from pressrun.cluster.net.fetch_rules import HEADERS, WebRules
from pressrun.cluster.net.patience import Patience, unasked
from pressrun.cluster.net.url import Url, bracketed, is_literal, shown
from pressrun.pipeline.errors import RequestError

_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_PAUSES_SEC = (0.5, 1.5)
_CONNECT_SEC = 10.0
_CHUNK = 1 << 16
_MOST_HINTS = 10

_HARMLESS = {"", "identity", "none", "binary", "aws-chunked", "utf-8", "utf8", "us-ascii", "iso-8859-1"}
"""Content encodings that leave a body as it is: none, charsets, which do not belong there, what SDKs of S3 left."""


def fetch(url: str, rules: WebRules, patience: Patience | None = None) -> bytes:
    """The bytes at an `https://` address; `http://` only where the rules name the host.

    `patience` is what is known of each server, redirects' included, from other fetches.

    Raises:
        RequestError: with a sentence that shows host and path. `reference_refused` (a rule of address, scheme or
            redirect), `reference_missing`, `reference_denied`, `reference_encoded`, `reference_too_large`,
            `reference_timeout`, or `reference_unreachable` once two more attempts failed as well.
    """
    deadline, patience = Deadline(rules.deadline_sec), patience or Patience()
    via = ""
    try:
        hop = _first(url)
        for _ in range(rules.max_redirects + 1):
            answer = _ask(hop, rules, deadline, patience)
            if isinstance(answer, bytes):
                return answer
            hop = _next(hop, answer)
            via = f", which leads to {hop},"
        raise Failure("refused", f"is redirected more than {rules.max_redirects} times")
    except Failure as failure:
        raise RequestError(f"reference_{failure.code}", f"Reference {shown(url)}{via} {failure.reason}.") from None


class _Response(http.client.HTTPResponse):
    """Passes over informational answers, such as early hints (RFC 8297), of which http.client knows 100 alone."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(_MOST_HINTS):
            status: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            if not 101 < status[1] < 200:
                return status
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException


class Connection(http.client.HTTPConnection):
    """Connects to an address that was checked, and to no other."""

    response_class = _Response

    def __init__(self, url: Url, rules: WebRules, deadline: Deadline) -> None:
        super().__init__(url.host, url.port)
        self._url, self._rules, self._deadline = url, rules, deadline

    def connect(self) -> None:
        """Raises Failure `refused` for an address or certificate that must not be trusted, Silence where there is no
        connection, and OSError where TLS cannot be agreed on."""
        addresses = _addresses(self._url, self._deadline)
        if not all(_may_connect(address[0], self._url, self._rules) for _, address in addresses):
            way = f"; if you mean it, allow the host {bracketed(self._url.host)}"
            raise Failure("refused", f"is at a private or special network address{way}")
        for number, (family, address) in enumerate(addresses):
            self.sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                share = self._deadline.left() / (len(addresses) - number + 1)  # one for each, and one for the answer
                self.sock.settimeout(min(_CONNECT_SEC, share))
                self.sock.connect(address)
                break
            except OSError:
                self.close()
        else:
            reason = f"cannot be fetched: {self._url.host} takes no connection"
            raise Silence("unreachable", reason, True, connected=False)
        self._deadline.extend()
        self.sock.settimeout(self._deadline.left())
        if self._url.scheme == "https":
            try:
                self.sock = _tls().wrap_socket(self.sock, server_hostname=self._url.host)
            except ssl.SSLCertVerificationError:
                raise Failure("refused", "is on a server whose certificate is not valid for this host") from None
        self.sock.settimeout(None)  # from here on the deadline cuts, wherever it has moved


@functools.cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _first(url: str) -> Url:
    try:
        return Url.parse(url)
    except ValueError as error:
        raise Failure("refused", str(error)) from None


def _next(url: Url, location: str) -> Url:
    try:
        target = url.follow(location)
    except ValueError as error:
        raise Failure("refused", f"leads to an address that {error}") from None
    if (url.scheme, target.scheme) == ("https", "http"):
        raise Failure("refused", f"leads from https:// to {target}, which is not encrypted")
    return target


def _ask(url: Url, rules: WebRules, deadline: Deadline, patience: Patience) -> bytes | str:
    """A body, or where a redirect points, in the time that the host is given."""
    if url.scheme == "http" and not rules.allow(url):
        way = f"write https://, or allow the host {bracketed(url.host)}"
        raise Failure("refused", f"would be fetched without encryption; {way}")
    place = url.origin
    if patience.is_gone(place):
        raise Failure("unreachable", unasked(place))
    deadline.allow(patience.seconds(place, rules.deadline_sec), place)
    try:
        return _insist(url, rules, deadline, patience)
    except Silence as silence:
        patience.unheard(place, silence.connected)
        raise


def _insist(url: Url, rules: WebRules, deadline: Deadline, patience: Patience) -> bytes | str:
    """A body, or where a redirect points; what may pass is tried again."""
    place = url.origin
    for pause in (*_PAUSES_SEC, None):
        try:
            answer = _attempt(url, rules, deadline)
            patience.heard(place)
            return answer
        except Failure as failure:
            if not isinstance(failure, Silence):
                patience.heard(place, rest=failure.rest_sec > 0)
                deadline.allow(rules.deadline_sec)
            if not failure.passing or pause is None:
                raise
            if patience.may_rest(place):
                pause = max(pause, failure.rest_sec)
            if deadline.left() <= pause:
                raise
        time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _attempt(url: Url, rules: WebRules, deadline: Deadline) -> bytes | str:
    connection = Connection(url, rules, deadline)
    kind: type[Failure] = Silence
    try:
        connection.connect()
        with deadline.cutting(connection.sock):
            connection.request("GET", url.target, headers=rules.headers_for(url))
            with connection.getresponse() as response:
                kind = Failure
                return _answer(response, rules, deadline)
    except (OSError, http.client.HTTPException, ValueError):
        deadline.left()
        raise kind("unreachable", f"cannot be fetched: {url.host} does not answer, or breaks off", True) from None
    finally:
        connection.close()


def _answer(response: http.client.HTTPResponse, rules: WebRules, deadline: Deadline) -> bytes | str:
    status = response.status
    if status in (301, 302, 303, 307, 308) and (location := response.getheader("Location")):
        return location
    if status in (404, 410):
        raise Failure("missing", f"does not exist (status {status}); check the address in the manifest")
    if status in (401, 403):
        raise Failure("denied", f"may not be read (status {status}); renew its signature, or set {HEADERS}")
    if status not in (200, 203):  # 203: a proxy on the way has changed something, as images' optimisers do
        passing = status >= 500 or status in (408, 429)
        rest_sec = _rest_sec(response.getheader("Retry-After", "")) if passing else 0.0
        raise Failure("unreachable", f"is not delivered: the server answers with status {status}", passing, rest_sec)
    packed, sent = response.getheader("Content-Encoding", ""), response.getheader("Transfer-Encoding", "")
    if not _HARMLESS.issuperset(part.strip().lower() for part in packed.split(",")):
        raise _encoded("Content-Encoding", packed)
    if sent.strip().lower() not in ("", "chunked"):
        raise _encoded("Transfer-Encoding", sent)
    return _body(response, rules.max_bytes, deadline)


def _encoded(header: str, value: str) -> Failure:
    how = f"{header}: {shown(value[:40])}"
    return Failure("encoded", f"comes in an encoding that was not asked for, “{how}”; have it served as it is")


def _rest_sec(text: str) -> float:
    """Seconds that a Retry-After asks for, as a number or a date (RFC 9110, 10.2.3); 0 where it makes no sense."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _body(response: http.client.HTTPResponse, max_bytes: int, deadline: Deadline) -> bytes:
    too_large = Failure("too_large", f"is larger than {max_bytes:,} bytes")
    if (response.length or 0) > max_bytes:
        raise too_large
    body = io.BytesIO()  # gives its bytes away without a copy
    while chunk := response.read1(_CHUNK):  # never more than that at once, whatever a chunk's length says
        deadline.left()
        body.write(chunk)
        if body.tell() > max_bytes:
            raise too_large
        if body.tell() // _CHUNK > (body.tell() - len(chunk)) // _CHUNK:
            deadline.extend()  # a drip is no progress
    deadline.left()  # a connection that was cut looks like one that has ended
    if response.length:
        raise http.client.IncompleteRead(b"")
    return body.getvalue()


def _addresses(url: Url, deadline: Deadline) -> list[tuple[int, tuple[Any, ...]]]:
    """Family and socket address of each of the host's addresses, in the resolver's order."""
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=look_up, daemon=True).start()  # a resolver knows no deadline
    try:
        answer = answers.get(timeout=deadline.left())
    except queue.Empty:
        raise deadline.failure(connected=False) from None
    if isinstance(answer, Exception):
        passing = isinstance(answer, socket.gaierror) and answer.errno == socket.EAI_AGAIN
        reason = f"cannot be fetched: no address is known for {url.host}"
        raise Silence("unreachable", reason, passing, connected=False)
    return [(family, address) for family, _, _, _, address in answer]


def _may_connect(address: str, url: Url, rules: WebRules) -> bool:
    """Whether a host's address is a public one, or the host was allowed.

    A name that was allowed may still not lead to link-local addresses, where clouds keep credentials.
    """
    ip = ip_address(address)
    if isinstance(ip, IPv6Address) and (ip.ipv4_mapped or ip in _NAT64):
        ip = IPv4Address(int(ip) & 0xFFFFFFFF)  # that is where the connection ends up
    if not rules.allow(url):
        return _is_public(ip)
    return is_literal(url.host) or not (ip.is_link_local or ip.is_multicast or ip.is_unspecified)


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    """Whether anybody on the internet may be there. Tunnels of IPv4 through IPv6 are not: they end anywhere."""
    if isinstance(ip, IPv6Address) and (ip not in _UNICAST or ip.sixtofour or ip.teredo):
        return False
    special = ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback or ip.is_link_local
    return ip.is_global and not special
