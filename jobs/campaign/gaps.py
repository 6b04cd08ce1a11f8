"""Gaps of a campaign: no template for a row's language, or a cell that one needs is empty."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.campaign.campaign import LANGUAGE
from pressrun.jobs.campaign.combinations import Codes, Combinations
from pressrun.jobs.campaign.content import PICTURES, templates_of
from pressrun.jobs.manifest.template import Template
from pressrun.jobs.text.wording import first_of, listed, shortened


class Gaps:
    """Gathers them, chunk by chunk; `problems` are sentences about all of them."""

    def __init__(self, combinations: Combinations) -> None:
        self._combinations = combinations
        self._texts = {
            name: templates for name, content in combinations.campaign.columns.items()
            if (templates := templates_of(content))
        }  # fmt: skip
        self._found: dict[tuple[str, str | None, str], tuple[int, set[str]]] = {}

    def look(self, codes: Codes) -> None:
        """Look at what each column needs, where no override has another text for it."""
        replaced = list(self._combinations.replaced(codes))
        for name, templates in self._texts.items():
            covered = np.zeros(len(codes[0]), bool)
            for column, _, rows in replaced:
                if column == name:
                    covered[rows] = True
            self._look_at(name, templates, [code[~covered] for code in codes] if covered.any() else codes)
        for name, content, rows in replaced:
            if templates := templates_of(content):
                self._look_at(name, templates, [code[rows] for code in codes])

    def _look_at(self, name: str, by_language: Mapping[str | None, tuple[Template, ...]], codes: Codes) -> None:
        campaign = self._combinations.campaign
        for language, some in self._combinations.by_language(by_language, codes):
            chosen = [code[some] for code in codes]
            if language not in by_language:
                self._note((name, language, LANGUAGE), self._combinations.cells(LANGUAGE, chosen), len(some))
                continue
            for field in dict.fromkeys(field for template in by_language[language] for field in template.fields):
                axis = campaign.names[field]
                if not axis.texts[field].null_count:
                    continue
                rows = chosen[self._combinations.places[field]]
                empty = rows[axis.texts[field].is_null().to_numpy(zero_copy_only=False)[rows]]
                if len(empty):
                    self._note((name, language, field), axis.texts[axis.key].take(pa.array(empty)), len(empty))

    def _note(self, what: tuple[str, str | None, str], cases: pa.Array, rows: int) -> None:
        before, known = self._found.get(what, (0, set()))
        self._found[what] = (before + rows, known | set(pc.unique(cases).to_pylist()))

    @property
    def problems(self) -> list[str]:
        """A sentence for each kind, with the rows that it concerns."""
        return [self._sentence(*what, rows, cases) for what, (rows, cases) in self._found.items()]

    def _sentence(self, name: str, language: str | None, field: str, rows: int, cases: set[str]) -> str:
        shown = listed(sorted(map(str, cases)), len(cases))
        if field == LANGUAGE and language is None:
            have = first_of([str(key) for key in self._texts[name]]) if name in self._texts else "others"
            what = "picture" if name in PICTURES else "text"
            return f"{shortened(name)} has no {what} for the language {shown} ({rows:,} rows), only for {have}."
        sentence = f"{shortened(name)} needs {{{shortened(field)}}}, which is empty for {shown} ({rows:,} rows)"
        if name in PICTURES:
            return f"{sentence}; where there is to be no picture, give these rows [[override]] with {name} = []."
        return f"{sentence}."
