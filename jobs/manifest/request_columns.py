"""The columns of a manifest that say what to render: each cell checked, defaults filled in, bad rows noted."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.manifest.number_advice import advice
from pressrun.jobs.manifest.reference_cells import resolved_references
from pressrun.jobs.tables.coercion import CONTROLS, Numbers, decimal_numbers, shown, whole_numbers
from pressrun.jobs.tables.raw_cells import RawCells
from pressrun.jobs.tables.row_errors import BadRows
from pressrun.jobs.text.column_types import is_text
from pressrun.jobs.text.wording import shortened
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.request import FIELDS, MULTIPLE, derived_seed

Columns = Mapping[str, pa.ChunkedArray]

MAX_PROMPT = int(FIELDS["prompt"].most)
"""Characters of a prompt, and of what is left of a customer's text that is too long."""
MAX_CELL = 1 << 20
"""Bytes of any text in a customer's column."""

KINDS = {
    "text": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "texts": pa.list_(pa.string()),
}
"""A field's kind as the type of its column."""

_WHOLE = (whole_numbers, "a whole number")
READERS = {"int32": _WHOLE, "int64": _WHOLE, "float64": (decimal_numbers, "a number")}
"""How a field that is a number is read, and what it is called."""

_CHUNK = 65_536


def readable_texts(column: pa.ChunkedArray, name: str, bad: BadRows, lost: RawCells) -> pa.ChunkedArray:
    """`column` in valid UTF-8 and with no text longer than `MAX_CELL`; rows that were mended for it are bad.

    Raises JobError for lists or structs with invalid text inside.
    """
    if not is_text(column.type):
        if pa.types.is_nested(column.type) and not _is_valid(column):
            raise JobError(
                f"Column “{shortened(name)}” holds text that is not UTF-8; write the manifest again.",
                code="bad_manifest",
            )
        return column
    chunks, start = [], 0
    for chunk in column.chunks:
        if not _is_valid(chunk):
            chunk = _mended(chunk, start, name, bad, lost)
        long = pc.greater(pc.binary_length(chunk), MAX_CELL)
        if pc.any(long).as_py():
            rows = start + np.flatnonzero(long.fill_null(False).to_numpy(zero_copy_only=False))
            sentence = pa.array([f"Column “{shortened(name)}” holds more than {MAX_CELL:,} bytes here."])
            bad.add_each(rows, "cell_too_long", sentence, np.zeros(len(rows), np.int64))
            lost.add(name, chunk, long.fill_null(False).to_numpy(zero_copy_only=False), start)
            chunk = pc.if_else(long, pc.utf8_slice_codeunits(chunk, 0, MAX_PROMPT), chunk)
        chunks.append(chunk)
        start += len(chunk)
    return pa.chunked_array(chunks, column.type)


def _is_valid(column: pa.Array | pa.ChunkedArray) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _mended(chunk: pa.Array, start: int, name: str, bad: BadRows, lost: RawCells) -> pa.Array:
    texts: list[str | None] = []
    rows: list[int] = []
    for row, value in enumerate(chunk.cast(pa.large_binary()).to_pylist()):
        try:
            texts.append(None if value is None else value.decode())
        except UnicodeDecodeError:
            texts.append(value.decode(errors="replace"))
            rows.append(row)
    broken = np.zeros(len(chunk), bool)
    broken[rows] = True
    lost.add(name, chunk, broken, start)
    sentence = pa.array([f"Column “{shortened(name)}” is not valid UTF-8 here."])
    bad.add_each(start + np.flatnonzero(broken), "bad_text", sentence, np.zeros(len(rows), np.int64))
    return pa.array(texts, chunk.type)


def checked_columns(columns: Columns, model: Model, bad: BadRows, lost: RawCells, place: str) -> dict[str, pa.Array]:
    """Our columns, typed, with the defaults of `model` where a cell is empty; what is wrong goes to `bad`.

    `columns` holds at least custom_id and prompt; relative references are meant from `place`. A bad cell is null where
    its column's type cannot hold it, and what it held goes to `lost`.
    """
    rows = len(columns["custom_id"])
    custom_ids = columns["custom_id"].combine_chunks()
    _check_text(custom_ids, "custom_id", bad)
    return {
        "custom_id": custom_ids,
        "prompt": _prompts(columns["prompt"], bad, lost),
        **_sizes(columns, model, bad, lost),
        **_settings(columns, model, bad, lost),
        "seed": _seeds(columns, custom_ids, bad, lost),
        "references": _references(columns, model, rows, bad, lost, place),
    }


def _check_text(texts: pa.Array, name: str, bad: BadRows) -> None:
    limit = int(FIELDS[name].most)
    bad.add(
        pc.match_substring_regex(texts, CONTROLS),
        "bad_text",
        lambda row: f"The {name} “{shortened(texts[row].as_py(), 40)}” holds control characters; remove them.",
    )
    lengths = pc.utf8_length(texts)
    bad.add(
        pc.greater(lengths, limit),
        f"{name}_too_long",
        lambda row: f"The {name} has {lengths[row].as_py():,} characters; at most {limit:,} are read.",
        lengths,
    )


def _prompts(column: pa.ChunkedArray, bad: BadRows, lost: RawCells) -> pa.Array:
    texts = column.cast(pa.string()).combine_chunks()
    nothing = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(texts), ""), True)
    bad.add(nothing, "missing_prompt", "The prompt is empty; say what the picture shows.")
    _check_text(texts, "prompt", bad)
    too_long = pc.fill_null(pc.greater(pc.utf8_length(texts), MAX_PROMPT), False)
    lost.add("prompt", texts, too_long.to_numpy(zero_copy_only=False))
    return pc.if_else(too_long, pc.utf8_slice_codeunits(texts, 0, MAX_PROMPT), texts)


def _sizes(columns: Columns, model: Model, bad: BadRows, lost: RawCells) -> dict[str, pa.Array]:
    read = {name: _checked(columns, name, bad, getattr(model, name), model.max_side) for name in ("width", "height")}
    typed = {name: _typed(numbers, columns, name, right, lost) for name, (numbers, right) in read.items()}
    fine = np.all([right for _, right in read.values()], axis=0)
    width, height = (numbers.values for numbers, _ in read.values())
    areas = np.ones(len(fine), np.int64)
    for side in (width, height):
        areas *= -(-np.where(fine, side, 1) // MULTIPLE) * MULTIPLE
    longest = model.max_side or int(FIELDS["width"].most)
    both = pa.array(width * (longest + 1) + height)  # where it matters both are at most `longest`
    bad.add(
        areas > model.max_pixels,
        "too_many_pixels",
        lambda row: f"{width[row]} × {height[row]} pixels are more than the {model.max_pixels:,} of {model.name}.",
        both,
    )
    return typed


def _settings(columns: Columns, model: Model, bad: BadRows, lost: RawCells) -> dict[str, pa.Array]:
    names = ("steps", "guidance")
    read = {name: _checked(columns, name, bad, getattr(model, name)) for name in names}
    return {name: _typed(numbers, columns, name, right, lost) for name, (numbers, right) in read.items()}


def _seeds(columns: Columns, custom_ids: pa.Array, bad: BadRows, lost: RawCells) -> pa.Array:
    numbers, right = _checked(columns, "seed", bad, 0)
    seeds = numbers.values.copy()
    unnamed = np.flatnonzero(numbers.empty)
    for start in range(0, len(unnamed), _CHUNK):
        some = unnamed[start : start + _CHUNK]
        seeds[some] = [derived_seed(custom_id) for custom_id in custom_ids.take(pa.array(some)).to_pylist()]
    return _typed(replace(numbers, values=seeds), columns, "seed", right, lost)


def _references(columns: Columns, model: Model, rows: int, bad: BadRows, lost: RawCells, place: str) -> pa.Array:
    if "references" not in columns or pa.types.is_null(columns["references"].type):
        return pa.array([[]], pa.list_(pa.string())).take(pa.array(np.zeros(rows, np.int64)))
    return resolved_references(columns["references"], model, bad, lost, place)


def _checked(
    columns: Columns, name: str, bad: BadRows, default: float, most: float | None = None
) -> tuple[Numbers, np.ndarray]:
    """A column's numbers, `default` where it is empty or left out, and where they are in their field's range, up to
    `most` if that is given; the rows where they are not are noted."""
    field = FIELDS[name]
    read, noun = READERS[field.kind]
    most = most or field.most
    given = columns[name] if name in columns else pa.chunked_array([pa.nulls(len(columns["custom_id"]))])
    numbers = read(given)
    numbers = Numbers(np.where(numbers.empty, default, numbers.values), numbers.empty, numbers.wrong)
    wrong = numbers.wrong | (numbers.values < field.least) | (numbers.values > most)
    last = "2⁶³ − 1" if most == 2**63 - 1 else f"{most:,}"

    def sentence(row: int) -> str:
        more = advice(given[row]) if numbers.wrong[row] else ""
        wanted = f"{noun}{field.unit} from {field.least} to {last} is needed"
        return f"The {name} is {shown(given, row)}; {wanted}{f' ({more})' if more else ''}."

    bad.add(wrong, field.code, sentence, columns.get(name))
    return numbers, ~wrong


def _typed(numbers: Numbers, columns: Columns, name: str, right: np.ndarray, lost: RawCells) -> pa.Array:
    """The numbers as their column's type, null where they do not fit into it.

    What is not `right` is kept as it was, unless a number of the same kind shows as well what was written.
    """
    kind, unfit = KINDS[FIELDS[name].kind], numbers.wrong
    if pa.types.is_int32(kind):
        limits = np.iinfo(np.int32)
        unfit = unfit | (numbers.values < limits.min) | (numbers.values > limits.max)
    if name in columns:
        given = columns[name].type
        alike = (pa.types.is_integer(given) and not pa.types.is_floating(kind)) or given == kind
        lost.add(name, columns[name], unfit if alike else ~right)
    return pa.array(np.where(unfit, 0, numbers.values), kind, mask=unfit)
