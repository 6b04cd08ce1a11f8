"""Where a job keeps its decisions: files that are created and never changed, each with those of one act.

    decisions/<ULID>.json     {"schema_version": 1, "decisions": [{"id": …, "custom_id": …, "sha256": …, …}]}

Whoever decides adds a file; nobody has to lock anything, and what was decided can always be followed back.
"""

import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from pressrun.cluster.store.store import Store
from pressrun.jobs.decisions.decision import Decision, Decisions
from pressrun.jobs.folder.job_file import DECISIONS
from pressrun.jobs.folder.schema_version import NAME, VERSION, refuse_newer
from pressrun.pipeline.errors import JobError

_THREADS = 16
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FILE = re.compile(rf"{DECISIONS}[{_LETTERS}]{{26}}\.json")


def read_decisions(store: Store) -> Decisions:
    """The decisions of the job in a store.

    Raises:
        JobError: a file is damaged, or of a newer version.
    """
    paths = sorted(path for path in store.paths(DECISIONS) if _FILE.fullmatch(path))
    with ThreadPoolExecutor(_THREADS) as threads:
        return Decisions(one for some in threads.map(lambda path: _read(store, path), paths) for one in some)


def write_decisions(store: Store, decisions: Sequence[Decision]) -> bool:
    """Add decisions as one file, named by the last of them; False where it is there already."""
    told = {NAME: VERSION, "decisions": [one.to_dict() for one in decisions]}
    data = (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode()
    return store.create(f"{DECISIONS}{max(one.id for one in decisions)}.json", data, "application/json")


def ids_after(decisions: Decisions) -> Callable[[], str]:
    """Makes ULIDs (github.com/ulid/spec), each greater than the one before and than all of `decisions`, whatever the
    clocks of the machines say on which they were made."""
    last = max((_number(one.id) for one in decisions.all), default=0)

    def next_id() -> str:
        nonlocal last
        last = max(last + 1, (time.time_ns() // 1_000_000 << 80) + secrets.randbits(80))
        return "".join(_LETTERS[last >> shift & 31] for shift in range(125, -1, -5))

    return next_id


def _number(ulid: str) -> int:
    number = 0
    for letter in ulid.upper():
        number = number << 5 | max(0, _LETTERS.find(letter))
    return number


def _read(store: Store, path: str) -> Iterable[Decision]:
    try:
        told = json.loads(store.get(path))
        refuse_newer(told.get(NAME), f"{store.uri}/{path}")
        return [Decision.parse(one) for one in told["decisions"]]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise JobError(
            f"{store.uri}/{path} is damaged: nothing is known of what was decided in it. Put it back, or remove it and "
            "decide again.",
            code="damaged_job",
        ) from None
