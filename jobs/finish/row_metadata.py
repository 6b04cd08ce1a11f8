"""Captions: what a job's rows say about whose their pictures are, what they show, and which text must stand in them.

Each field is a template over columns, such as `© {year} Example`; one that the finishing spec does not name is the
column of its own name, if the manifest has one. What is empty is left out, and what may be a secret is cut: captions go
wherever the pictures go.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.manifest.template import Template
from pressrun.jobs.text.column_types import is_list, is_text
from pressrun.jobs.text.public_text import public
from pressrun.jobs.text.value_text import bare, joined, texts
from pressrun.jobs.text.wording import first_of, shortened
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.finishing.provenance import NOTHING_SAID, TEXTS, Provenance
from pressrun.pipeline.finishing.spec import FinishingSpec

SEPARATOR = "|"
"""Between the keywords of a column of texts, as between references."""

_NOTHING = Template(("",), ())


@dataclass(frozen=True)
class RowMetadata:
    """What one row says: its provenance, the text that must stand in its picture, "" if none, and by column the words
    that are set on it."""

    provenance: Provenance = NOTHING_SAID
    required_text: str = ""
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def given(self) -> dict[str, Any]:
        """What is not empty: the row's part of its finish key."""
        required = {"required_text": self.required_text} if self.required_text else {}
        return self.provenance.given | required | ({"words": dict(self.words)} if self.words else {})


NO_METADATA = RowMetadata()


@dataclass(frozen=True)
class Captions:
    """The templates of a job's fields, all of whose columns the manifest has."""

    texts: dict[str, Template]
    keywords: tuple[Template, ...]
    prompt: bool
    required: Template
    words: tuple[str, ...] = ()

    @classmethod
    def parse(cls, finishing: FinishingSpec, table: pa.Table) -> "Captions":
        """Read a finishing spec against a normalised manifest.

        Raises:
            JobError: every template that is none, or asks for a column that there is not.
        """
        problems: list[str] = []

        def parsed(name: str, text: str) -> Template:
            try:
                return _parse(name, text, table.schema)
            except JobError as error:
                problems.extend(error.problems)
                return _NOTHING

        spec, check = finishing.provenance, finishing.check("text")
        wanted = {name: getattr(spec, name) for name in TEXTS}
        usual = [name for name in (*TEXTS, "keywords") if name in table.schema.names and _has_text(table.schema, name)]
        wanted |= {name: f"{{{name}}}" for name in usual if name in wanted and wanted[name] is None}
        keywords = spec.keywords if spec.keywords is not None else ("{keywords}",) if "keywords" in usual else ()
        texts = {name: parsed(name, text) for name, text in wanted.items() if text}
        found = tuple(parsed("keywords", text) for text in keywords)
        required = parsed("required text", check.option) if check else _NOTHING
        words = finishing.copy.columns if finishing.copy else ()
        for name in words:
            parsed("[copy]", f"{{{name}}}")
        if problems:
            raise JobError(*problems, code="bad_finish_spec")
        return cls(texts, found, spec.prompt, required, words)

    def table(self, rows: pa.Table) -> pa.Table:
        """Every field of some rows of the manifest: texts, "" where they are empty, and a list of keywords."""
        count = rows.num_rows
        columns = {name: public(_filled(self.texts.get(name, _NOTHING), rows)) for name in TEXTS}
        words = pa.array([_words(row) for row in zip(*(_split(each, rows) for each in self.keywords), strict=True)])
        none = pa.array([[]] * count, pa.list_(pa.string()))
        return pa.table({**columns, "keywords": words.cast(none.type) if self.keywords else none})

    @property
    def silent(self) -> bool:
        """Whether no row says anything."""
        return not (self.texts or self.keywords or self.prompt or self.required != _NOTHING or self.words)

    def each(self, rows: pa.Table) -> Iterator[RowMetadata]:
        """What each of some rows of the manifest says."""
        prompts = public(rows["prompt"]).to_pylist() if self.prompt else [""] * rows.num_rows
        required = _filled(self.required, rows).to_pylist()
        words = [{name: text for name, text in row.items() if text} for row in self._set(rows).to_pylist()]
        for said, prompt, text, set_on in zip(self.table(rows).to_pylist(), prompts, required, words, strict=True):
            yield RowMetadata(Provenance(**{**said, "keywords": tuple(said["keywords"])}, prompt=prompt), text, set_on)

    def _set(self, rows: pa.Table) -> pa.Table:
        """The columns that are set on the pictures of some rows, as text."""
        if not self.words:
            return pa.table({"": pa.nulls(rows.num_rows)})
        return pa.table({name: _text(rows[name]) for name in self.words})


def _has_text(schema: pa.Schema, column: str) -> bool:
    """Whether a column's values have an obvious text, or are lists of such."""
    kind = bare(schema.field(column).type)
    return not pa.types.is_nested(bare(kind.value_type) if is_list(kind) else kind)


def _parse(name: str, text: str, schema: pa.Schema) -> Template:
    template = Template.parse(text, f"The finishing spec's {name}")
    problem = f"The finishing spec's {name} “{shortened(text)}” asks for"
    for column in template.fields:
        if column not in schema.names:
            raise JobError(
                f"{problem} “{shortened(column)}”, but the manifest has {first_of(schema.names, 50)}.",
                code="bad_finish_spec",
            )
        if not _has_text(schema, column):
            raise JobError(
                f"{problem} “{shortened(column)}”, whose values have no obvious text.", code="bad_finish_spec"
            )
    return template


def _filled(template: Template, rows: pa.Table) -> pa.Array:
    """A template's text for each row; "" where every column that it names is empty."""
    values = {field: _text(rows[field]) for field in template.fields}
    joined = template.joined(values, rows.num_rows)
    if not values:
        return joined
    filled = pc.binary_join_element_wise(*values.values(), pa.scalar(""))
    return pc.if_else(pc.equal(filled, ""), "", joined)


def _text(column: pa.ChunkedArray) -> pa.Array:
    """A column's values as text, without white space around them; a list's values one after the other."""
    text = joined(column, ", ") if is_list(column.type) else texts(column)
    return pc.utf8_trim_whitespace(text.combine_chunks().fill_null(""))


def _split(template: Template, rows: pa.Table) -> list[list[str]]:
    """A template's keywords for each row: a column of lists gives several, and so does a text with | in it."""
    if template.literals == ("", ""):
        column = rows[template.fields[0]]
        if is_list(column.type) and is_text(column.type.value_type):
            return [[word for word in words or () if word] for words in public(column).to_pylist()]
    # Cut first: what stands behind a | in an address would be a word of its own.
    return [text.split(SEPARATOR) for text in public(_filled(template, rows)).to_pylist()]


def _words(lists: Sequence[Sequence[str]]) -> list[str]:
    """The keywords of one row, each once."""
    return list(dict.fromkeys(word.strip() for words in lists for word in words if word.strip()))
