"""How many rows may fail before a job that goes wrong as a whole is stopped."""

import re
from collections import Counter
from collections.abc import Iterable

from pressrun.cluster.protocol.unit import Outcome
from pressrun.pipeline.errors import JobError


class FailureBudget:
    """Counts this run's failures; `limit` None allows any number."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._causes: Counter[str] = Counter()

    @classmethod
    def parse(cls, wanted: int | str | None, rows: int) -> "FailureBudget":
        """`20` or `5%` of the job's rows.

        Raises:
            JobError: neither of the two.
        """
        if wanted is None:
            return cls(None)
        text = str(wanted)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)%|(\d+)", text.strip())
        if not match or (match[1] and float(match[1]) > 100):
            raise JobError(f"`max_failures` {text} is neither a number nor a share; write 20 or 5%.", code="bad_option")
        return cls(int(match[2]) if match[2] else int(rows * float(match[1]) / 100))

    def counted(self, outcome: Outcome) -> Outcome:
        """The outcome, which counts from now on."""
        self.exceeded((outcome,))
        return outcome

    def exceeded(self, outcomes: Iterable[Outcome]) -> bool:
        """Count, and say whether it is enough."""
        self._causes.update(outcome.error_code or "" for outcome in outcomes if outcome.status == "failed")
        return self._limit is not None and self._causes.total() > self._limit

    def sentence(self) -> str:
        """Why the run stopped."""
        causes = ", ".join(f"{count} x {code}" for code, count in self._causes.most_common())
        return f"More than {self._limit} rows failed (`max_failures`): {causes}. Mend the cause and run again."
