"""`night.json` in a night's folder: what `pressrun night` did with the job, each time that it ran.

A go is written down as soon as pictures are rendered, again when they are published, and at its end: what a go did that
was killed in between is not forgotten.
"""

import json
from collections.abc import Mapping
from typing import Any

from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.job_file import JOB, NIGHT

_KEPT = 50
"""Goes that are kept, the last ones."""


def goes_of(job: Store) -> list[dict[str, Any]]:
    """Every go at a night, the first one first; none where there is no such file, or it is damaged."""
    try:
        goes = json.loads(job.get(NIGHT))["goes"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []
    return [go for go in goes if isinstance(go, dict)] if isinstance(goes, list) else []


def note_go(job: Store, key: str, go: Mapping[str, Any]) -> None:
    """Write a go down, in the place of what was written before under its `key`; nothing where there is no job.

    Raises:
        StorageError: the store failed although it was asked again.
    """
    if job.head(JOB) is None:
        return
    others = [one for one in goes_of(job) if one.get("key") != key]
    data = json.dumps({"goes": [*others, {"key": key, **go}][-_KEPT:]}, indent=2, ensure_ascii=False, default=str)
    job.put(NIGHT, (data + "\n").encode(errors="replace"), "application/json")
