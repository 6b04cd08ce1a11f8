"""A reference's bytes, wherever it lies: on disk, in a bucket or on the web."""

from cluster.store import read_uri
from cluster.url import is_web
from cluster.web_rules import WebRules


def read_reference_bytes(uri: str, rules: WebRules) -> bytes:
    """The bytes of one picture by its resolved URI.

    Raises RequestError as `fetch` does for what is on the web, and for the rest whatever `read_uri` raises.
    """
    if not is_web(uri):
        return read_uri(uri)
    from cluster.web import fetch  # TLS takes a while to import, and most manifests need none

    return fetch(uri, rules)
