"""Marks: what somebody says of pictures, in a page or on the command line, before it is a decision.

A page downloads them as a file:

    {"pressrun": "marks", "version": 1, "job": FINGERPRINT, "marks": [
      {"custom_id": "mug-de", "sha256": "…", "verdict": "approved", "again": false, "comment": "", "prompt": null}]}
"""

import json
from dataclasses import dataclass
from typing import Any

from pressrun.cluster.store.opening import Stores
from pressrun.jobs.decisions.decision import VERDICTS
from pressrun.jobs.text.wording import shortened
from pressrun.pipeline.errors import JobError, PressrunError
from pressrun.pipeline.request import FIELDS

VERSION = 1
MAX_COMMENT = 10_000
"""Characters of a comment."""


@dataclass(frozen=True)
class Mark:
    """What is said of the picture of the row `custom_id`; None leaves as it is what was said before.

    `sha256` is that of the picture that was looked at, None: of whichever it has. With `again` the row is rendered
    again, with the words `prompt`, or with its own and the next seed where there are none.
    """

    custom_id: str
    sha256: str | None = None
    verdict: str | None = None
    comment: str | None = None
    again: bool | None = None
    prompt: str | None = None


def read_marks(stores: Stores, path: str, fingerprint: str) -> list[Mark]:
    """The marks in a page's file, for the job with this fingerprint.

    Raises:
        JobError: it cannot be read, or is another file, or one for another job.
    """
    try:
        told = json.loads(stores.read(path))
        if told["pressrun"] != "marks" or int(told["version"]) > VERSION:
            raise ValueError("another kind of file, or a newer version")
        job, marks = told["job"], [_mark(one) for one in told["marks"]]
    except (OSError, PressrunError) as error:
        raise JobError(f"{path} cannot be read: {error}", code="bad_file") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        what = f"is no file of marks as a matrix or contact sheet downloads it ({shortened(str(error), 80)})"
        raise JobError(f"{path} {what}: download it again.", code="bad_file") from None
    if job != fingerprint:
        raise JobError(f"{path} has the marks of another job; name that one.", code="bad_file")
    return marks


def _mark(told: dict[str, Any]) -> Mark:
    said = ("custom_id", "sha256", "verdict", "comment", "again", "prompt")
    mark = Mark(*(told.get(name) for name in said))  # type: ignore[arg-type]  # looked at below
    texts = (mark.custom_id, mark.sha256, mark.verdict, mark.comment or "", mark.prompt or "")
    if not all(isinstance(text, str) for text in texts) or not isinstance(mark.again, bool | None):
        raise ValueError("a mark has a field of another type")
    if mark.verdict not in VERDICTS:
        raise ValueError(f"{mark.verdict} is no verdict")
    return mark


def odd_marks(marks: list[Mark]) -> list[str]:
    """What is wrong with marks, a sentence each."""
    most = int(FIELDS["prompt"].most)
    problems = []
    for mark in marks:
        whose = f"The row {shortened(mark.custom_id)}"
        if mark.prompt is not None and not mark.prompt.strip():
            problems.append(f"{whose} is to be rendered again with empty words: write some, or leave them out.")
        if len(mark.prompt or "") > most:
            problems.append(f"{whose} is to be rendered again with more than {most:,} characters of words.")
        if len(mark.comment or "") > MAX_COMMENT:
            problems.append(f"{whose} has a comment of more than {MAX_COMMENT:,} characters.")
    return problems
