"""What the doctor found: how it is, and what to do where it is not as it should be."""

from dataclasses import dataclass

GOOD, DOUBTFUL, BAD = "good", "doubtful", "bad"


@dataclass(frozen=True)
class Finding:
    """Of a `subject` (“memory”, “clock”) how it is: `state` is one of `GOOD`, `DOUBTFUL` (it will do, or nobody knows)
    and `BAD` (something fails because of it), `said` a sentence without an end, `advice` what to do."""

    subject: str
    state: str
    said: str
    advice: str = ""
