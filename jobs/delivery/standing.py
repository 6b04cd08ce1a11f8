"""What stands in a published place now, compared with what a publication did or was about to do.

An etag that is known tells at once. Where it is not (a publication was cut off before it wrote down what it had done,
somebody touched a file), the bytes tell: whose digest is neither the new picture's nor the former one's is somebody
else's.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.delivery.publish_target import BEFORE, DONE, FOREIGN, FORMER, PublishedPlace, pieces

_THREADS = 16


def etags_of(actions: pa.Table, there: pa.Table) -> pa.Array:
    """The etag of each action's name in another table, null where it is not there."""
    places = pc.index_in(actions["name"].combine_chunks(), there["name"].combine_chunks())
    return there["etag"].combine_chunks().take(places)


def with_states(place: PublishedPlace, undo: str, actions: pa.Table, record: pa.Table) -> pa.Table:
    """The actions of the publication `undo` with the `etag` of what stands under each name now (null: nothing), and
    whose that is: its `state`. `record` is what is written down as published.

    Raises:
        StorageError: a store failed although it was asked again.
    """
    listed = place.listed(actions["name"].combine_chunks())
    now, former = etags_of(actions, listed), actions["former_etag"].combine_chunks()
    removing = pc.equal(actions["action"].combine_chunks(), "remove")
    before = pc.or_(pc.equal(now, former).fill_null(False), pc.and_(pc.is_null(now), pc.is_null(former)))
    known = pc.equal(now, etags_of(actions, place.respelled(record, actions["name"].combine_chunks())))
    done = pc.if_else(removing, pc.is_null(now), known.fill_null(False))
    states = pc.if_else(before, BEFORE, pc.if_else(done, DONE, pc.if_else(pc.is_null(now), FOREIGN, "")))
    doubtful = actions.filter(pc.equal(states, ""))
    found: list[str] = []
    with ThreadPoolExecutor(_THREADS) as threads:
        for rows in pieces(doubtful):
            found += threads.map(lambda row: _state(place, undo, row), rows)
    states = pc.replace_with_mask(states, pc.equal(states, ""), pa.array(found, pa.string()))
    return actions.append_column("etag", now).append_column("state", states)


def _state(place: PublishedPlace, undo: str, row: dict[str, Any]) -> str:
    """Whose the bytes are that stand under an action's name."""
    try:
        there = hashlib.sha256(place.store.get(row["name"])).hexdigest()
    except FileNotFoundError:
        return FOREIGN
    if row["action"] != "remove" and there == row["sha256"]:
        return DONE
    try:
        former = hashlib.sha256(place.records.get(place.backup(undo, row["name"]))).hexdigest()
    except FileNotFoundError:
        return FOREIGN
    return FORMER if there == former else FOREIGN
