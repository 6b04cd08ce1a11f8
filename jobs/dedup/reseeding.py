"""Repetitions: rows whose picture nearly repeats another row's are tried with their next seeds, when all are there.

Pictures are taken in the order of how many seeds were tried before theirs, then of the manifest; one stays that repeats
none which stays before it. A round tries those again that repeat one and had the fewest seeds: everything that comes
before them in that order is known by then, so that no later round changes what stays. So it does not matter in which
order, in how many runs or on how many machines the pictures were made.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from pressrun.cluster.protocol.unit import Item, with_next_seed
from pressrun.jobs.dedup.near_duplicates import first_that_stays
from pressrun.pipeline.checks.checker import finding
from pressrun.pipeline.checks.spec import CheckSpec

COLUMNS = ("custom_id", "status", "seed", "reseeds", "render_key", "findings", "likeness")
"""What is looked at of every outcome."""


@dataclass(frozen=True)
class Reseed:
    """A picture that repeats another: the seed that it was made from, how many before it, why each was not good."""

    seed: int
    reseeds: int
    tried: tuple[str, ...]
    render_key: str
    check: CheckSpec
    why: str

    def tried_again(self, item: Item, model_digest: str, precision: str) -> Item:
        """The row's item with the seed after this one."""
        made = replace(item, request=replace(item.request, seed=self.seed), reseeds=self.reseeds, tried=self.tried)
        made = replace(made, replaces=self.render_key)
        return with_next_seed(made, (finding(self.check, 0.0, self.why),), model_digest, precision)


def repetitions(
    rows: np.ndarray, outcomes: pa.Table, check: CheckSpec, tried: Collection[tuple[int, int]] = ()
) -> dict[int, Reseed]:
    """Those that one round tries again. `outcomes` are those of pictures that are there (`COLUMNS`), `rows` the
    manifest's row of each; `tried` are rows that came to no other picture when they had so many seeds behind them."""
    reseeds = outcomes["reseeds"].combine_chunks().fill_null(0).to_numpy(zero_copy_only=False)
    known = np.flatnonzero(outcomes["likeness"].combine_chunks().is_valid().to_numpy(zero_copy_only=False))
    hashes = outcomes["likeness"].combine_chunks().fill_null(0).to_numpy(zero_copy_only=False)[known]
    first = first_that_stays(hashes, reseeds[known], rows[known], int(check.least))
    alike = first >= 0
    places, firsts = known[alike], known[first[alike]]
    untried = [pair not in tried for pair in zip(rows[places].tolist(), reseeds[places].tolist(), strict=True)]
    left = (reseeds[places] < check.attempts) & np.array(untried, bool)
    places, firsts = places[left], firsts[left]
    if not len(places):
        return {}
    now = reseeds[places] == reseeds[places].min()
    places, firsts = places[now], firsts[now]
    named = outcomes["custom_id"].take(pa.array(firsts)).to_pylist()
    told = outcomes.select(COLUMNS).take(pa.array(places)).to_pylist()
    found = {}
    for row, name, one in zip(rows[places].tolist(), named, told, strict=True):
        seeds = tuple(line for line in (one["findings"] or "").split("\n") if line.startswith("Seed "))
        why = f"It nearly repeats the picture of {name}."
        found[row] = Reseed(one["seed"], one["reseeds"] or 0, seeds, one["render_key"], check, why)
    return found


def further_pictures(checks: Sequence[CheckSpec], pending: int, there: int) -> int:
    """How many pictures may be rendered at most besides one for each of `pending` rows, where checks try other seeds;
    `there` are the pictures that may turn out to repeat others."""
    attempts = {check.check: check.attempts for check in checks}
    return pending * max(attempts.values(), default=0) + there * attempts.get("duplicate", 0)
