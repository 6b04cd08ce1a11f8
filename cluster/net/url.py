"""An address on the web as we take it apart: once, strictly, and never shown with what may be a secret.

There is one parser for the check, the connection and the Host header, so that no two of them can disagree about who is
meant. What a browser would mend (backslashes, tabs, octal addresses) is refused.
"""

import re
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from urllib.parse import quote, urljoin, urlsplit

import idna

PORTS = {"https": 443, "http": 80}

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]@]*\]|[^\[\]@:]*)(:(?P<port>[0-9]{0,5}))?", re.DOTALL)
_SAFE = "/%:@!$&'()*+,;=~-._"
_MAX_SHOWN = 300
_JOINERS = str.maketrans("", "", "\u200c\u200d")
"""Signs that Persian, Indian languages and emoji need inside words; nothing else that is not printed is taken."""


@dataclass(frozen=True)
class Url:
    """`host` is lower-case ASCII (an IPv6 address without brackets), `target` path and query as they are sent."""

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Url":
        """Take a URL apart. Raises ValueError with the rest of a sentence about it: "names no host"."""
        if "\\" in text or not is_readable(text):
            raise ValueError("holds characters that no address has")
        try:
            parts = urlsplit(text)
        except ValueError:
            raise ValueError("names no host") from None
        if parts.scheme not in PORTS:
            raise ValueError("is no https:// address")
        if "@" in parts.netloc:
            raise ValueError("holds a user name or password; credentials belong into PRESSRUN_REFERENCE_HEADERS")
        host, port = parse_authority(parts.netloc)
        query = f"?{quote(parts.query, safe=_SAFE + '?')}" if parts.query else ""
        target = (quote(parts.path, safe=_SAFE) or "/") + query
        return cls(parts.scheme, host, PORTS[parts.scheme] if port is None else port, target)

    def __str__(self) -> str:
        return shown(f"{self.origin}{self.target}")

    @property
    def authority(self) -> str:
        """What the Host header says: the port only where it is not the scheme's own, as signatures expect it."""
        return bracketed(self.host) + ("" if self.port == PORTS[self.scheme] else f":{self.port}")

    @property
    def origin(self) -> str:
        """The server, as it stands before the path."""
        return f"{self.scheme}://{self.authority}"

    @property
    def names(self) -> tuple[str, str]:
        """How rules may name the host: with its port, and for every port."""
        return f"{bracketed(self.host)}:{self.port}", bracketed(self.host)

    def follow(self, location: str) -> "Url":
        """Where a redirect from here leads; `location` is a header's bytes as Latin-1. Raises ValueError as `parse`."""
        try:
            sent = quote(location.encode("latin-1", "replace"), safe=_SAFE + "?#[]")
            joined = urljoin(f"{self.origin}{self.target}", sent)
        except ValueError:
            raise ValueError("names no host") from None
        return Url.parse(joined)


def parse_authority(text: str) -> tuple[str, int | None]:
    """The host and, where it is given, the port of `HOST[:PORT]`, as `Url` holds them.

    Raises ValueError with the rest of a sentence, also for addresses in disguise such as `0x7f.1` and `0177.0.0.1`.
    """
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise ValueError("names no host")
    host, port = match["host"], int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError("names a port that there is not")
    try:
        if host.startswith("["):
            if "%" in host:
                raise ValueError("names a network interface")
            return str(IPv6Address(host[1:-1])), port
        host = _ascii(host).encode("idna").decode().lower().rstrip(".")
    except (AddressValueError, UnicodeError):
        raise ValueError("names no host") from None
    if not _HOST.fullmatch(host) or len(host) > 253:
        raise ValueError("names no host")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            IPv4Address(host)
        except AddressValueError:
            raise ValueError("writes its host as a number; write the host's name") from None
    return host, port


def _ascii(host: str) -> str:
    """A host as browsers ask for it: by UTS 46 without its transition, so that ß is no ss, which is somebody else's.

    Raises ValueError where IDNA 2008 has no such name, as with emoji, and UnicodeError where nobody has.
    """
    if host.isascii():
        return host
    try:
        labels = idna.uts46_remap(host, std3_rules=False, transitional=False).split(".")
        return ".".join(label if label.isascii() else idna.alabel(label).decode() for label in labels)
    except idna.IDNAError:
        raise ValueError("names a host that no domain can be called; if it is one, write it as xn--…") from None


def bracketed(host: str) -> str:
    """`host` as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def is_literal(host: str) -> bool:
    """Whether `host` is an address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_web(uri: str) -> bool:
    """Whether a reference is fetched from a web server."""
    return uri.lower().startswith(("https://", "http://"))


def is_data(uri: str) -> bool:
    """Whether a reference is the picture itself, written as an address."""
    return uri[:5].lower() == "data:"


def is_readable(text: str) -> bool:
    """Whether everything in an address or a path can be printed, or joins letters."""
    return text.translate(_JOINERS).isprintable()


def file_name(uri: str) -> str:
    """What a reference's file is called, as others may know it."""
    return shown(uri) if is_data(uri) else uri.partition("?")[0].rpartition("/")[2]


def shown(uri: str) -> str:
    """`uri` as messages may show it: without user, password, query and fragment, on one line, not too long.

    Takes whatever a manifest holds, paths included, and never raises: a presigned query is a secret even in a URL that
    is wrong in every other way. An authority that is not understood is left out whole.
    """
    if is_data(uri):
        head = "".join(sign for sign in uri[:64].partition(",")[0] if sign.isprintable())
        return f"{head},… ({len(uri):,} characters)"
    if "://" in uri:
        kept = re.split(r"[?#]", uri, maxsplit=1)[0]
        scheme, _, rest = kept.partition("://")
        authority, path = re.fullmatch(r"([^/\\]*)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
        authority = authority.rpartition("@")[2]
        fine = _AUTHORITY.fullmatch(authority) and "@" not in path.partition("/")[0]
        text = f"{scheme}://{authority}{path}" if fine else f"{scheme}://…"
    else:
        kept = uri.partition("?")[0]
        text = kept
    text += "?…" if "?" in uri and uri[len(kept) : len(kept) + 1] == "?" else ""
    text = text[: _MAX_SHOWN - 1] + "…" if len(text) > _MAX_SHOWN else text
    return "".join(sign if sign.isprintable() else "�" for sign in text)
