"""Likenesses: which of many pictures nearly repeat another one, by their perceptual hashes."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from pipeline.checks.likeness import BITS

_PIECE = 512


def earliest_alike(hashes: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """For each of `hashes`, uint64 (N), the place of the earliest one before it that differs in fewer than `least`
    bits, -1 if there is none, and in how many bits it differs.

    Two hashes that differ in fewer bits than there are bands are equal in one band at least: only those are compared.
    """
    if least < 1:
        return np.full(len(hashes), -1), np.full(len(hashes), BITS)
    values, first, kind = np.unique(hashes, return_index=True, return_inverse=True)
    earliest = first.copy()
    for low, high in _bands(least):
        band = (values >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(band, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(band[order])) + 1):
            if len(group) > 1:
                _compare(values, first, group, least, earliest)
    found = earliest[kind]
    places = np.arange(len(hashes))
    found = np.where(found < places, found, -1)
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


def _bands(count: int) -> Iterator[tuple[int, int]]:
    edges = np.linspace(0, BITS, max(1, count) + 1).round().astype(int).tolist()
    yield from pairwise(edges)


def _compare(values: np.ndarray, first: np.ndarray, group: np.ndarray, least: int, earliest: np.ndarray) -> None:
    """Note for each hash of a group the earliest that is near enough."""
    for start in range(0, len(group), _PIECE):
        some = group[start : start + _PIECE]
        near = np.bitwise_count(values[some][:, None] ^ values[group][None]) < least  # (some, group)
        earliest[some] = np.minimum(earliest[some], np.where(near, first[group][None], len(first) + first.max()).min(1))
