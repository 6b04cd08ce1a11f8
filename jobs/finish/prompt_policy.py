"""Policy: words that no prompt of a job may hold, from a file with one word or phrase a line.

Case does not count, and a word counts only as a whole: `art` is not found in `cart`. Lines that begin with # are notes.
"""

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.pipeline.checks.checker import finding
from pressrun.pipeline.checks.finding import REJECTED, Finding
from pressrun.pipeline.checks.spec import CheckSpec

_TOGETHER = 500
"""Words that one expression looks for: the search stays fast, and its memory bounded."""
_EDGE = r"[^\pL\pN\pM_]"


def words_of(text: str) -> tuple[str, ...]:
    """The words and phrases of a file, each once."""
    lines = (" ".join(line.split()) for line in text.splitlines() if not line.lstrip().startswith("#"))
    return tuple(dict.fromkeys(line for line in lines if line))


class Policy:
    """A job's policy over the prompts of its manifest, all of which are looked at once."""

    def __init__(self, check: CheckSpec, prompts: pa.Array) -> None:
        self._check, self._prompts = check, prompts
        self._words = words_of(check.words)
        self._hit = np.zeros(len(prompts), bool)
        for start in range(0, len(self._words), _TOGETHER):
            pattern = _pattern(self._words[start : start + _TOGETHER])
            found = pc.fill_null(pc.match_substring_regex(prompts, pattern), False)
            self._hit |= found.to_numpy(zero_copy_only=False)

    @property
    def rejected(self) -> np.ndarray:
        """Which rows are rejected, before anything is rendered."""
        return self._hit if self._check.verdict == REJECTED else np.zeros(len(self._hit), bool)

    def finding(self, row: int) -> Finding:
        """What there is to say of one row's prompt."""
        if not self._hit[row]:
            return finding(self._check, 1.0, "")
        prompt = pa.array([self._prompts[row].as_py()])
        named = [word for word in self._words if pc.match_substring_regex(prompt, _pattern([word]))[0].as_py()]
        words = ", ".join(f"“{word}”" for word in named[:5])
        return finding(
            self._check, 0.0, f"The prompt holds {words}, which the job's policy ({self._check.option}) bars."
        )


def _pattern(words: Sequence[str]) -> str:
    """What RE2 looks for: any of the words, as wholes, with any white space inside a phrase."""
    spelled = "|".join(r"\s+".join(map(re.escape, word.split(" "))) for word in words)
    return f"(?i)(?:^|{_EDGE})(?:{spelled})(?:$|{_EDGE})"
