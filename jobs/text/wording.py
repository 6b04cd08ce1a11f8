"""How values appear in messages: short, on one line, without secrets, and never as an object's representation."""

import re
from collections.abc import Iterable, Sequence
from itertools import islice

from pressrun.pipeline.redaction import without_secrets

MAX_SHOWN = 80
"""Characters of a value that a message repeats."""

MAX_LISTED = 20
"""Cases that a message lists before it only counts."""

_SEEN = r"[^\s\u200b-\u200f\u2060\ufeff]"
JOINER = re.compile(rf"(?<={_SEEN})[\u200c\u200d](?={_SEEN})")
"""What joins two signs into one, such as the people of a family, or keeps letters apart; elsewhere it shows nothing."""


def shortened(value: object, limit: int = MAX_SHOWN) -> str:
    """`value` as text of at most `limit` characters, without what may be a secret; what cannot be printed, but for
    joiners, is replaced by “�”."""
    text = without_secrets(str(value))  # before it is shortened: half of a password is not known for one
    cut = text[: limit - 1] + "…" if len(text) > limit else text
    return "".join(sign if sign.isprintable() or JOINER.match(cut, place) else "�" for place, sign in enumerate(cut))


def several(count: int, noun: str) -> str:
    """`1 night`, `2,000 nights`: for nouns that take an s."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def first_of(cases: Sequence[str], limit: int = MAX_LISTED) -> str:
    """`a, b, c and 17 more`: the first `limit` cases, and how many there are beyond them."""
    return listed(cases, len(cases), limit)


def listed(cases: Iterable[str], total: int, limit: int = MAX_LISTED) -> str:
    """As `first_of`, for cases that are made one by one: only `limit` of the `total` are."""
    shown = [shortened(case) for case in islice(cases, limit)]
    if total > len(shown):
        return ", ".join(shown) + f" and {total - len(shown):,} more"
    return ", ".join(shown)
