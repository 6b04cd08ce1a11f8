"""An axis of a campaign: what varies, a row for each of its values, from an inline list or a table."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.uri import resolve_uri
from pressrun.jobs.campaign.content import PICTURES
from pressrun.jobs.manifest.manifest import RESERVED, read_manifest
from pressrun.jobs.manifest.repeats import repeated
from pressrun.jobs.tables.coercion import decimal_numbers, lists_of_text, whole_numbers
from pressrun.jobs.tables.parquet_reader import TEXT_CELLS
from pressrun.jobs.tables.table_reader import manifest_place
from pressrun.jobs.text.column_types import is_list, is_text
from pressrun.jobs.text.wording import first_of, listed, shortened
from pressrun.pipeline.errors import JobError, PressrunError, Reason

OURS = ("custom_id", "prompt")
"""Columns that the campaign itself makes."""

SEPARATOR = "_"
"""Between the values that make a custom_id; in a value it is a dash, so that no two rows can come out alike."""

_NUMBERS = {"width": whole_numbers, "height": whole_numbers, "steps": whole_numbers, "seed": whole_numbers}


@dataclass(frozen=True)
class Axis:
    """What varies: `table` has a row for each value, `key` is the column that tells them apart.

    `slugs` are the values as they stand in a custom_id, `texts` every column as text, for templates and rules.
    """

    name: str
    key: str
    table: pa.Table
    slugs: pa.Array
    texts: Mapping[str, pa.Array]

    def __len__(self) -> int:
        return int(self.table.num_rows)


def inline_axis(name: str, values: Sequence[Any], place: str) -> Axis:
    """An axis from a list in the campaign's file: plain values, or tables that have the axis's own name as a column.

    Raises JobError with everything that is wrong with it.
    """
    where = f"axes.{shortened(name)}"
    rows = [value if isinstance(value, dict) else {name: value} for value in values]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    arrays = []
    for column in columns:
        try:
            arrays.append(pa.array([row.get(column) for row in rows]))
        except OverflowError:
            raise JobError(
                f"{where}: “{shortened(column)}” holds a number that is too large; write it as text.",
                code="bad_campaign",
            ) from None
        except pa.ArrowException:
            raise JobError(
                f"{where}: “{shortened(column)}” mixes kinds of values; write them all alike.", code="bad_campaign"
            ) from None
    return _checked(name, name, pa.table(arrays, names=columns), where, place)


def table_axis(stores: Stores, name: str, uri: str, key: str | None, base: str) -> Axis:
    """An axis from a table (CSV, Parquet, JSON lines; a path relative to `base`, or `s3://`): a value in each row.

    Raises JobError with everything that is wrong with it, StorageError when the store does not answer.
    """
    try:
        found = resolve_uri(uri, base)
    except PressrunError as error:
        raise JobError(f"axes.{shortened(name)}: {error}", code="bad_campaign") from None
    try:
        table = read_manifest(stores, found)
    except JobError as error:
        where = f"axes.{shortened(name)}"
        raise JobError(*(Reason(f"{where}: {problem}", problem.code) for problem in error.problems)) from None
    where = f"axes.{shortened(name)} ({shortened(uri)})"
    return _checked(name, key or name, table, where, manifest_place(found))


def _checked(name: str, key: str, table: pa.Table, where: str, place: str) -> Axis:
    problems = _column_problems(table, key, where)
    if problems:
        raise JobError(*problems, code="bad_campaign")
    columns, texts = {}, {}
    for field in table.schema:
        try:
            column = _typed(field, table, where, place)
            columns[field.name] = column
            if not is_list(column.type):
                texts[field.name] = pc.cast(column, pa.string())
        except JobError as error:
            problems += error.problems
        except pa.ArrowException:
            kind = shortened(str(field.type), 40)
            problems.append(f"{where}: column “{shortened(field.name)}” is of type {kind}; use text or numbers.")
    if problems:
        raise JobError(*problems, code="bad_campaign")
    slugs = _slugs(texts[key])
    problems = _key_problems(texts[key], slugs, where, key)
    if problems:
        raise JobError(*problems, code="bad_campaign")
    return Axis(name, key, pa.table(columns), slugs, texts)


def _column_problems(table: pa.Table, key: str, where: str) -> list[str]:
    names = table.column_names
    problems = []
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        problems.append(f"{where} has several columns of one name: {first_of(doubled)}; rename all but one.")
    if table.num_rows == 0:
        return [*problems, f"{where} is empty, so there would be no picture at all; give it at least one value."]
    if key not in names:
        near = difflib.get_close_matches(key, names, 1)
        hint = f"did you mean “{near[0]}”?" if near else f"there are {first_of(names)}."
        problems.append(
            f'{where} has no column “{shortened(key)}”, which tells its rows apart (key = "…" names another); {hint}'
        )
    taken = [name for name in names if name in (*OURS, *RESERVED)]
    if taken:
        more = " Reference pictures belong into “references”." if "image" in taken else ""
        problems.append(f"{where}: {first_of(taken)} are columns that Pressrun makes itself; rename them.{more}")
    return problems


def _typed(field: pa.Field, table: pa.Table, where: str, place: str) -> pa.Array:
    """A column; numbers that a text file holds for us are numbers, references mean what they mean beside the table."""
    column = table[field.name]
    from_text = is_text(field.type) and (table.schema.metadata or {}).items() >= TEXT_CELLS.items()
    if field.name in PICTURES:
        return _references(column, where, place)
    if from_text and field.name in (*_NUMBERS, "guidance"):
        numbers = _NUMBERS.get(field.name, decimal_numbers)(column)
        if numbers.wrong.any():
            row = int(np.flatnonzero(numbers.wrong)[0])
            cell = shortened(column[row].as_py())
            raise JobError(
                f"{where}: the {field.name} in row {row + 1} is “{cell}”; a number is needed.", code="bad_campaign"
            )
        return pa.array(numbers.values, mask=numbers.empty)
    if pa.types.is_large_string(field.type):
        column = column.cast(pa.string())
    if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
        raise JobError(
            f"{where}: column “{shortened(field.name)}” is no text or number; leave it out.", code="bad_campaign"
        )
    return column.combine_chunks()


def _references(column: pa.ChunkedArray, where: str, place: str) -> pa.Array:
    lists, wrong = lists_of_text(column)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise JobError(
            f"{where}: the pictures in row {row + 1} are no list; write JSON or put | between them.",
            code="bad_campaign",
        )
    try:
        values = [[resolve_uri(reference, place) for reference in cell or ()] for cell in lists.to_pylist()]
    except PressrunError as error:
        raise JobError(f"{where}: {error}", code="bad_campaign") from None
    return pa.array(values, pa.list_(pa.string()))


def _slugs(values: pa.Array) -> pa.Array:
    """Values as parts of a custom_id: what is no letter, digit, mark or dot becomes a dash."""
    slugs = pc.replace_substring_regex(pc.utf8_normalize(values, "NFC"), r"[^\pL\pN\pM.]+", "-")
    return pc.utf8_trim(slugs, "-")


def _key_problems(values: pa.Array, slugs: pa.Array, where: str, key: str) -> list[str]:
    problems = []
    without = np.flatnonzero(pc.fill_null(pc.equal(slugs, ""), True).to_numpy(zero_copy_only=False))
    if len(without):
        cases = (f"{row + 1}" for row in without.tolist())
        problems.append(
            f"{where}: “{shortened(key)}” needs a letter or digit in every row; it has none in "
            f"row {listed(cases, len(without))}."
        )
    doubled = [rows for rows in repeated(pc.utf8_lower(slugs)) if slugs[rows[0]].as_py()]
    if doubled:
        cases = (" and ".join(f"“{shortened(values[row].as_py(), 40)}”" for row in rows[:3]) for rows in doubled)
        problems.append(
            f"{where}: values of “{shortened(key)}” that a custom_id cannot tell apart: "
            f"{listed(cases, len(doubled))}; name each row differently."
        )
    return problems
