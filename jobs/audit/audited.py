"""A job as an audit has read it, and what an audit finds there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from pressrun.cluster.store.store import Store
from pressrun.jobs.decisions.decision import Decision
from pressrun.pipeline.finishing.spec import FinishingSpec

BATCH_ROWS = 4_096
"""Rows that are looked at together as objects: of the others nothing but columns is held."""


@dataclass(frozen=True)
class Discrepancy:
    """One thing that is not as it should be: a stable word, what it concerns, and a sentence."""

    kind: str
    subject: str
    message: str


@dataclass(frozen=True)
class Unchecked:
    """Something that was not looked at, in a sentence."""

    message: str


Found: TypeAlias = Discrepancy | Unchecked


@dataclass(frozen=True)
class Audited:
    """A job as it lies there.

    `job` is job.json, `finishing` the spec that it describes, None where this version does not know all of it.
    `manifest` is the frozen one. `outcomes` are those that count, in the manifest's order; `rows` says which of the
    manifest's each is of. `rerolls` has by custom_id the decisions by which rows have another seed or prompt, `former`
    those whose rows have no other picture yet.
    """

    store: Store
    job: Mapping[str, Any]
    finishing: FinishingSpec | None
    manifest: pa.Table
    rows: np.ndarray
    outcomes: pa.Table
    rerolls: Mapping[str, Decision] = field(default_factory=dict)
    former: Mapping[str, Decision] = field(default_factory=dict)

    def batches(self, *columns: str) -> Iterator[tuple[np.ndarray, pa.Table, pa.Table]]:
        """A few thousand outcomes at a time: the rows that they are of, they themselves, and the manifest's rows (all
        columns, or these)."""
        manifest = self.manifest.select(columns) if columns else self.manifest
        for start in range(0, len(self.rows), BATCH_ROWS):
            rows = self.rows[start : start + BATCH_ROWS]
            first = int(rows[0])
            beside = manifest.slice(first, int(rows[-1]) - first + 1).take(pa.array(rows - first))
            yield rows, self.outcomes.slice(start, BATCH_ROWS), beside
