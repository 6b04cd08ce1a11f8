"""Throughput: how long a row of a unit takes, by its tokens and by the rows beside it, as it was measured.

`throughput.toml` holds a curve for each model and kind of device that somebody has measured
(`python -m tests.bench.throughput` prints one). A unit's size and its cost come from it.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

WORTH = 1.05
"""A larger batch is taken as long as it makes a row this much cheaper than the batch that is taken without it."""

BEARABLE = 1.15
"""So much more may a row cost in a unit that is cut smaller, at a job's end, than in its shape's own."""


@dataclass(frozen=True)
class Throughput:
    """`seconds[i][j]` that a row of `tokens[i]` tokens (picture, references and text) takes for one pass of the
    transformer when `rows[j]` rows run as one batch."""

    tokens: tuple[int, ...]
    rows: tuple[int, ...]
    seconds: tuple[tuple[float, ...], ...]

    @cache  # noqa: B019, a handful of curves and of shapes lives as long as the process
    def row_seconds(self, tokens: int) -> Mapping[int, float]:
        """Seconds of a row and pass by the rows of its batch; between two measured lengths on a line in logarithms,
        beyond them in proportion to the tokens."""
        at = min(max(tokens, self.tokens[0]), self.tokens[-1])
        measured = np.log(np.array(self.seconds))  # (lengths, rows)
        logs = [np.interp(np.log(at), np.log(self.tokens), column) for column in measured.T]
        return {rows: float(np.exp(value)) * tokens / at for rows, value in zip(self.rows, logs, strict=True)}

    def unit_rows(self, tokens: int) -> int:
        """The rows of a unit: the smallest batch that is nearly as good as the best."""
        seconds = self.row_seconds(tokens)
        return next(rows for rows in sorted(seconds) if seconds[rows] <= WORTH * min(seconds.values()))

    def least_rows(self, tokens: int) -> int:
        """The fewest rows into which a unit may be cut where that spares a wait."""
        seconds = self.row_seconds(tokens)
        own = seconds[self.unit_rows(tokens)]
        return next(rows for rows in sorted(seconds) if seconds[rows] <= BEARABLE * own)

    def unit_seconds(self, tokens: int, rows: int) -> float:
        """Seconds of a pass of a unit."""
        seconds = self.row_seconds(tokens)
        return rows * float(np.interp(rows, list(seconds), list(seconds.values())))


@cache
def _curves() -> Mapping[tuple[str, str, str], Throughput]:
    tables = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    curves = {}
    for table in tables["curve"]:
        lengths = {int(tokens): tuple(seconds) for tokens, seconds in table["seconds"].items()}
        curve = Throughput(tuple(lengths), tuple(table["rows"]), tuple(lengths.values()))
        curves[table["model"], table["device"], table["precision"]] = curve
    return curves


def throughput(model: str, device: str, precision: str) -> Throughput | None:
    """The measured curve of a model on a kind of device ("cpu", "cuda"); None where nobody has measured one."""
    return _curves().get((model, device, precision))
