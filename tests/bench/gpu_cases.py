"""The cases of the GPU benchmark: what is measured, in which order, and what fits a budget of seconds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.models.catalogue import Model

STEPS = 4
COMPILING = 40.0
"""Seconds that the first pass of a shape is given where blocks are compiled (two kinds of block; a guess)."""
MAKING = 5.0
"""Seconds that making a model with random weights is given."""
OFTEN = 2.5
"""Seconds for which one thing is measured again and again."""


@dataclass(frozen=True)
class Case:
    """One line of the report.

    `kind` is "picture" (seconds a picture, and what follows from them), "profile" (when no kernel runs, who waits for
    the device), "pixels" (whether a row's bits repeat), "end" (rows a second with finishing and a store), "memory"
    (what running out of it costs), "load" (from a file; with Ray, the whole command), or "repeat" ("pixels" again in a
    process with deterministic algorithms).
    `rows` are those of a unit, `references` those of each row; `peer` measures diffusers' pipeline as well.
    """

    kind: str
    model: str
    precision: str = "bf16"
    compiled: bool = False
    side: int = 1024
    rows: int = 1
    references: int = 0
    peer: bool = False

    @property
    def name(self) -> str:
        """As `--only` takes it, whole or in part."""
        mode = "compiled" if self.compiled else "eager"
        sizes = f"{self.side}/b{self.rows}/r{self.references}"
        return f"{self.kind}/{self.model}/{self.precision}/{mode}/{sizes}"

    @property
    def encodes(self) -> bool:
        """Whether prompts are read."""
        return self.kind in ("end", "load")

    def shape(self, model: Model) -> Shape:
        """Of the case's requests."""
        tokens = self.references * model.reference_pixels // 256
        width = height = self.side
        return Shape(width, height, STEPS, model.guidance, tokens, model.text_length, False)

    @property
    def compiles(self) -> tuple[Any, ...]:
        """What blocks are compiled for, once for all cases of which it is the same; nothing, where they are not."""
        return (self.model, self.precision, self.side, self.rows, self.references) if self.compiled else ()

    def expected(self, unit_seconds: float, compiling: float) -> float:
        """Seconds that the case should take, where denoising one unit takes `unit_seconds`, and compiling blocks for it
        `compiling` (0.0 where they are, or are not to be)."""
        once = 1.0 + compiling * (2 if self.kind == "pixels" else 1)  # a row alone is another shape
        measured = max(OFTEN, 7 * unit_seconds)
        if self.kind == "picture":
            return once + (compiling + 1.5 * measured if self.peer else 0.0) + 2.5 * measured
        if self.kind == "end":
            return once + 170 * unit_seconds / self.rows
        if self.kind in ("load", "repeat"):
            return 90.0
        return once + 12 * unit_seconds + 3.0


def cases(load: bool) -> list[Case]:
    """All of them, the most valuable first; neighbours share a model, which is made once for them."""
    klein = "flux2-klein-4b"

    def of(kind: str, mode: str = "compiled", precision: str = "bf16", model: str = klein, **more: int) -> Case:
        compiled = mode == "compiled"
        beside = not compiled or more in ({}, {"side": 512})  # compiling for another pipeline takes as long again
        peer = kind == "picture" and model == klein and precision == "bf16" and beside
        return Case(kind, model, precision, compiled, peer=peer, **more)

    return [
        of("picture", "eager"),
        of("profile", "eager"),
        of("picture", "eager", side=512),
        of("pixels", "eager", side=512, rows=4),
        of("picture"),
        of("profile"),
        of("picture", side=512),
        of("profile", side=512),
        of("picture", side=512, rows=4),
        of("pixels", side=512, rows=4),
        of("end"),
        of("picture", precision="fp8"),
        of("profile", precision="fp8"),
        of("pixels", precision="fp8", side=512, rows=4),
        of("picture", precision="fp8", side=512, rows=4),
        of("picture", "eager", "fp8"),
        of("repeat", "eager", side=512, rows=4),
        of("picture", references=1),
        of("picture", references=4),
        of("memory", "eager", side=512, rows=4),
        of("picture", rows=2),
        of("pixels", rows=2),
        of("picture", side=2048),
        of("picture", side=512, rows=8),
        of("picture", rows=4),
        of("picture", "eager", side=512, rows=4),
        of("picture", "eager", side=2048),
        of("picture", "eager", references=1),
        of("picture", "eager", references=4),
        of("picture", "compiled", "fp8", "flux2-dev"),
        of("picture", "eager", "fp8", "flux2-dev"),
        of("picture", "compiled", "bf16", "flux2-dev"),
        of("picture", "eager", "bf16", "flux2-dev"),
        of("picture", precision="fp8", side=2048),
        *([of("load", "eager")] if load else []),
    ]


def tiny_cases(load: bool) -> list[Case]:
    """One of each kind at the size of a CPU: whether the benchmark works, never how fast anything is."""
    small = [
        Case("picture", "tiny", side=64, peer=True),
        Case("picture", "tiny", side=64, rows=2, references=1),
        Case("picture", "tiny", "fp8", side=64),
        Case("profile", "tiny", side=64),
        Case("pixels", "tiny", side=64, rows=3),
        Case("repeat", "tiny", side=64, rows=3),
        Case("end", "tiny", side=64, rows=2),
    ]
    return [*small, Case("load", "tiny", side=64)] if load else small


def chosen(every: Iterable[Case], only: Sequence[str], done: Iterable[str] = ()) -> list[Case]:
    """The cases whose names contain one of `only` (all, if there are none), but for those that were `done` before.

    Raises ValueError where one of `only` is in no name.
    """
    every, done = list(every), set(done)
    if lacking := [part for part in only if not any(part in case.name for case in every)]:
        raise ValueError(f"no case has {' or '.join(map(repr, lacking))} in its name; --list shows them")
    return [case for case in every if case.name not in done and (not only or any(part in case.name for part in only))]
