"""Variants: every combination of a campaign's axes that its rules leave, as the rows of a manifest.

Combinations are numbers from 0 on, the last axis running fastest; a chunk of them is a few columns, so that ten million
rows never stand in memory at once. They are gone through twice: once to count them and to find cells that a template
needs and that are empty, once to write them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.campaign.axis import SEPARATOR
from pressrun.jobs.campaign.campaign import LANGUAGE, Campaign
from pressrun.jobs.campaign.campaign_rules import Rule, Text, Value
from pressrun.jobs.manifest.manifest import REQUEST_SCHEMA
from pressrun.jobs.text.wording import first_of, listed, shortened
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.request import derived_seed

MAX_ROWS = 1_000_000
"""Combinations that are expanded unless more are asked for."""

CHUNK_ROWS = 1 << 17
"""Combinations that are looked at together: a row group, about 30 MB."""


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
    """The rows of a campaign."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self._shape = tuple(len(axis) for axis in campaign.axes)
        self.places = {name: campaign.axes.index(axis) for name, axis in campaign.names.items()}

    def count(self, max_rows: int = MAX_ROWS) -> Count:
        """How many rows there are; every text that can be made has been tried.

        Raises JobError where there are more than `max_rows` combinations, before any is looked at, where the rules
        leave none, and with every cell that a text needs and that is empty.
        """
        axes = {axis.name: len(axis) for axis in self.campaign.axes}
        total = self.campaign.combinations
        if total > max_rows:
            count = Count(axes, total, total)
            raise JobError(
                f"{count} That is more than {max_rows:,}; if it is meant, give `max_rows` {total}.", code="bad_option"
            )
        rows, gaps = 0, _Gaps(self)
        for codes in self._chunks():
            rows += len(codes[0])
            gaps.look(codes)
        if not rows:
            raise JobError(
                f"{Count(axes, total, total)} But include and exclude leave none of them.", code="bad_campaign"
            )
        if gaps.problems:
            raise JobError(*gaps.problems, code="bad_campaign")
        return Count(axes, total, rows)

    @property
    def schema(self) -> pa.Schema:
        """The manifest's columns: ours, then the axes', then the campaign's own."""
        return self._table([np.zeros(0, np.int64)] * len(self._shape)).schema

    def tables(self) -> Iterator[pa.Table]:
        """The manifest, some rows at a time."""
        for codes in self._chunks():
            if len(codes[0]):
                yield self._table(codes)

    def cells(self, name: str, codes: Sequence[np.ndarray]) -> pa.Array:
        """An axis's column for combinations, as text."""
        return self.campaign.names[name].texts[name].take(pa.array(codes[self.places[name]]))

    def matches(self, rule: Rule, codes: Sequence[np.ndarray]) -> np.ndarray:
        """Which combinations a rule is about."""
        mask = np.ones(len(codes[0]), bool)
        for column, wanted in rule.conditions.items():
            fits = pc.is_in(self.campaign.names[column].texts[column], pa.array(wanted))
            mask &= fits.to_numpy(zero_copy_only=False)[codes[self.places[column]]]
        return mask

    def by_template(self, text: Text, codes: Sequence[np.ndarray]) -> Iterator[tuple[str | None, np.ndarray]]:
        """For each language of a text the combinations that it serves; None: those that no other does."""
        rest = np.ones(len(codes[0]), bool)
        if set(text) != {None}:
            languages = self.cells(LANGUAGE, codes)
            for language in text:
                if language is not None:
                    mask = pc.fill_null(pc.equal(languages, language), False).to_numpy(zero_copy_only=False)
                    rest &= ~mask
                    yield language, np.flatnonzero(mask)
        if rest.any():
            yield None, np.flatnonzero(rest)

    def replaced(self, codes: Sequence[np.ndarray]) -> Iterator[tuple[str, Text | Value, np.ndarray]]:
        """What overrides change: a column, what it gets, for which of the combinations."""
        for override in self.campaign.overrides:
            rows = np.flatnonzero(self.matches(override.when, codes))
            if len(rows):
                for name, value in override.columns.items():
                    yield name, value, rows

    def _chunks(self) -> Iterator[list[np.ndarray]]:
        """Combinations that the rules leave: for each axis the rows that they take."""
        campaign = self.campaign
        for start in range(0, campaign.combinations, CHUNK_ROWS):
            numbers = np.arange(start, min(start + CHUNK_ROWS, campaign.combinations))
            codes = list(np.unravel_index(numbers, self._shape))
            keep = np.full(len(numbers), not campaign.include)
            for rule in campaign.include:
                keep |= self.matches(rule, codes)
            for rule in campaign.exclude:
                keep &= ~self.matches(rule, codes)
            yield codes if keep.all() else [code[keep] for code in codes]

    def _table(self, codes: Sequence[np.ndarray]) -> pa.Table:
        rows = len(codes[0])
        slugs = [axis.slugs.take(pa.array(code)) for axis, code in zip(self.campaign.axes, codes, strict=True)]
        columns: dict[str, pa.Array] = {"custom_id": pc.binary_join_element_wise(*slugs, SEPARATOR)}
        made = {name: self._made(value, codes, rows) for name, value in self.campaign.columns.items()}
        columns["prompt"] = made.pop("prompt")
        if self._seeds is not None:
            columns["seed"] = pa.array(self._seeds[tuple(codes[place] for place in self._seed_places)])
        for axis, code in zip(self.campaign.axes, codes, strict=True):
            columns |= {
                name: axis.table[name].combine_chunks().take(pa.array(code)) for name in axis.table.column_names
            }
        columns |= made
        for name, value, some in self.replaced(codes):
            columns[name] = self._with(columns[name], value, codes, some)
        ours = [name for name in REQUEST_SCHEMA.names if name in columns]
        return pa.table({name: columns[name] for name in (*ours, *(name for name in columns if name not in ours))})

    def _made(self, value: Text | Value, codes: Sequence[np.ndarray], rows: int) -> pa.Array:
        if not isinstance(value, dict):
            return pa.repeat(value, rows)
        texts = pa.nulls(rows, pa.string())
        for language, some in self.by_template(value, codes):
            template = value[language]
            chosen = codes if len(some) == rows else [code[some] for code in codes]
            found = template.joined({field: self.cells(field, chosen) for field in template.fields}, len(some))
            texts = found if len(some) == rows else _put(texts, some, found)
        return texts

    def _with(self, column: pa.Array, value: Text | Value, codes: Sequence[np.ndarray], some: np.ndarray) -> pa.Array:
        new = self._made(value, [code[some] for code in codes], len(some))
        return _put(column, some, new.cast(column.type))

    @property
    def _seed_places(self) -> list[int]:
        names = [axis.name for axis in self.campaign.axes]
        return [names.index(name) for name in self.campaign.seed_from]

    @cached_property
    def _seeds(self) -> np.ndarray | None:
        """A seed for each combination of the axes that decide it, by their values' names: not before it is known that
        there are not too many."""
        if not self.campaign.seed_from:
            return None
        axes = [self.campaign.axes[place] for place in self._seed_places]
        names = [axis.slugs.to_pylist() for axis in axes]
        seeds = np.empty([len(axis) for axis in axes], np.int64)
        for place in np.ndindex(*seeds.shape):
            seeds[place] = derived_seed(SEPARATOR.join(name[row] for name, row in zip(names, place, strict=True)))
        return seeds


class _Gaps:
    """Texts that cannot be made: no template for a row's language, or a cell that it needs is empty."""

    def __init__(self, variants: Variants) -> None:
        self._variants = variants
        self._texts = {name: value for name, value in variants.campaign.columns.items() if isinstance(value, dict)}
        self._found: dict[tuple[str, str | None, str], tuple[int, set[str]]] = {}

    def look(self, codes: Sequence[np.ndarray]) -> None:
        for name, text in self._texts.items():
            covered = np.zeros(len(codes[0]), bool)
            for column, _, rows in self._variants.replaced(codes):
                if column == name:
                    covered[rows] = True
            self._look_at(name, text, [code[~covered] for code in codes] if covered.any() else codes)
        for name, value, rows in self._variants.replaced(codes):
            if isinstance(value, dict):
                self._look_at(name, value, [code[rows] for code in codes])

    def _look_at(self, name: str, text: Text, codes: Sequence[np.ndarray]) -> None:
        campaign = self._variants.campaign
        for language, some in self._variants.by_template(text, codes):
            chosen = [code[some] for code in codes]
            if language not in text:
                self._note((name, language, LANGUAGE), self._variants.cells(LANGUAGE, chosen), len(some))
                continue
            for field in text[language].fields:
                axis = campaign.names[field]
                if not axis.texts[field].null_count:
                    continue
                rows = chosen[self._variants.places[field]]
                empty = rows[axis.texts[field].is_null().to_numpy(zero_copy_only=False)[rows]]
                if len(empty):
                    self._note((name, language, field), axis.texts[axis.key].take(pa.array(empty)), len(empty))

    def _note(self, what: tuple[str, str | None, str], cases: pa.Array, rows: int) -> None:
        before, known = self._found.get(what, (0, set()))
        self._found[what] = (before + rows, known | set(pc.unique(cases).to_pylist()))

    @property
    def problems(self) -> list[str]:
        problems = []
        for (name, language, field), (rows, cases) in self._found.items():
            shown = listed(sorted(str(case) for case in cases), len(cases))
            if field == LANGUAGE and language is None:
                have = first_of([str(key) for key in self._texts[name]]) if name in self._texts else "others"
                problems.append(
                    f"{shortened(name)} has no text for the language {shown} ({rows:,} rows), only for {have}."
                )
            else:
                problems.append(
                    f"{shortened(name)} needs {{{shortened(field)}}}, which is empty for {shown} ({rows:,} rows)."
                )
        return problems


def _put(column: pa.Array, rows: np.ndarray, values: pa.Array) -> pa.Array:
    """`column` with `values` in `rows`, which ascend."""
    mask = np.zeros(len(column), bool)
    mask[rows] = True
    return pc.replace_with_mask(column, pa.array(mask), values)
