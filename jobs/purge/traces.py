"""What tells purged pictures wherever they lie: their digests, addresses and render keys.

A purge takes results away in which that is written, so it is written down in the records first: whatever ends a purge,
the next one knows what was left to do.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pressrun.cluster.store.store import Store
from pressrun.jobs.delivery.publish_target import PublishedPlace
from pressrun.jobs.folder.job_file import IMAGES
from pressrun.jobs.purge.purged_names import PurgedNames
from pressrun.pipeline.errors import JobError

PURGING = "purging/"
"""In a place's records: purges that have begun and not ended."""


@dataclass
class Traces:
    """SHA-256 and sizes in bytes of the files of purged pictures, their URIs, and the render keys of their pixels;
    `names` are those that something is known of."""

    names: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)
    sizes: set[int] = field(default_factory=set)
    uris: set[str] = field(default_factory=set)
    render_keys: set[str] = field(default_factory=set)

    def of_job(self, job: Store) -> list[str]:
        """The paths of those that lie among a job's pictures."""
        start = f"{job.uri}/"
        paths = sorted(uri.removeprefix(start) for uri in self.uris if uri.startswith(start + IMAGES))
        return [path for path in paths if "" not in (parts := path.split("/")) and not {".", ".."} & {*parts}]

    def add(self, job: Store, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add what a job's results tell of some of its rows."""
        for row in rows:
            for one in (row, *(row["renditions"] or ())):
                if one["image"]:
                    self.uris.add(f"{job.uri}/{one['image']}" if one["image"].startswith(IMAGES) else one["image"])
                    self.digests.add(one["sha256"] or "")
                    self.sizes.add(one["bytes"] or 0)
            if re.fullmatch("[0-9a-f]{64}", row["render_key"] or ""):
                self.render_keys.add(row["render_key"])


def begun(place: PublishedPlace, names: PurgedNames) -> Traces:
    """What a purge of the same names that has not ended had found; nothing if there is none.

    Raises:
        JobError: what is written down of it is damaged.
    """
    path = _path(names)
    try:
        told = json.loads(place.records.get(path))
        return Traces(**{name: set(told[name]) for name in vars(Traces())})
    except FileNotFoundError:
        return Traces()
    except (ValueError, KeyError, TypeError):
        raise JobError(
            f"{place.records.uri}/{path} is damaged; remove it, and purge again.", code="damaged_job"
        ) from None


def begin(place: PublishedPlace, names: PurgedNames, traces: Traces) -> None:
    """Write down what a purge is about."""
    told = {name: sorted(found) for name, found in vars(traces).items()}
    place.fence()
    place.records.put(_path(names), json.dumps(told, ensure_ascii=False).encode(), "application/json")


def end(place: PublishedPlace, names: PurgedNames) -> None:
    """Write down that it has ended."""
    place.records.delete(_path(names), fence=place.fence)
    place.records.sweep([_path(names)])


def _path(names: PurgedNames) -> str:
    """Of other names nothing is taken up: what stands under those by now may be what is wanted there."""
    return f"{PURGING}{hashlib.sha256(json.dumps(sorted(names.stems)).encode()).hexdigest()[:16]}.json"
