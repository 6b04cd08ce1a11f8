"""A listing of S3 that is whole, or an error: whoever removes what is not in a listing must not have a part of it.

`IsTruncated` decides whether there is more; servers give tokens with their last page, or empty ones. An answer that
cannot be a page of this listing ends it. Keys need not come in the order of their bytes (SeaweedFS' do not).
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pressrun.cluster.store.s3_probe import PROBES
from pressrun.pipeline.errors import StorageError

_KEYS_A_PAGE = 1000  # what S3 gives where no other number is asked for
_EMPTY_PAGES = 1_000  # in a row: behind as many removed versions there may still be objects
_OF_A_LISTING = {"Name", "Prefix", "MaxKeys", "KeyCount", "IsTruncated", "Contents", "CommonPrefixes"}


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a listing's objects, as boto3 has them, and the prefixes under which there are more."""

    objects: Sequence[Mapping[str, Any]]
    folders: Sequence[str]


def pages(ask: Callable[[str | None], Mapping[str, Any]], prefix: str, place: str) -> Iterator[Page]:
    """A listing of all keys that start with `prefix`; `ask` gives the page after a token. `place` is how the prefix is
    called in errors. What is wrong with a page is found before it is given, what comes twice at the end at the latest.

    Raises:
        StorageError: the listing is cut off, comes round in a circle, or is none.
    """
    token: str | None = None
    seen, empty = _Seen(place), 0
    while True:
        answer = ask(token)
        page = _page(answer, prefix, place)
        seen.add(page)
        empty = 0 if page.objects or page.folders else empty + 1
        if not _is_truncated(answer, page):
            seen.check()
            yield page
            return
        token = answer.get("NextContinuationToken") or None
        if token is None:
            raise _cut_off(place, "there is more, and the server does not say how to ask for it")
        seen.add_token(token)
        if empty > _EMPTY_PAGES:
            raise _cut_off(place, "the server gives nothing but empty pages")
        yield page


def _page(answer: Mapping[str, Any], prefix: str, place: str) -> Page:
    """What is in an answer. Raises StorageError where it is no answer to what was asked."""
    if not _OF_A_LISTING & answer.keys():
        raise StorageError(f"Cannot list {place}: what answers is no S3 server; check AWS_ENDPOINT_URL_S3.")
    objects, folders = answer.get("Contents", ()), [one.get("Prefix") for one in answer.get("CommonPrefixes", ())]
    keys = [one.get("Key") for one in objects]
    strange = next((key for key in (*keys, *folders) if not isinstance(key, str) or not key.startswith(prefix)), "")
    if strange != "":
        raise StorageError(f"Cannot list {place}: the server names keys that were not asked for; tell its operator.")
    counted = answer.get("KeyCount") or 0  # some leave folders out, or the whole field
    if counted > len(keys) + len(folders):
        raise _cut_off(place, f"a page counts {counted:,} keys and names {len(keys) + len(folders):,}")
    return Page(objects, folders)


def _is_truncated(answer: Mapping[str, Any], page: Page) -> bool:
    """Whether there is more. A server that does not say so has more if it gives a token or the page is full."""
    if "IsTruncated" in answer:
        return bool(answer["IsTruncated"])
    full = len(page.objects) + len(page.folders) >= (answer.get("MaxKeys") or _KEYS_A_PAGE)
    return full or bool(answer.get("NextContinuationToken"))


def _cut_off(place: str, why: str) -> StorageError:
    return StorageError(f"The listing of {place} is cut off: {why}. Nothing is done with a part; tell its operator.")


class _Seen:
    """What a listing has given so far, in 8 bytes a key: pages and tokens come once each, and so do keys."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._tokens: set[str] = set()
        self._firsts: set[str] = set()
        self._hashes = array("q")

    def add(self, page: Page) -> None:
        first = page.objects[0]["Key"] if page.objects else next(iter(page.folders), None)
        if first is not None:
            self._once(first, self._firsts)
        self._hashes.extend(hash(one["Key"]) for one in page.objects)

    def add_token(self, token: str) -> None:
        self._once(token, self._tokens)

    def check(self) -> None:
        """Raise StorageError where a key came twice."""
        if len(np.unique(np.frombuffer(self._hashes, np.int64))) != len(self._hashes):
            raise _cut_off(self._place, "pages overlap, so others may be missing")

    def _once(self, what: str, before: set[str]) -> None:
        if what in before:
            raise _cut_off(self._place, "the server gives the same page again and again")
        before.add(what)


def objects_in(listing: Iterable[Page], root: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every object of a listing, page by page, without folders' placeholders and probes: its path below the key `root`,
    and what the server says of it."""
    for page in listing:
        for found in page.objects:
            path = found["Key"].removeprefix(root)
            if path and not path.endswith("/") and not path.startswith(PROBES):
                yield path, found
