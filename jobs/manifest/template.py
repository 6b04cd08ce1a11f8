"""Templates over a table's columns, `{product} in {season}`: parsed once, then joined column by column."""

import string
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.text.wording import shortened
from pressrun.pipeline.errors import JobError


def split_template(text: str, problem: str) -> tuple[list[str], list[str]]:
    """Literals and fields of a template: `literals[0] + value + literals[1] + …`, one value for each field.

    Doubled braces are braces. Raises JobError, with `problem` as the sentence's beginning, for anything but `{column}`.
    """
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        raise JobError(f"{problem} has a brace without its partner; write {{column}}.", code="bad_name") from None
    literals, fields = [""], []
    for literal, field, spec, conversion in parts:
        literals[-1] += literal
        if field is None:
            continue
        if not field or spec or conversion:
            raise JobError(
                f"{problem} may hold columns only as {{column}}, without “:” or “!” and never empty.", code="bad_name"
            )
        fields.append(field)
        literals.append("")
    return literals, fields


@dataclass(frozen=True)
class Template:
    """A text with columns in it."""

    literals: tuple[str, ...]
    fields: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, where: str) -> "Template":
        """Read `text`; raises JobError, which says `where` it stands, for one that cannot be read."""
        literals, fields = split_template(text, f"{where}: the template “{shortened(text)}”")
        return cls(tuple(literals), tuple(fields))

    def joined(self, columns: Mapping[str, pa.Array], rows: int) -> pa.Array:
        """The text of each of `rows` rows, null where a column of it is; `columns` holds texts."""
        if not self.fields:
            return pa.repeat(self.literals[0], rows)
        pieces: list[pa.Array | pa.Scalar] = [pa.scalar(self.literals[0])]
        for field, literal in zip(self.fields, self.literals[1:], strict=True):
            pieces += [columns[field], pa.scalar(literal)]
        return pc.binary_join_element_wise(*pieces, pa.scalar(""))
