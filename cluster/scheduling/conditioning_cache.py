"""What units are made from: prompts' embeddings and references' latents, each encoded once, kept while bytes allow."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from pressrun.cluster.protocol.unit import Item, Reference

LIMIT_BYTES = 1 << 30
EMPTY_PROMPT = ""

Key = str | Reference
"""A prompt's text, or a reference; two references of equal bytes are one key, wherever they lie."""


@dataclass
class Input:
    """`failures` are (code, message) of each URI from which it is known not to be had; under "" of all of them."""

    ref: Any = None
    asked: bool = False
    size: int = 0
    ready: bool = False
    failures: dict[str, tuple[str, str]] = field(default_factory=dict)
    users: set[int] = field(default_factory=set)

    def failure(self, key: Key) -> tuple[str, str] | None:
        """Why it cannot be had under this key, if that is known."""
        return self.failures.get("") or self.failures.get(_uri(key))

    def fail(self, key: Key, failure: tuple[str, str]) -> None:
        """It cannot be had under this key; equal bytes that lie elsewhere may still be asked for."""
        self.failures[_uri(key)] = failure
        self.asked = False


class Inputs:
    """A cache bounded by bytes: what no unit in flight uses is forgotten, the least recently used first."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._entries: dict[Key, Input] = {}
        self._unused: OrderedDict[Key, None] = OrderedDict()  # ready, and nobody's, least recently used first
        self._limit = limit_bytes
        self._bytes = 0

    def __getitem__(self, key: Key) -> Input:
        return self._entries[key]

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def take(self, key: Key, user: int) -> Input:
        """The entry, made if need be, marked as used by a flight."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = Input()
        self._unused.pop(key, None)
        entry.users.add(user)
        return entry

    def arrived(self, key: Key, size: int) -> None:
        """It was encoded: it counts from now on."""
        entry = self._entries[key]
        self._bytes += size - entry.size
        entry.ready, entry.size = True, size
        if not entry.users:
            self._unused[key] = None
        self._evict()

    def release(self, keys: set[Key], user: int) -> None:
        """A flight needs these no more."""
        for key in keys:
            entry = self._entries.get(key)
            if entry is not None and user in entry.users:
                entry.users.remove(user)
                if entry.ready and not entry.users:
                    self._unused[key] = None
        self._evict()

    def forget(self, keys: set[Key]) -> None:
        """Objects were lost with a node and must be encoded again; who waits for them goes on waiting."""
        for key in keys:
            entry = self._entries.get(key)
            if entry is not None:
                self._bytes -= entry.size
                entry.ref, entry.ready, entry.asked, entry.size = None, False, False, 0
                self._unused.pop(key, None)

    def _evict(self) -> None:
        while self._bytes > self._limit and self._unused:
            key, _ = self._unused.popitem(last=False)
            self._bytes -= self._entries.pop(key).size


def keys_of(items: tuple[Item, ...], guided: bool) -> list[Key]:
    """Everything that a unit's denoise call takes; equal references as often as there are places to have them from."""
    keys: dict[tuple[str, str], Key] = {("", item.request.prompt): item.request.prompt for item in items}
    keys.update({(key.sha256, key.uri): key for item in items for key in item.references})
    if guided:
        keys["", EMPTY_PROMPT] = EMPTY_PROMPT
    return [keys[place] for place in sorted(keys)]


def _uri(key: Key) -> str:
    return key.uri if isinstance(key, Reference) else ""
