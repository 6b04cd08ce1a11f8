"""Variants: every combination of a campaign's axes that its rules leave, as the rows of a manifest.

Combinations are gone through twice, some at a time: once to count them and to find cells that a template needs and that
are empty, and pictures that are not there; once to write them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.campaign.axis import SEPARATOR
from pressrun.jobs.campaign.campaign import Campaign
from pressrun.jobs.campaign.campaign_rules import Rule, read_rule
from pressrun.jobs.campaign.combinations import Codes, Combinations, Replaced
from pressrun.jobs.campaign.content import PICTURES, Content, Pictures
from pressrun.jobs.campaign.gaps import Gaps
from pressrun.jobs.campaign.named_pictures import NamedPictures, addresses
from pressrun.jobs.manifest.manifest import REQUEST_SCHEMA
from pressrun.jobs.manifest.spoken_pictures import SpokenPictures
from pressrun.jobs.manifest.template import Template
from pressrun.jobs.text.wording import shortened
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.request import derived_seed

MAX_ROWS = 1_000_000
"""Combinations that are expanded unless more are asked for."""


@dataclass(frozen=True)
class Count:
    """How many rows a campaign has: values by axis, combinations, and what its rules leave of them."""

    axes: dict[str, int]
    combinations: int
    rows: int

    def __str__(self) -> str:
        product = " × ".join(f"{length:,} {shortened(name, 30)}" for name, length in self.axes.items())
        left = f", {self.rows:,} of them after include and exclude" if self.rows != self.combinations else ""
        return f"{product} = {self.combinations:,} combinations{left}."


class Variants:
    """The rows of a campaign. Once they are counted, `pictures` are those that they name, and `notes` sentences for a
    person to read before anything is rendered."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.pictures, self.notes = NamedPictures(), tuple[str, ...]()
        self._combinations = Combinations(campaign)

    def count(self, max_rows: int = MAX_ROWS) -> Count:
        """How many rows there are; every text that can be made has been tried.

        Raises JobError where there are more than `max_rows` combinations, before any is looked at, where the rules
        leave none, with every cell that a text needs and that is empty, and with addresses of pictures that are none.
        """
        axes = {axis.name: len(axis) for axis in self.campaign.axes}
        total = self.campaign.combinations
        if total > max_rows:
            count = Count(axes, total, total)
            raise JobError(
                f"{count} That is more than {max_rows:,}; if it is meant, give `max_rows` {total}.", code="bad_option"
            )
        rows, gaps, named, spoken = 0, Gaps(self._combinations), NamedPictures(), SpokenPictures()
        for codes in self._combinations.chunks():
            rows += len(codes[0])
            gaps.look(codes)
            if not gaps.problems:
                self._look_at_pictures(named, spoken, codes)
        if not rows:
            raise JobError(
                f"{Count(axes, total, total)} But include and exclude leave none of them.", code="bad_campaign"
            )
        if gaps.problems:
            raise JobError(*gaps.problems, code="bad_campaign")
        self.pictures, self.notes = named, tuple(spoken.notes)
        return Count(axes, total, rows)

    def _look_at_pictures(self, named: NamedPictures, spoken: SpokenPictures, codes: Codes) -> None:
        if not len(codes[0]):
            return
        counts, replaced = np.zeros(len(codes[0]), np.int64), list(self._combinations.replaced(codes))
        for name in PICTURES:
            if name in self.campaign.columns or name in self.campaign.names:
                column = self._column(name, codes, replaced)
                named.look(column)
                counts += pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        spoken.look(self._column("prompt", codes, replaced), counts, self._common("custom_id", codes))

    @property
    def schema(self) -> pa.Schema:
        """The manifest's columns: ours, then the axes', then the campaign's own."""
        return self._table([np.zeros(0, np.int64)] * len(self.campaign.axes)).schema

    def tables(self) -> Iterator[pa.Table]:
        """The manifest, some rows at a time."""
        for codes in self._combinations.chunks():
            if len(codes[0]):
                yield self._table(codes)

    def first(self, limit: int, where: Mapping[str, Sequence[str]]) -> tuple[pa.Table, int]:
        """The first `limit` rows of those that have, in each column of `where`, one of its values, and how many of
        those there are.

        Raises JobError where no axis has such a column or value, or no row is left.
        """
        problems: list[str] = []
        rule = (
            read_rule({name: list(values) for name, values in where.items()}, "`where`", self.campaign.names, problems)
            if where
            else Rule({}, "")
        )
        if problems:
            raise JobError(*problems, code="bad_option")
        found, total = [self.schema.empty_table()], 0
        for codes in self._combinations.chunks():
            rows = np.flatnonzero(self._combinations.matches(rule, codes))
            left = rows[: max(0, limit - total)]
            total += len(rows)
            if len(left):
                found.append(self._table([code[left] for code in codes]))
        if not total:
            raise JobError("No combination that the rules leave has what `where` asks for.", code="nothing_to_do")
        return pa.concat_tables(found).combine_chunks(), total

    def _table(self, codes: Codes) -> pa.Table:
        names = ["custom_id", "prompt", *(["seed"] if self.campaign.seed_from else ())]
        names += [*self.campaign.names, *(name for name in self.campaign.columns if name != "prompt")]
        ours = [name for name in REQUEST_SCHEMA.names if name in names]
        replaced = list(self._combinations.replaced(codes))
        order = (*ours, *(name for name in names if name not in ours))
        return pa.table({name: self._column(name, codes, replaced) for name in order})

    def _column(self, name: str, codes: Codes, replaced: Sequence[Replaced]) -> pa.Array:
        """A column of the manifest, with what overrides put there."""
        column = self._common(name, codes)
        for other, content, some in replaced:
            if other == name:
                new = self._made(content, [code[some] for code in codes], len(some))
                column = _put(column, some, new.cast(column.type))
        return column

    def _common(self, name: str, codes: Codes) -> pa.Array:
        """What a column has where no override is about it."""
        campaign, rows = self.campaign, len(codes[0])
        if name == "custom_id":
            slugs = [axis.slugs.take(pa.array(code)) for axis, code in zip(campaign.axes, codes, strict=True)]
            return pc.binary_join_element_wise(*slugs, SEPARATOR)
        if name in campaign.columns:
            return self._made(campaign.columns[name], codes, rows)
        if name in campaign.names:
            place = self._combinations.places[name]
            return campaign.names[name].table[name].combine_chunks().take(pa.array(codes[place]))
        return pa.array(self._seeds[tuple(codes[place] for place in self._seed_places)])

    def _made(self, content: Content, codes: Codes, rows: int) -> pa.Array:
        if isinstance(content, Pictures):
            made = addresses([], rows, self.campaign.base)
            for language, some in self._combinations.by_language(content.by_language, codes):
                chosen = [code[some] for code in codes]
                texts = [self._joined(template, chosen, len(some)) for template in content.by_language[language]]
                made = _put(made, some, addresses(texts, len(some), self.campaign.base))
            return made
        if not isinstance(content, dict):
            return pa.repeat(content, rows)
        texts = pa.nulls(rows, pa.string())
        for language, some in self._combinations.by_language(content, codes):
            found = self._joined(content[language], [code[some] for code in codes], len(some))
            texts = found if len(some) == rows else _put(texts, some, found)
        return texts

    def _joined(self, template: Template, codes: Codes, rows: int) -> pa.Array:
        return template.joined({field: self._combinations.cells(field, codes) for field in template.fields}, rows)

    @property
    def _seed_places(self) -> list[int]:
        names = [axis.name for axis in self.campaign.axes]
        return [names.index(name) for name in self.campaign.seed_from]

    @cached_property
    def _seeds(self) -> np.ndarray:
        """A seed for each combination of the axes that decide it, by their values' names: not before it is known that
        there are not too many."""
        axes = [self.campaign.axes[place] for place in self._seed_places]
        names = [axis.slugs.to_pylist() for axis in axes]
        seeds = np.empty([len(axis) for axis in axes], np.int64)
        for place in np.ndindex(*seeds.shape):
            seeds[place] = derived_seed(SEPARATOR.join(name[row] for name, row in zip(names, place, strict=True)))
        return seeds


def _put(column: pa.Array, rows: np.ndarray, values: pa.Array) -> pa.Array:
    """`column` with `values` in `rows`."""
    places = np.arange(len(column))
    places[rows] = len(column) + np.arange(len(values))
    return pa.concat_arrays([column, values]).take(pa.array(places))
