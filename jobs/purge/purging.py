"""Purging: a picture is taken out of a place, of what is kept for undoing, and of all nights, for good.

First the place, because that is what people see; then the copies for undoing; then night after night. What a purge is
about is written down before anything is removed, and every change is made only where there stands what was seen; so
whatever ends it, the same command goes on. What is not Pressrun's stays and is told, and so is what lies behind links.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field

from pressrun.cluster.store.lease import Lease
from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.store import Store
from pressrun.cluster.store.uri import real_uri
from pressrun.jobs.delivery.publish_target import PublishedPlace, interrupted
from pressrun.jobs.delivery.records_place import FOLDER as RECORDS
from pressrun.jobs.delivery.records_place import LOCK as PLACE_LOCK
from pressrun.jobs.delivery.records_place import OWNER, beside, old_records, read_pointer
from pressrun.jobs.folder.job_file import JOB, PRUNED
from pressrun.jobs.folder.series import LOCK, prefix_of
from pressrun.jobs.purge.purge_mentions import PurgeMentions
from pressrun.jobs.purge.purged_job import Gone, PurgedJob
from pressrun.jobs.purge.purged_names import PurgedNames
from pressrun.jobs.purge.purged_pages import PurgedPages
from pressrun.jobs.purge.purged_place import PurgedPlace, publications
from pressrun.jobs.purge.traces import begin, begun, end
from pressrun.jobs.text.wording import first_of
from pressrun.pipeline.errors import JobError

_ELSEWHERE = (
    "Not looked at: what others have fetched (browsers, a CDN), kept pixels and bundles outside the nights' folders, "
    "nights under other prefixes."
)


@dataclass(frozen=True)
class Purged:
    """What a purge removed: names from the place (`served`), copies for undoing (`undo_copies`) and files of nights, as
    URIs, and in `rows` which rows of which jobs have no picture now.

    Of `unknown` names there was nothing. `left` was not removed, each with why; `busy` are nights that are being
    rendered, or are not finished, which the same command purges afterwards. `refers` are sentences about what still
    holds or names a picture, `unchecked` one about what was not looked at.
    """

    place: str
    served: tuple[str, ...]
    undo_copies: tuple[str, ...]
    files: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...]
    left: tuple[str, ...]
    busy: tuple[str, ...]
    refers: tuple[str, ...]
    unchecked: str
    dry_run: bool = False


def purge(
    stores: Stores,
    names: Iterable[str],
    to: str,
    nights: str | None = None,
    *,
    records: str | None = None,
    dry_run: bool = False,
) -> Purged:
    """Purge pictures by their names in the place `to`, with all their renditions: from the place, from its records, and
    from all jobs that stand beside those that were published to it, or under or beside `nights`.

    Raises:
        JobError: a name is none, nothing was published to the place, somebody publishes there, or a publication or
            an undoing was interrupted and is to be finished first.
        StorageError: a store failed although it was asked again, or somebody else took over; the same call goes on.
    """
    wanted = PurgedNames.parse(names)
    place = _published_place(stores, to, nights, records)
    if dry_run:
        place.as_it_is()
        return _Purging(place, wanted, nights, None).run()
    place.prepare()
    with Lease(place.records, PLACE_LOCK, f"Pictures are purged from {place.store.uri}") as lease:
        place.begin_alone(lease.check)
        _refuse_interrupted(place)
        place.tidy()
        return _Purging(place, wanted, nights, lease).run()


def _published_place(stores: Stores, to: str, nights: str | None, records: str | None) -> PublishedPlace:
    """Raises JobError where nothing was published."""
    uri = real_uri(to)
    if not (nights or records or read_pointer(stores, beside(uri))):
        command = "pressrun publish NIGHTS `to` … `purge` …"
        raise JobError(
            f"Nothing tells where the records of {uri} are; say whose nights are published there: {command}",
            code="bad_option",
        )
    job = nights if nights and _is_job(stores.open(nights)) else f"{nights or uri}/job"
    place = PublishedPlace(stores, to, job, records)
    if place.records.head(OWNER) is None and not old_records(place.records, place.store.uri):
        raise JobError(
            f"Nothing was published to {place.store.uri}: {place.records.uri} has no records of it.", code="no_job"
        )
    return place


def _refuse_interrupted(place: PublishedPlace) -> None:
    pending = place.pending()
    if pending.get("undoing"):
        raise interrupted(place, pending)
    if pending:
        command = f"pressrun publish {pending['job']} `to` {place.store.uri}{' `remove`' * bool(pending['remove'])}"
        raise JobError(
            f"A publication to {place.store.uri} was interrupted; finish it first: {command}", code="interrupted"
        )


def _is_job(store: Store) -> bool:
    return store.head(JOB) is not None or store.head(PRUNED) is not None


@dataclass
class _Prefix:
    """Where jobs stand side by side: those that are to be purged, in order; `busy` says why none of them can be."""

    store: Store
    jobs: list[Store] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)
    lease: Lease | None = None
    busy: str = ""


class _Purging:
    """One go at purging; without a lease nothing is removed."""

    def __init__(self, place: PublishedPlace, names: PurgedNames, nights: str | None, lease: Lease | None) -> None:
        self._place, self._names, self._nights, self._lease = place, names, nights, lease
        self._traces = begun(place, names)
        self._served, self._undos, self._gone = Gone(), Gone(), Gone()
        self._busy: list[str] = []
        self._refers: list[str] = []

    def run(self) -> Purged:
        prefixes = self._prefixes()
        with ExitStack() as stack:
            for prefix in prefixes if self._lease else ():
                self._lock(prefix, stack)
            place = PurgedPlace(self._place, self._names, only_tell=self._lease is None)
            self._trace(place, prefixes)
            place.purge_served(self._traces, self._served)
            place.purge_undos(self._undos)
            for name in place.other_names(self._traces):
                self._refers.append(f"{self._place.store.uri}/{name} has the same bytes: purge that name as well.")
            for prefix in prefixes:
                self._purge_nights(prefix)
            if self._lease and not self._busy:
                end(self._place, self._names)
        return self._told()

    def _told(self) -> Purged:
        known = self._traces.names
        return Purged(
            self._place.store.uri,
            served=tuple(self._served.files),
            undo_copies=tuple(self._undos.files),
            files=tuple(self._gone.files),
            rows=tuple(self._gone.rows),
            unknown=tuple(stem for stem in self._names.stems if not PurgedNames((stem,)).among(known)),
            left=(*self._served.left, *self._undos.left, *self._gone.left),
            busy=tuple(self._busy),
            refers=tuple(dict.fromkeys(self._refers)),
            unchecked=_ELSEWHERE,
            dry_run=self._lease is None,
        )

    def _prefixes(self) -> list[_Prefix]:
        """Where the nights stand. Raises JobError where none stands at the place that was named."""
        stores = self._place.store.stores
        known = [real_uri(job) for job in publications(self._place)]
        named = real_uri(self._nights) if self._nights else ""
        is_job = bool(named) and _is_job(stores.open(named))
        head, _, last = self._place.records.uri.rpartition(f"/{RECORDS}/")
        places = [named] if named and not is_job else []
        places += [head] if head and "/" not in last else []
        alone = []
        for job in [*known, *([named] if is_job else [])]:
            try:
                places.append(prefix_of(job)[0])
            except JobError:  # it is a bucket of its own
                alone.append(job)
        found = [_jobs_under(stores.open(uri)) for uri in dict.fromkeys(places)]
        if named and not is_job and not found[0].jobs:
            raise JobError(
                f"There is no job at {named}, nor under it; name a night, or the place where nights stand.",
                code="no_job",
            )
        alone_stores = [stores.open(uri) for uri in dict.fromkeys(alone)]
        return [one for one in found if one.jobs or one.linked] + [
            _Prefix(store, [store]) for store in alone_stores if _is_job(store)
        ]

    def _lock(self, prefix: _Prefix, stack: ExitStack) -> None:
        if prefix.jobs == [prefix.store]:  # its own lease does
            return
        prefix.store.prepare()
        prefix.lease = Lease(prefix.store, LOCK, f"Pictures are purged from the nights under {prefix.store.uri}")
        try:
            stack.enter_context(prefix.lease)
        except JobError as error:
            prefix.busy = str(error)

    def _trace(self, place: PurgedPlace, prefixes: list[_Prefix]) -> None:
        """Find out what tells the pictures, and write it down before anything is removed."""
        place.trace(self._traces)
        for prefix in prefixes:
            for job in prefix.jobs:
                PurgedJob(job, self._names, None).trace(self._traces)
        if self._lease:
            begin(self._place, self._names, self._traces)

    def _purge_nights(self, prefix: _Prefix) -> None:
        self._gone.left += [f"{uri}: is a link; purge where it leads to." for uri in prefix.linked]
        if prefix.busy:
            self._busy.append(f"{prefix.store.uri}: {prefix.busy}")
            return
        pages = PurgedPages(self._names, self._traces)
        mentions = PurgeMentions(self._names, self._traces, pages)
        last: tuple[Store, list[str]] | None = None
        for store in prefix.jobs:
            before = len(self._gone.rows)
            if self._purge_job(store, prefix, pages):
                self._refers += mentions.in_job(store)
                last = store, [custom_id for _, custom_id in self._gone.rows[before:]]
        if last and last[1]:
            self._refers += mentions.in_manifest(*last)
        if prefix.jobs != [prefix.store]:
            self._refers += mentions.in_prefix(prefix.store, self._place.records)

    def _purge_job(self, store: Store, prefix: _Prefix, pages: PurgedPages) -> bool:
        """Purge one job, unless it is being rendered; whether it had, or has had, such a picture."""
        own = Lease(store, LOCK, f"Pictures are purged from {store.uri}")
        leases = [lease for lease in (self._lease, prefix.lease, own) if lease]

        def fence() -> None:
            for lease in leases:
                lease.check()

        job = PurgedJob(store, self._names, fence if self._lease else None)
        if job.trace_kept(self._traces) and self._lease:
            begin(self._place, self._names, self._traces)
        with ExitStack() as stack:
            if self._lease:
                try:
                    stack.enter_context(own)
                except JobError as error:
                    self._busy.append(f"{store.uri}: {error}")
                    return False
            job.purge(self._traces, self._gone)
            if job.pending:
                rows = first_of(job.pending.to_pylist())
                self._busy.append(f"{store.uri}: is not finished, and draws {rows} when its render goes on.")
            if job.touched and self._lease:
                pages.renew(job, self._gone)
        return job.touched


def _jobs_under(prefix: Store) -> _Prefix:
    found = _Prefix(prefix)
    for name in prefix.level()[0]:
        store = prefix.stores.open(f"{prefix.uri}/{name}")
        if name and _is_job(store):
            if prefix.linked(name):
                found.linked.append(store.uri)
            else:
                found.jobs.append(store)
    return found
