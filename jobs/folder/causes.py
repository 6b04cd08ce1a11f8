"""Why rows failed, grouped: a thousand rows that failed for one reason are one line."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

_FIRST = 3


@dataclass(frozen=True)
class Cause:
    """Rows that failed for one reason: how many, the first of them, and the sentence of the very first."""

    code: str
    rows: int
    example: str
    custom_ids: tuple[str, ...]


def group_causes(results: pa.Table) -> tuple[Cause, ...]:
    """Failed and rejected rows by their code, the most frequent first."""
    wrong = results.filter(pc.is_in(results["status"], pa.array(["failed", "rejected"])))
    counts = pc.value_counts(pc.fill_null(wrong["error_code"], "unknown")).to_pylist()
    causes = []
    for pair in sorted(counts, key=lambda pair: (-pair["counts"], pair["values"])):
        first = wrong.filter(pc.equal(pc.fill_null(wrong["error_code"], "unknown"), pair["values"])).slice(0, _FIRST)
        example = first["error_message"][0].as_py() or ""
        causes.append(Cause(pair["values"], pair["counts"], example, tuple(first["custom_id"].to_pylist())))
    return tuple(causes)
