"""How a run ended: a code for programs and a sentence for people."""

from dataclasses import dataclass
from enum import StrEnum


class EndCode(StrEnum):
    """Why a run did not go on; all but DONE can be resumed."""

    DONE = "done"
    LIMIT = "limit_reached"
    BUDGET = "too_many_failures"
    INTERRUPTED = "interrupted"
    STORAGE = "storage_failed"
    WORKERS = "workers_failed"
    BUG = "internal_error"


@dataclass(frozen=True)
class Ending:
    """A code, and the sentence that tells why ("" for DONE)."""

    code: EndCode = EndCode.DONE
    message: str = ""

    @property
    def done(self) -> bool:
        """Whether the run went to its end."""
        return self.code is EndCode.DONE


DONE = Ending()
