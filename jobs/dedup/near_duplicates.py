"""Likenesses: which of many pictures nearly repeat another one, by their perceptual hashes."""

import numpy as np

from pressrun.pipeline.checks.likeness import BITS

_BITS = np.uint64(1) << np.arange(BITS, dtype=np.uint64)
_PIECE = 512
"""Hashes that are compared with so many others at once: two megabytes, which stay in a core's cache."""


def earliest_alike(hashes: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """For each of `hashes`, uint64 (N), the place of the earliest one before it that differs in fewer than `least`
    bits, -1 if there is none, and in how many bits it differs.

    Two hashes that differ in fewer bits than there are bands are equal in one band at least: only those are compared.
    """
    if least < 1 or not len(hashes):
        return np.full(len(hashes), -1), np.full(len(hashes), BITS)
    values, first, kind = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    values, first = values[order], first[order]  # in the order in which they come
    earliest = np.arange(len(values))
    for band in _bands(values, least):
        cut = values & band
        together = np.argsort(cut, kind="stable")
        for group in np.split(together, np.flatnonzero(np.diff(cut[together])) + 1):
            if len(group) > 1:
                _compare(values, group, least, earliest)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    found = first[earliest[rank[kind]]]
    found = np.where(found < np.arange(len(hashes)), found, -1)
    return found, np.where(found >= 0, np.bitwise_count(hashes[found] ^ hashes), BITS)


def first_that_stays(hashes: np.ndarray, reseeds: np.ndarray, rows: np.ndarray, least: int) -> np.ndarray:
    """For each of `hashes`, uint64 (N), the place of the picture for which it has to go, -1 if it stays.

    In the order of `reseeds`, then of `rows`, one stays that differs in `least` bits or more from all that stay before
    it.
    """
    order = np.lexsort((rows, reseeds))
    goes = np.zeros(len(hashes), bool)
    unknown = order
    while len(unknown):
        found, _ = earliest_alike(hashes[unknown], least)
        stay, rest = unknown[found < 0], unknown[found >= 0]
        # One of the rest that is like one that stays comes after it: else that one would be like an earlier one.
        near = earliest_alike(hashes[np.concatenate([stay, rest])], least)[0][len(stay) :]
        like = (near >= 0) & (near < len(stay))
        goes[rest[like]] = True
        unknown = rest[~like]
    stay, gone = order[~goes[order]], order[goes[order]]
    first = np.full(len(hashes), -1)
    first[gone] = stay[earliest_alike(hashes[np.concatenate([stay, gone])], least)[0][len(stay) :]]
    return first


def _bands(values: np.ndarray, count: int) -> list[np.uint64]:
    """So many masks, which share out the bits in which any of `values` differ. The evenest bits are dealt out first,
    so that no band is left with bits that say little: those of colour, say, where the pictures are grey."""
    ones = np.array([np.count_nonzero(values & bit) for bit in _BITS])
    uneven = np.abs(ones - len(values) / 2)
    telling = np.argsort(uneven, kind="stable")[: np.count_nonzero(uneven < len(values) / 2)]
    return [np.bitwise_or.reduce(_BITS[telling[number::count]]) for number in range(count)]


def _compare(values: np.ndarray, group: np.ndarray, least: int, earliest: np.ndarray) -> None:
    """Note for each value of a group, which are places in ascending order, the earliest that is near enough. What has
    found one is not compared with later ones."""
    left = group
    for start in range(0, len(group), _PIECE):
        some = group[start : start + _PIECE]
        left = left[earliest[left] > some[0]]
        for begin in range(0, len(left), _PIECE):
            rows = left[begin : begin + _PIECE]
            near = np.bitwise_count(values[rows][:, None] ^ values[some][None]) < least  # (rows, some)
            at = near.argmax(1)
            hit = near[np.arange(len(rows)), at]
            earliest[rows[hit]] = np.minimum(earliest[rows[hit]], some[at[hit]])
