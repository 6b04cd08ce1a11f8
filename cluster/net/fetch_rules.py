"""What a fetch from the web may do: hosts of our own, credentials for each host, limits.

Hosts come from the command line, credentials from the job's context alone: they are never written anywhere.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pressrun.cluster.net.url import Url, bracketed, parse_authority, shown
from pressrun.pipeline.errors import JobError

HEADERS = "PRESSRUN_REFERENCE_HEADERS"
_FORM = '{"dam.example.com": {"Authorization": "Bearer …"}}'
_OURS = {
    "user-agent": "Pressrun/1 (reference pictures)",
    "accept": "image/png, image/jpeg, image/webp, */*;q=0.1",
    "accept-encoding": "identity",
    "connection": "close",
}
_FIXED = {"host", "accept-encoding", "connection", "content-length", "transfer-encoding"}
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True)
class WebRules:
    """What a fetch may do. `allowed_hosts` and the keys of `headers` are `host` (any port) or `host:port`.

    An allowed host may have private addresses and be asked by plain http. `headers` are credentials: they go to their
    own host only and are left out of any representation. `max_bytes` and `deadline_sec` bound one reference with all
    that belongs to reading it, also where it does not lie on the web.
    """

    allowed_hosts: frozenset[str] = frozenset()
    headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    max_bytes: int = 64 << 20
    deadline_sec: float = 60.0
    max_redirects: int = 5

    def allow(self, url: Url) -> bool:
        """Whether the host was named as one of our own."""
        return not self.allowed_hosts.isdisjoint(url.names)

    def headers_for(self, url: Url) -> dict[str, str]:
        """Everything that is sent to this host."""
        sent = {"host": url.authority, **_OURS}
        for key in reversed(url.names):
            sent.update({name.lower(): value for name, value in self.headers.get(key, {}).items()})
        return sent


def web_rules(allow_hosts: Sequence[str] = (), headers: str = "") -> WebRules:
    """The rules of a job: hosts as the command line names them, and JSON of the headers for each host.

    Raises:
        JobError: a host or the JSON is malformed; no value of it is repeated.
    """
    problems, hosts, checked = [], set(), {}
    for host in allow_hosts:
        try:
            hosts.add(_host_name(host))
        except ValueError:
            problems.append(f"`allow_hosts` “{shown(host)}” is no host; write HOST or HOST:PORT.")
    try:
        checked = _headers(json.loads(headers or "{}"))
    except (ValueError, RecursionError):
        problems.append(f"{HEADERS} is not JSON of headers for each host; write it as {_FORM}.")
    if problems:
        raise JobError(*problems, code="bad_option")
    return WebRules(frozenset(hosts), checked)


def _host_name(text: str) -> str:
    """`HOST[:PORT]` as rules hold it. Raises ValueError."""
    host, port = parse_authority(bracketed(text) if text.count(":") > 1 and "[" not in text else text)
    return bracketed(host) + (f":{port}" if port else "")


def _headers(hosts: object) -> dict[str, dict[str, str]]:
    """The headers, checked. Raises ValueError."""
    if not isinstance(hosts, dict):
        raise ValueError
    checked: dict[str, dict[str, str]] = {}
    for host, headers in hosts.items():
        if not isinstance(headers, dict):
            raise ValueError
        for name, value in headers.items():
            printable = isinstance(value, str) and value.isascii() and value.isprintable()
            if not printable or not _NAME.fullmatch(name) or name.lower() in _FIXED:
                raise ValueError
        checked[_host_name(host)] = dict(headers)
    return checked
