"""A campaign's combinations, as numbers from 0 on, the last axis running fastest, and what its rules leave of them.

A chunk of them is `codes`: for each axis the rows that they take, so that ten million never stand in memory at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.campaign.campaign import LANGUAGE, Campaign
from pressrun.jobs.campaign.campaign_rules import Rule
from pressrun.jobs.campaign.content import Content

CHUNK_ROWS = 1 << 17
"""Combinations that are looked at together: a row group, about 30 MB."""

Codes: TypeAlias = Sequence[np.ndarray]
Replaced: TypeAlias = tuple[str, Content, np.ndarray]
"""A column, what it gets instead, and for which of the combinations."""
_Served = TypeVar("_Served")


class Combinations:
    """What can be asked of combinations before a row is made of them."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.shape = tuple(len(axis) for axis in campaign.axes)
        self.places = {name: campaign.axes.index(axis) for name, axis in campaign.names.items()}

    def chunks(self) -> Iterator[Codes]:
        """Combinations that the rules leave, in their order."""
        campaign = self.campaign
        for start in range(0, campaign.combinations, CHUNK_ROWS):
            numbers = np.arange(start, min(start + CHUNK_ROWS, campaign.combinations))
            codes = list(np.unravel_index(numbers, self.shape))
            keep = np.full(len(numbers), not campaign.include)
            for rule in campaign.include:
                keep |= self.matches(rule, codes)
            for rule in campaign.exclude:
                keep &= ~self.matches(rule, codes)
            yield codes if keep.all() else [code[keep] for code in codes]

    def cells(self, name: str, codes: Codes) -> pa.Array:
        """An axis's column for combinations, as text."""
        return self.campaign.names[name].texts[name].take(pa.array(codes[self.places[name]]))

    def matches(self, rule: Rule, codes: Codes) -> np.ndarray:
        """Which combinations a rule is about."""
        mask = np.ones(len(codes[0]), bool)
        for column, wanted in rule.conditions.items():
            fits = pc.is_in(self.campaign.names[column].texts[column], pa.array(wanted))
            mask &= fits.to_numpy(zero_copy_only=False)[codes[self.places[column]]]
        return mask

    def by_language(self, of: Mapping[str | None, _Served], codes: Codes) -> Iterator[tuple[str | None, np.ndarray]]:
        """For each language of a text the combinations that it serves; None: those that no other does."""
        rest = np.ones(len(codes[0]), bool)
        if set(of) != {None}:
            languages = self.cells(LANGUAGE, codes)
            for language in of:
                if language is not None:
                    mask = pc.fill_null(pc.equal(languages, language), False).to_numpy(zero_copy_only=False)
                    rest &= ~mask
                    yield language, np.flatnonzero(mask)
        if rest.any():
            yield None, np.flatnonzero(rest)

    def replaced(self, codes: Codes) -> Iterator[Replaced]:
        """What overrides change."""
        for override in self.campaign.overrides:
            rows = np.flatnonzero(self.matches(override.when, codes))
            if len(rows):
                for name, content in override.columns.items():
                    yield name, content, rows
