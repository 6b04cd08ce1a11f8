"""How commands answer: in words, or as JSON."""

import codecs
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pressrun.jobs.folder.causes import Cause
from pressrun.jobs.results.changes import Changes
from pressrun.jobs.text.wording import first_of, shortened

_MAX_SENTENCE = 600
"""Characters of an error's sentence that a line repeats."""


def say(what: Any, as_json: bool) -> None:
    """Print a sentence, or with `as_json` whatever JSON can hold."""
    if as_json:
        text = json.dumps(what, indent=2, ensure_ascii=False, default=str)
        what = text.encode(errors="replace").decode()  # a manifest's text may hold bytes that are no character
        if codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name != "utf-8":
            what = json.dumps(json.loads(what), indent=2)  # JSON is UTF-8, and so is what is ASCII
    print(what, flush=True)


def change_words(changes: Changes) -> list[str]:
    """What changed since the job that is kept from, in a line; none without such a job."""
    if not changes.since:
        return []
    why = ", ".join(f"{count:,} {name}" for name, count in changes.reasons.items())
    changed = f"{changes.rows:,} changed ({why})" if changes.rows else "nothing changed"
    return [f"Since {changes.since}: {changed}."]


def cause_words(causes: Sequence[Cause]) -> list[str]:
    """A line for each cause: how many rows, what was wrong, the first of them."""
    return [
        f"  {cause.rows} x {cause.code}, e.g. {first_of(cause.custom_ids)}: {shortened(cause.example, _MAX_SENTENCE)}"
        for cause in causes
    ]


def busy_words(busy: Mapping[str, float]) -> list[str]:
    """A line that says how busy replicas and stages were in steady state, if that is known."""
    if not busy:
        return []
    stages = ", ".join(f"{stage} {share:.0%}" for stage, share in busy.items() if stage != "replica")
    return [f"Busy in steady state: denoise replicas {busy['replica']:.0%}; by stage {stages}."]
