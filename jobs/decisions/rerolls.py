"""Rerolls: a manifest whose rows have the seeds and prompts that decisions gave them."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.decisions.decision import Decision


def rerolled(table: pa.Table, rerolls: Mapping[str, Decision]) -> pa.Table:
    """A normalised manifest in which the rows of `rerolls`, by custom_id, have their new seeds and prompts."""
    rows = rows_of(table, rerolls)
    if not rows:
        return table
    mask = np.zeros(table.num_rows, bool)
    mask[sorted(rows)] = True
    named = [rows[row] for row in sorted(rows)]
    own = table.select(["seed", "prompt"]).filter(pa.array(mask)).to_pylist()
    now = {
        "seed": [one.seed if one.seed is not None else row["seed"] for one, row in zip(named, own, strict=True)],
        "prompt": [one.prompt or row["prompt"] for one, row in zip(named, own, strict=True)],
    }
    for name, values in now.items():
        place, field = table.schema.get_field_index(name), table.schema.field(name)
        column = table[name].combine_chunks()
        table = table.set_column(
            place, field, pc.replace_with_mask(column, pa.array(mask), pa.array(values, column.type))
        )
    return table


def rows_of(table: pa.Table, rerolls: Mapping[str, Decision]) -> dict[int, Decision]:
    """The decisions by the rows that they are on; those on rows that the manifest does not have are left out."""
    if not rerolls:
        return {}
    names = list(rerolls)
    places = pc.index_in(pa.array(names, pa.string()), table["custom_id"].combine_chunks()).to_pylist()
    return {row: rerolls[name] for name, row in zip(names, places, strict=True) if row is not None}
