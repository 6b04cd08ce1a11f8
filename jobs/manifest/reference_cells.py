"""The column `references`: lists of addresses, each resolved, or the reason why it cannot be meant."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.net.url import is_data, is_readable
from pressrun.cluster.store.uri import refused_uri, resolve_uri
from pressrun.jobs.manifest.doubtful_texts import ERROR, NOTHING
from pressrun.jobs.tables.addresses import holds_several
from pressrun.jobs.tables.coercion import lists_of_text
from pressrun.jobs.tables.raw_cells import RawCells
from pressrun.jobs.tables.row_errors import BadRows
from pressrun.jobs.text.wording import shortened
from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.models.catalogue import Model

MAX_REFERENCE = 4_096
"""Bytes of a reference's URI."""
MAX_DATA = 1 << 20
"""Bytes of a `data:` URI, which is the picture itself: it travels with its request."""


def resolved_references(
    column: pa.ChunkedArray, model: Model, bad: BadRows, lost: RawCells, place: str
) -> pa.ListArray:
    """Each row's references as URIs and absolute paths, relative ones meant from `place`; `bad` has what is wrong."""
    lists, wrong = lists_of_text(column)
    lost.add("references", column, wrong)
    bad.add(wrong, "reference_no_list", "The references are no list; write a JSON list or put | between them.")
    most = model.max_references
    lengths = pc.list_value_length(lists)
    bad.add(
        pc.greater(lengths, most),
        "too_many_references",
        lambda row: f"The row has {lengths[row].as_py():,} references; {model.name} takes at most {most}.",
        lengths,
    )
    values, parents = pc.list_flatten(lists), pc.list_parent_indices(lists).to_numpy()
    distinct = pc.dictionary_encode(values, null_encoding="encode")
    resolved: list[str] = []
    reasons: list[str] = []
    codes: list[str] = []
    for reference in distinct.dictionary.to_pylist():
        try:
            resolved.append(_resolved(reference, place))
            reasons.append("")
            codes.append("")
        except RequestError as error:
            empty = error.code == "reference_empty"  # wherever it is read
            resolved.append((reference or "") if empty else refused_uri(reference or "", place))
            reasons.append(shortened(error.message, 300))
            codes.append(error.code)
    which = distinct.indices.to_numpy()
    for code in sorted({*codes} - {""}):
        places = np.flatnonzero((np.array(codes) == code)[which])
        bad.add_each(parents[places], code, pa.array(reasons, pa.string()), which[places])
    return pa.ListArray.from_arrays(lists.offsets, pa.array(resolved, pa.string()).take(distinct.indices))


def _resolved(reference: str | None, place: str) -> str:
    """Raises RequestError with what is wrong with it."""
    if not reference or not reference.strip():
        raise RequestError("reference_empty", "A reference is empty; name a picture or leave it out.")
    if re.fullmatch(NOTHING, reference) or re.fullmatch(ERROR, reference):
        raise RequestError(
            "reference_empty",
            f"The reference “{shortened(reference.strip())}” is what programs write in the place of a value; name a "
            "picture, or leave the cell empty.",
        )
    seen = shortened(reference.split("?")[0], 40)  # what follows may be a signature, which is a secret
    most = MAX_DATA if is_data(reference) else MAX_REFERENCE
    if len(reference.encode()) > most:
        way = "; save the picture as a file and name that" if is_data(reference) else ""
        raise RequestError("reference_too_long", f"The reference “{seen}” is longer than {most:,} bytes{way}.")
    if not is_readable(reference):
        raise RequestError("bad_reference", f"The reference “{seen}” holds control characters; remove them.")
    if holds_several(reference):
        why = "is several addresses: make each an entry of the list"
        raise RequestError("reference_several", f"The reference “{seen}” {why}.")
    try:
        return resolve_uri(reference.strip(), place)
    except ValueError:
        raise RequestError("bad_reference", f"The reference “{seen}” is no address of a picture.") from None
