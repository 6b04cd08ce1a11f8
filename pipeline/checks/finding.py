"""A finding: what one check has to say of one picture."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

PASSED, IGNORED, FLAGGED, REJECTED = "passed", "ignored", "flagged", "rejected"


@dataclass(frozen=True)
class Finding:
    """A score, of which less is worse, and what follows from it; `message` is a sentence where the check failed.

    `verdict` is `passed`, `ignored` (the check failed and the job does not mind), `flagged` or `rejected`.
    """

    check: str
    score: float
    verdict: str = PASSED
    message: str = ""


def findings_to_text(findings: Sequence[Finding]) -> str:
    """Findings as a picture carries them, "" if there are none."""
    return json.dumps([asdict(each) for each in findings], ensure_ascii=False) if findings else ""


def findings_from_text(text: str) -> tuple[Finding, ...]:
    """What `findings_to_text` wrote; nothing where somebody else did."""
    try:
        return tuple(Finding(**each) for each in json.loads(text)) if text else ()
    except (ValueError, TypeError):
        return ()
