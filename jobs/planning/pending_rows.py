"""The rows of a job that still need something, as items and as units."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, repeat

import numpy as np
import pyarrow as pa

from pressrun.cluster.protocol.unit import Item, Outcome, Reference, Unit
from pressrun.jobs.dedup.reseeding import Reseed
from pressrun.jobs.finish.prompt_policy import Policy
from pressrun.jobs.finish.row_metadata import NO_METADATA
from pressrun.jobs.manifest.manifest import REQUEST_SCHEMA, requests
from pressrun.jobs.planning.plan import Plan, Sizes, group_by_shape, plan_units
from pressrun.jobs.planning.unit_sizing import UnitSizer
from pressrun.jobs.references.probe import Surveyed
from pressrun.jobs.references.references import ReferenceIndex, References
from pressrun.jobs.resolve.resolved_job import ResolvedJob
from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.finishing.spec import finish_key
from pressrun.pipeline.models.throughput import throughput
from pressrun.pipeline.request import RenderKeys

UNITS_AT_ONCE = 32
"""Units whose items are made together: a look into a table costs the same for one row as for a few hundred."""


class PendingRows:
    """The rows that still need something: their references looked at, each as an `Item`, all of them as units. Rows of
    `again` have a picture, which repeats another's."""

    def __init__(
        self,
        order: ResolvedJob,
        pending: np.ndarray,
        references: References,
        again: Mapping[int, Reseed] | None = None,
    ) -> None:
        self._order = order
        self._again, self._survey = again or {}, references
        self._requests = order.manifest.table.select(REQUEST_SCHEMA.names).combine_chunks()
        self.failures: list[Outcome] = []
        check = order.finishing.check("policy")
        self._policy = Policy(check, order.manifest.table["prompt"].combine_chunks()) if check else None
        pending = self._without_barred(pending)
        named = ReferenceIndex(order.manifest.table, pending)
        self._references = references.look(named.uris)
        self._tokens = np.zeros(order.rows, np.int64)
        self.rows = self._without_unusable(pending, named)

    def again(self, rows: np.ndarray, repetitions: Mapping[int, Reseed]) -> "PendingRows":
        """The work of trying rows with their next seeds."""
        return PendingRows(self._order, rows, self._survey, repetitions)

    def item(self, row: int) -> Item:
        """One row as what travels to the cluster."""
        [item] = self.items([row])
        return item

    def items(self, rows: Sequence[int]) -> Iterator[Item]:
        """Some rows as what travels to the cluster."""
        order, places = self._order, pa.array(rows, pa.int64())
        paths, asked = order.paths.take(places).to_pylist(), requests(self._requests.take(places))
        silent, digest = order.captions.silent, order.job.finishing_digest
        unsaid, keys = finish_key(digest, NO_METADATA.given), RenderKeys(order.job.model_digest, order.job.precision)
        said = repeat(NO_METADATA, len(rows)) if silent else order.captions.each(order.manifest.table.take(places))
        for row, request, path, words in zip(rows, asked, paths, said, strict=True):
            references = tuple(self._usable(uri) for uri in request.references)
            digests = [reference.sha256 for reference in references]
            key = keys.of(request, digests)
            finish = unsaid if silent else finish_key(digest, words.given)
            found = (self._policy.finding(row),) if self._policy else ()
            item = Item(row, request, path, key, finish, references, words.provenance)
            more = words.required_text or words.words or found
            if more:
                item = replace(item, required_text=words.required_text, findings=found, words=words.words)
            if row in order.rerolls:
                item = replace(item, replaces=order.rerolls[row].render_key)
            if row in self._again:
                item = self._again[row].tried_again(item, order.job.model_digest, order.job.precision)
            yield item

    def plan(self, rows: np.ndarray, device: str) -> Plan:
        """`rows` in units for a kind of device ("cpu", "cuda"), costliest first."""
        model, precision = self._order.model, self._order.job.precision
        sizes = Sizes(device, throughput(model.name, device, precision))
        return plan_units(group_by_shape(self._order.manifest.table, model, rows, self._tokens[rows]), sizes)

    def units(self, plan: Plan, pace: UnitSizer) -> Iterator[Unit]:
        """The plan's units with their items, as large as `pace` wants them, made when they are asked for."""
        planned = pace.units(plan)
        while some := list(islice(planned, UNITS_AT_ONCE)):
            items = self.items([row for unit in some for row in unit.rows])
            for unit in some:
                own = tuple(islice(items, len(unit.rows)))
                yield Unit(unit.index, unit.shape, own, unit.cost, plan.sizes.rows(unit.shape))

    def _without_barred(self, pending: np.ndarray) -> np.ndarray:
        """The pending rows whose prompts the job's policy allows; the others are rejected."""
        if self._policy is None:
            return pending
        barred = self._policy.rejected[pending]
        ids = self._order.manifest.table["custom_id"]
        for row in pending[barred].tolist():
            found = self._policy.finding(row)
            told = Outcome(row, ids[row].as_py(), "rejected", error_code=found.check, error_message=found.message)
            self.failures.append(replace(told, findings=(found,)))
        allowed: np.ndarray = pending[~barred]
        return allowed

    def _without_unusable(self, pending: np.ndarray, named: ReferenceIndex) -> np.ndarray:
        """The pending rows all of whose references can be used; the others become failures, each with its first."""
        found = [self._references[uri] for uri in named.uris]
        tokens = np.array([0 if isinstance(one, RequestError) else math.prod(one.grid) for one in found], np.int64)
        np.add.at(self._tokens, named.rows, tokens[named.codes])
        wrong = np.array([isinstance(one, RequestError) for one in found], bool)[named.codes]
        rows, first = np.unique(named.rows[wrong], return_index=True)
        ids = self._order.manifest.table["custom_id"]
        for row, code in zip(rows.tolist(), named.codes[wrong][first].tolist(), strict=True):
            error = found[code]
            assert isinstance(error, RequestError)
            outcome = Outcome(row, ids[row].as_py(), "failed", error_code=error.code, error_message=error.message)
            self.failures.append(outcome)
        return np.setdiff1d(pending, rows)

    def _usable(self, uri: str) -> Reference:
        found: Surveyed = self._references[uri]
        if isinstance(found, RequestError):
            raise found
        return found
