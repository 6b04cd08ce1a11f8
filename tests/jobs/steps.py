"""The steps of random schedules, made from a seed: what is done, and what happens meanwhile at which call."""

import random
from dataclasses import dataclass

STEPS = {"render": 4, "publish": 6, "undo": 3, "prune": 2.5, "bundle": 0.3, "somebody": 7}
MEANWHILE = {"beside": ["somebody"], "pause": ["render", "publish", "undo", "prune"]}


@dataclass(frozen=True)
class Fault:
    """What happens at an operation's call to a store number `at`: "kill"; or another step, in a "pause" that outlives
    leases or between two calls ("beside")."""

    what: str
    at: int
    then: "Step | None" = None

    def __str__(self) -> str:
        return f"{self.what} at call {self.at}"


@dataclass(frozen=True)
class Step:
    """One step; `numbers` choose among what there is when it is carried out."""

    what: str
    numbers: tuple[int, ...]
    fault: Fault | None = None


def steps_of(seed: int, kind: str) -> list[Step]:
    """The steps of one seed."""
    dice = random.Random(f"{kind} {seed}")
    steps = [_step(dice, "render"), _step(dice, "render"), _step(dice, "publish")]
    if dice.random() < 0.4:
        steps.insert(dice.randrange(3), _step(dice, "link"))
    for _ in range(dice.randint(2, 7)):
        [what] = dice.choices(list(STEPS), list(STEPS.values()))
        steps.append(_step(dice, what))
    return steps


def _step(dice: random.Random, what: str, within: bool = False) -> Step:
    numbers = tuple(dice.randrange(5040) for _ in range(4))
    if what in ("somebody", "link") or within or dice.random() < 0.4:
        return Step(what, numbers)
    at = dice.randint(1, dice.choice((12, 40)))
    kind = dice.choice(("kill", "kill", "beside", "beside", "pause"))
    then = _step(dice, dice.choice(MEANWHILE[kind]), within=True) if kind in MEANWHILE else None
    return Step(what, numbers, Fault(kind, at, then))
