"""What is to be said of a table that was not read as it stands: sentences that travel with it."""

import json
from collections.abc import Iterable, Sequence

import pyarrow as pa

from pressrun.jobs.text.wording import first_of

_NOTES = b"pressrun:notes"
"""Schema metadata: the sentences, a JSON list."""


def noted(table: pa.Table, notes: Iterable[str]) -> pa.Table:
    """`table` with `notes` behind those that it has."""
    every = tuple(dict.fromkeys((*notes_of(table), *notes)))
    if not every:
        return table
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _NOTES: json.dumps(every)})


def notes_of(table: pa.Table) -> tuple[str, ...]:
    """The sentences of a table, in the order in which they came."""
    return tuple(json.loads((table.schema.metadata or {}).get(_NOTES, b"[]")))


def row_numbers(rows: Sequence[int]) -> str:
    """`row 1`, `rows 1, 2 and 17 more`: places that count from 0, as a person counts them."""
    return f"{'row' if len(rows) == 1 else 'rows'} {first_of([f'{row + 1:,}' for row in rows], 5)}"
