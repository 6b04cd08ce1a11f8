"""What is never shown, whoever wrote the text: credentials in addresses and beside them, and objects' representations.

Every error of Pressrun passes through `redacted` when it is made, so that no sentence, wherever it ends (terminal,
results, summary, contact sheet), can hold the signature of a presigned address or a password. A customer's own text,
on its way to a page, a caption or a sidecar, passes through `without_secrets`: what is harmless in it has to stay.
"""

import base64
import re
from collections.abc import Callable
from string import hexdigits
from urllib.parse import unquote

_CLOSING = ".,;:)]'\""
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(:[0-9]*)?")
_OBJECT = re.compile(r"<[^<>]* at 0x[0-9a-fA-F]+[^<>]*>")
_PATH = re.compile(r"(?<![\w:/.>…])/(?:[\w.+~-]+/)+(?=[\w.+-])")

# An address in a sentence ends with a word, in a customer's text also where another begins, or a piece of JSON ends.
_STRICT = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}://)([^\s“”]*)")
_RUN = r"(?:(?![,;|][A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s\"“”<>`\\])*"
_ADDRESS = re.compile(rf"(:|(?<![\w./:]))//((?:[^\s/?#\"“”]*@)?{_RUN})")
_QUERY = re.compile(rf"(\?|(?<=\S)\#)({_RUN})")

# What secrets are called. These words may stand anywhere in a name, …
_PASSWORDS = r"passw(?:or)?d|passphrase|(?<![a-z])pwd"
_KEYS = r"(?:api|access|account|private|shared|subscription)[-_. ]?key"
_TOKENS = r"(?:access|session|security|refresh|auth|bearer|client|id)[-_. ]?(?:token|secret)"
_STRONG = rf"{_PASSWORDS}|{_KEYS}|{_TOKENS}"
_WORDS = r"secret|token|signature|credential|hmac|hdn(?:ts|ea|tl)|(?<![a-z])sig"
# … and these are whole names of parameters.
_NAMES = r"sign?|key|auth|authorization|policy|pass|pw|sas|jwt|sid|rlkey|sess(?:ion)?-?id|key-pair-id|googleaccessid"
_SECRET_NAME = re.compile(rf"(?i){_STRONG}|{_WORDS}|^(?:{_NAMES})$|^x-(?:amz|goog)-")
_SAS = {"se", "sp", "sv"}
"""Without a signature these of Azure's parameters are no secret; whoever names all three has one."""

_TOLD = re.compile(rf"(?i)(?:{_STRONG}|{_WORDS})(?:s|key|id|value)?(?![a-z])")
_TOLD_BY_COLON = re.compile(rf"(?i)(?:{_STRONG})(?:s|key|id|value)?(?![a-z])")
"""A prompt may say “a secret: …”; where a name is quoted, as in JSON, all the words count."""
_NAMED = re.compile(
    r"(?i)(?<![\w.-])((?:(?:secret )?(?:api|access|account|private) )?[a-z_][\w.-]*)(\\?[\"']?)[ \t]*(=|:(?!//))[ \t]*"
)
_VALUE = re.compile(rf"(?s)(?P<mark>\\?[\"'])(?:(?!(?P=mark)).)+|{_RUN}")
_KEY_ID = re.compile(r"(?<![A-Za-z0-9])(AKIA|ASIA)[A-Z0-9]{12,}")
_HEADER = re.compile(
    r"(?i)(authorization\\?[\"']?[ \t]*[:=][ \t]*\\?[\"']?(?:[a-z][\w-]*[ \t]+(?=\S))?+)(?!…)[^\s\"'\\,;]+"
    r"|(cookie\\?[\"']?[ \t]*:[ \t]*\\?[\"']?)(?=[^\s=;\"]{1,80}=)[^\"\r\n]+"
)
_SCHEME = re.compile(r"(?i)(?<![a-z])(bearer|basic)([ \t]+)([\w.~+/=-]{8,})")

_MAYBE = re.compile(r"//|[?#=:]|AKIA|ASIA|(?i:bearer|basic)")
_MARKS = r"passw|passphrase|pwd|secret|token|signature|credential|hmac|hdnts|hdnea|hdntl|sig|key|cookie|authorization"
MARKED = (
    rf"(?is)//\S*@|[?#]\S*(?:[\w+/=~.%-]{{16}}|%[0-9a-f]|{_MARKS})|[?&;#](?:se|{_NAMES})=|[?&;#]x-(?:amz|goog)-"
    rf"|(?:{_MARKS})[\w.\\\"'-]*[ \t]*[=:]|(?:akia|asia)[a-z0-9]{{12}}|(?:bearer|basic)[ \t]"
)
"""Whatever `without_secrets` changes is found by this expression, which RE2 takes: to look at whole columns first."""


def redacted(text: str) -> str:
    """`text` with every address in it cut down to scheme, host and path, and without keys, headers and passwords beside
    them. The same again changes nothing."""
    return _OBJECT.sub("an object", _cut(text, _with_public_addresses))


def without_folders(text: str) -> str:
    """`redacted` text in which files of a host have only their names: `/srv/models/a.json` is `…/a.json`."""
    return _PATH.sub("…/", redacted(text))


def without_secrets(text: str) -> str:
    """A customer's `text` as others may read it; the same again changes nothing.

    Addresses lose user and password, and a query or fragment in which anything may be a secret, by its name or because
    it looks like chance; a harmless query stays. Keys, headers and passwords that stand in the text are cut as well.
    """
    return _cut(text, _with_harmless_addresses) if _MAYBE.search(text) else text


def _cut(text: str, mended: Callable[[str], str]) -> str:
    """`text` with its addresses mended and no secrets beside them, until there is nothing left to cut: what stands
    around a piece that was cut may be an address of its own. Each round leaves fewer signs of the text."""
    while (cut := _without_pairs(mended(text))) != text:
        text = cut
    return text


def _with_public_addresses(text: str) -> str:
    return _STRICT.sub(lambda match: match[1] + _public(match[2]), text) if "://" in text else text


def _with_harmless_addresses(text: str) -> str:
    return _QUERY.sub(_without_query, _ADDRESS.sub(_without_user, text))


def tells_of_secret(name: str) -> bool:
    """Whether the name of a field says that its value is a secret."""
    return _TOLD.search(name) is not None


def _public(rest: str) -> str:
    """What follows `scheme://`, without user, password, query and fragment; an authority that is not understood is left
    out, and everything after it."""
    place, mark = _partition(rest)
    authority, slash, path = place.partition("/")
    authority = authority.rpartition("@")[2]
    end = _end_of(rest)
    if not _AUTHORITY.fullmatch(authority.rstrip(_CLOSING)):
        return f"…{end}"
    return f"{authority}{slash}{path}{f'{mark}…{end}' if mark else ''}"


def _partition(rest: str) -> tuple[str, str]:
    """What stands before the query or fragment, and the sign that begins it."""
    match = re.search(r"[?#]", rest)
    return (rest[: match.start()], match[0]) if match else (rest, "")


def _end_of(text: str) -> str:
    """The signs at its end that belong to the sentence around it."""
    return text[len(text.rstrip(_CLOSING)) :]


def _without_user(match: re.Match[str]) -> str:
    before, rest = match.groups()
    if "@" not in rest:
        return match[0]
    place, _ = _partition(rest)
    authority = place.partition("/")[0]
    user, _, host = authority.rpartition("@")
    if not before and ":" not in user:  # a path such as //b@2x.png
        return match[0]
    if not _AUTHORITY.fullmatch(host.rstrip(_CLOSING)):
        return f"{before}//…{_end_of(rest)}"
    return f"{before}//{host}{rest[len(authority) :]}"


def _without_query(match: re.Match[str]) -> str:
    sign, rest = match.groups()
    query, hash, fragment = rest.partition("#")
    if _may_be_secret(query):
        return f"{sign}…{_end_of(rest)}"
    if _may_be_secret(fragment):
        return f"{sign}{query}{hash}…{_end_of(rest)}"
    return match[0]


def _may_be_secret(query: str) -> bool:
    """Whether any parameter may be a secret, also of an address that is a parameter."""
    plain = query
    for _ in range(3 if "%" in query else 0):
        plain = unquote(plain)
    if re.search(r"//[^\s/?#]*@", plain):
        return True
    for text in {query, plain}:
        fields = [field.partition("=") for field in re.split("[&;?#]", text)]
        if {name.lower() for name, _, _ in fields} >= _SAS:
            return True
        for name, _, value in fields:
            told = value.strip("…")
            if (told and _SECRET_NAME.search(name)) or _looks_random(told or name):
                return True
    return False


def _looks_random(text: str) -> bool:
    """Whether a part of `text` looks like chance: 16 or more hexadecimal digits, or 20 or more letters and digits that
    change places as no word's, size's or date's do."""
    runs = re.findall(r"[A-Za-z0-9+/=_~.-]{16,}", text)
    return any(map(_is_random, (piece for run in runs for piece in {run, *re.split(r"[/.~]", run)})))


def _is_random(run: str) -> bool:
    signs = re.sub(r"[^A-Za-z0-9]", "", run)
    if len(signs) >= 16 and not signs.strip(hexdigits) and not signs.isalpha():
        return len(signs) >= 24 or not signs.isdigit()
    if len(signs) < 20:
        return False
    turns = len(re.findall(r"(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])", run))
    humps = len(re.findall(r"(?<=[a-z])(?=[A-Z])", run))  # ACamelCaseName has some
    return turns + humps / 2 >= max(3, 0.15 * len(signs))


def _without_pairs(text: str) -> str:
    """`text` without keys, credentials of headers, and values whose name says that they are secret."""
    text = _KEY_ID.sub(r"\1…", text)
    text = _HEADER.sub(lambda match: f"{match[1] or match[2]}…", text)
    text = _SCHEME.sub(_without_credentials, text)
    return _without_values(text)


def _without_credentials(match: re.Match[str]) -> str:
    scheme, space, word = match.groups()
    if scheme.lower() == "bearer":
        return f"{scheme}{space}…" if re.search("[0-9]", word) else match[0]
    try:
        said = base64.b64decode(word, validate=True)
    except ValueError:
        return match[0]
    return f"{scheme}{space}…" if b":" in said and said.isascii() else match[0]


def _without_values(text: str) -> str:
    """`text` without the values behind names that say that they are secret."""
    pieces, start = [], 0
    for named in _NAMED.finditer(text):
        name, quote, sign = named.groups()
        told = _TOLD if quote or sign == "=" else _TOLD_BY_COLON
        if named.start() < start or not told.search(name):
            continue
        found = _VALUE.match(text, named.end())
        value = found[0] if found else ""
        if mark := found and found["mark"]:
            pieces += [text[start : named.end()], mark, "…"]
        else:
            end = _end_of(value)
            pieces += [text[start : named.end()], f"…{end}" if value != end else value]
        start = named.end() + len(value)
    return "".join([*pieces, text[start:]])
