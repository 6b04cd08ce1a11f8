"""Where every published picture can be had now: by what is recorded of the place, and by what stands there."""

from itertools import islice
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.store import Store
from pressrun.jobs.delivery.publish_target import PublishedPlace
from pressrun.jobs.night.publication_rule import PublicationRule
from pressrun.jobs.reports.diff_sheet import address

SCHEMA = pa.schema([(name, pa.string()) for name in ("custom_id", "name", "address", "sha256", "updated")])
"""`name` is that of the file in the place, `address` where it is served, `updated` when its bytes last changed there,
in UTC."""

_PIECE = 65_536
_STANDING = pa.schema([("name", pa.string()), ("etag", pa.string()), ("modified", pa.timestamp("s", tz="UTC"))])


def image_addresses(stores: Stores, rule: PublicationRule, job: str, where: str) -> pa.Table:
    """A row for every picture and rendition that was published and still stands as it was, by custom_id and name.
    Without an address in the rule, addresses are relative to the file `where`, if a browser can get there.

    Raises:
        JobError: the place's records are damaged, or another place's.
        StorageError: a store does not answer.
    """
    place = PublishedPlace(stores, rule.to, job, rule.records)
    place.as_it_is()
    record, there = place.record(), _standing(place.store)
    at = pc.index_in(record["name"].combine_chunks(), there["name"].combine_chunks())
    same = pc.equal(there["etag"].combine_chunks().take(at), record["etag"].combine_chunks()).fill_null(False)
    record, at = record.filter(same), at.filter(same)
    names = record["name"].to_pylist()
    columns = {
        "custom_id": record["custom_id"],
        "name": record["name"],
        "address": pa.array([address_of(rule, place.store.uri, name, where) for name in names], pa.string()),
        "sha256": record["sha256"],
        "updated": pc.strftime(there["modified"].combine_chunks().take(at), "%Y-%m-%dT%H:%M:%SZ"),
    }
    return pa.table(columns, schema=SCHEMA).sort_by([("custom_id", "ascending"), ("name", "ascending")])


def address_of(rule: PublicationRule, place: str, name: str, where: str) -> str:
    """Where a picture is served, as a file at `where` names it; its URI where nothing is known of that."""
    if rule.address:
        return f"{rule.address.rstrip('/')}/{quote(name)}"
    return address(f"{place}/{name}", where) or f"{place}/{name}"


def _standing(store: Store) -> pa.Table:
    """Names, etags and times of everything in a place."""
    entries, pieces = store.list(), [_STANDING.empty_table()]
    while some := list(islice(entries, _PIECE)):
        columns = {"name": [one.path for one in some], "etag": [one.etag for one in some]}
        times = pa.array([one.modified for one in some], pa.timestamp("us", tz="UTC"))
        seconds = pc.floor_temporal(times, unit="second").cast(_STANDING.field("modified").type)
        pieces.append(pa.table({**columns, "modified": seconds}, schema=_STANDING))
    return pa.concat_tables(pieces)
