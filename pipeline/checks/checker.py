"""How one picture is judged: every check that looks at pixels, and what follows from all of them together."""

import math
from collections.abc import Sequence

import numpy as np

from pressrun.pipeline.checks.classifier import load_classifier
from pressrun.pipeline.checks.finding import PASSED, REJECTED, Finding
from pressrun.pipeline.checks.measures import contrast, sharpness
from pressrun.pipeline.checks.spec import CheckSpec
from pressrun.pipeline.checks.text import read_text, text_score
from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.redaction import without_secrets


class Checker:
    """Makes the checks of a job that look at one picture alone. Safe to use from several threads."""

    def __init__(self, checks: Sequence[CheckSpec]) -> None:
        self._checks = checks
        self._classifiers = {each.option: load_classifier(each.option) for each in checks if each.check == "classifier"}

    def judge(self, pixels: np.ndarray, prompt: str, required_text: str) -> tuple[Finding, ...]:
        """What there is to say of a picture, uint8 (H, W, 3). A row without a required text has no finding of that.

        Raises:
            RequestError: `classifier_failed`.
        """
        found = []
        for spec in self._checks:
            said = self._score(spec, pixels, prompt, required_text)
            if said is not None:
                score, why = said
                found.append(finding(spec, score, why))
        return tuple(found)

    def _score(self, spec: CheckSpec, pixels: np.ndarray, prompt: str, text: str) -> tuple[float, str] | None:
        """The score that a check gives, and a sentence in case that it is too low; None where it does not apply."""
        if spec.check == "blank":
            score = contrast(pixels)
            return score, f"There is little to see: contrast {score:.1f}, {spec.least:g} is needed."
        if spec.check == "sharpness":
            score = sharpness(pixels)
            return score, f"The picture is not sharp: {score:.2f}, {spec.least:g} is needed."
        if spec.check == "text" and text:
            read = read_text(pixels)
            why = f"“{without_secrets(text)}” should stand in the picture; “{without_secrets(read)[:200]}” was read."
            return text_score(text, read), why
        if spec.check == "classifier":
            return self._judged(spec.option, pixels, prompt)
        return None

    def _judged(self, use: str, pixels: np.ndarray, prompt: str) -> tuple[float, str]:
        try:
            score, why = self._classifiers[use].score(pixels, prompt)
            if math.isnan(score):
                raise ValueError("its score is no number")
        except MemoryError:
            raise
        except Exception as error:  # a customer's code: its row, and no other, pays for it
            said = f"{type(error).__name__}: {error}"[:300]
            message = f"The classifier “{use}” failed ({said}); mend it and run the command again."
            raise RequestError("classifier_failed", message) from error
        return score, why


def finding(spec: CheckSpec, score: float, why: str) -> Finding:
    """A check's finding; `why` is told where the score is too low."""
    score = round(float(score), 4)
    failed = score < spec.least
    return Finding(spec.check, score, spec.verdict if failed else PASSED, why if failed else "")


def reasons_to_reseed(checks: Sequence[CheckSpec], found: Sequence[Finding], reseeds: int) -> tuple[Finding, ...]:
    """The findings for which a further seed is to be tried, after `reseeds` of them were."""
    attempts = {spec.check: spec.attempts for spec in checks}
    return tuple(each for each in found if each.verdict != PASSED and attempts.get(each.check, 0) > reseeds)


def rejection(found: Sequence[Finding]) -> Finding | None:
    """The first finding for which a picture is rejected."""
    return next((each for each in found if each.verdict == REJECTED), None)
