"""The `[checks]` of a finishing spec: which checks a job makes, and what follows when one of them fails.

    [checks.blank]
    action = "reseed"       # ignore, flag (the default), reject, or reseed: try the next seed
    attempts = 3            # seeds that are tried beside the row's own
    then = "reject"         # what follows when none of them was good: reject (the default) or flag
    least = 12.0            # the score under which the check fails

The thresholds that hold where none is given were found on mini's pictures and on spoiled copies (docs/checks.md).
"""

from dataclasses import dataclass

from pressrun.pipeline.strict_table import StrictTable

LEAST = {"blank": 12.0, "sharpness": 0.6, "text": 1.0, "duplicate": 6.0, "policy": 1.0, "classifier": 0.5}
"""Every check, in the order in which they are told, and the score that a picture needs."""

MOST = {"blank": 128.0, "sharpness": 1.0, "text": 1.0, "duplicate": 16.0, "policy": 1.0, "classifier": 1.0}
"""The best score of each check."""

CHECKS = tuple(LEAST)
ACTIONS = ("ignore", "flag", "reject", "reseed")
MAX_ATTEMPTS = 20

_OPTION = {"text": "text", "policy": "words", "classifier": "use"}
"""The field that a check cannot do without."""


@dataclass(frozen=True)
class CheckSpec:
    """One check of a job. `option` is what it looks for: the template of the text that must be there, the file of words
    that must not, or the `module:name` that makes a classifier; `words` is what that file holds."""

    check: str
    action: str = "flag"
    least: float = 0.0
    attempts: int = 0
    then: str = "reject"
    option: str = ""
    words: str = ""

    @property
    def verdict(self) -> str:
        """What a failure leads to in the end: `ignored`, `flagged` or `rejected`."""
        last = self.then if self.action == "reseed" else self.action
        return {"ignore": "ignored", "flag": "flagged", "reject": "rejected"}[last]


def read_checks(spec: StrictTable) -> tuple[CheckSpec, ...]:
    """The checks of a finishing spec; what is wrong with them is noted there."""
    table = spec.table("checks")
    checks = tuple(_read_check(table.table(name), name) for name in CHECKS if table.has(name))
    for name in CHECKS:
        table.knows(name)
    table.end()
    return checks


def _read_check(table: StrictTable, name: str) -> CheckSpec:
    action = table.text("action", "flag", choices=ACTIONS)
    least = table.number("least", 0.0, MOST[name], LEAST[name])
    attempts = table.whole("attempts", 1, MAX_ATTEMPTS, 3)
    then = table.text("then", "reject", choices=("flag", "reject"))
    if action != "reseed":
        for field in ("attempts", "then"):
            if table.has(field):
                table.note(f"“{field}” says how to reseed; this check's action is “{action}”.")
    elif name == "policy":
        table.note("the prompt stays the same whatever the seed is; reject or flag it.")
    option = table.text(_OPTION[name], required=True) if name in _OPTION else ""
    table.end()
    reseeds = action == "reseed"
    return CheckSpec(name, action, least, attempts if reseeds else 0, then if reseeds else "reject", option)
