"""Nothing is removed on the strength of a listing that is cut off, or that the server contradicts itself."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from infra.s3_server import S3Server
from pressrun.cluster.store.s3_client import s3_client
from pressrun.jobs.delivery.publishing import publish
from pressrun.jobs.delivery.retention import prune
from pressrun.jobs.purge.purging import purge
from pressrun.pipeline.errors import JobError, PressrunError, StorageError
from tests.cluster.faulty_s3 import Answer, FaultyServer, Quirk, Request, paged, said, serving
from tests.jobs.night_jobs import drawn, make_night
from tests.opening import open_store, stores


@pytest.fixture
def nights(s3_bucket: str) -> str:
    """Two nights: the mug of the second is the first one's."""
    prefix = f"{s3_bucket}/nights"
    make_night(f"{prefix}/2026-11-19", {"mug": drawn("mug"), "lamp": drawn("lamp")})
    mug = f"{prefix}/2026-11-19/images/mug.png"
    make_night(f"{prefix}/2026-11-20", {"mug": mug, "lamp": drawn("lamp", "another lamp"), "jug": drawn("jug")})
    return prefix


@pytest.fixture
def server(s3: S3Server, nights: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    with serving(s3.endpoint) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        yield server
    s3_client.cache_clear()


def standing(uri: str) -> dict[str, str]:
    """Everything under a place but leases, by path: its etag."""
    return {entry.path: entry.etag for entry in open_store(uri).list() if "lock/" not in entry.path}


@contextmanager
def nothing_changes(uri: str, server: FaultyServer) -> Iterator[None]:
    before = standing(uri)
    yield
    server.quirk = lambda request, answer: None
    assert standing(uri) == before


def unlisted(pattern: str) -> Quirk:
    """Listings leave out keys; they say nothing of it."""

    def quirk(request: Request, answer: Answer) -> None:
        if request.lists:
            answer.data = re.sub(
                rb"<Contents>.*?</Contents>",
                lambda found: b"" if re.search(pattern.encode(), found[0].replace(b"%2F", b"/")) else found[0],
                re.sub(rb"<KeyCount>.*?</KeyCount>", b"", answer.data),
                flags=re.DOTALL,
            )

    return quirk


def missing(ending: str) -> Quirk:
    """One object is not there, and is listed all the same."""

    def quirk(request: Request, answer: Answer) -> Answer | None:
        gone = request.method in ("HEAD", "GET") and request.path.partition("?")[0].endswith(ending)
        return (
            Answer(404, {}, b"<Error><Code>NoSuchKey</Code></Error>" if request.method == "GET" else b"")
            if gone
            else None
        )

    return quirk


def _publish(prefix: str) -> object:
    return publish(stores(), f"{prefix}/2026-11-20", f"{prefix}/live", remove=True)


REMOVALS: dict[str, Callable[[str], object]] = {
    "prune": lambda prefix: prune(stores(), prefix, 1),
    "publish": _publish,
    "purge": lambda prefix: purge(stores(), ["lamp.png"], f"{prefix}/live", prefix),
}


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)
def test_nothing_is_removed_after_a_listing_that_is_cut_off(
    server: FaultyServer, nights: str, remove: Callable[[str], object]
) -> None:
    publish(stores(), f"{nights}/2026-11-19", f"{nights}/live")
    cut_off = paged(1, lambda _, more, __: said(more))
    with nothing_changes(nights, server):
        server.quirk = cut_off
        with pytest.raises(PressrunError, match="is cut off: there is more"):
            remove(nights)


@pytest.mark.parametrize(
    ("quirk", "error", "sentence"),
    [
        (unlisted("2026-11-20/results/part"), JobError, "2026-11-20 is not whole: its results hold 0 rows"),
        (missing("2026-11-20/job.json"), JobError, "2026-11-20 looks like a job, but its job.json cannot be had"),
        (unlisted("2026-11-19/images/mug"), StorageError, "2026-11-19 lacks images/mug.png, which is there"),
    ],
    ids=["results", "job.json", "picture"],
)
def test_no_night_is_pruned_where_the_server_contradicts_itself(
    server: FaultyServer, nights: str, quirk: Quirk, error: type[Exception], sentence: str
) -> None:
    with nothing_changes(nights, server):
        server.quirk = quirk
        with pytest.raises(error, match=sentence):
            prune(stores(), nights, 1)
    assert prune(stores(), nights, 1).pruned == ("2026-11-19",)
    assert open_store(nights).head("2026-11-19/images/mug.png") is not None


def test_a_night_that_lacks_its_description_is_not_pruned_around(nights: str) -> None:
    open_store(nights).delete("2026-11-20/job.json")
    with pytest.raises(JobError, match="2026-11-20 looks like a job"):
        prune(stores(), nights, 1)


def test_a_damaged_summary_stops_pruning(nights: str) -> None:
    open_store(nights).put("2026-11-20/summary.json", b"{")
    with pytest.raises(JobError, match=r"2026-11-20/summary\.json is damaged; render that night again"):
        prune(stores(), nights, 1)


def test_rows_that_a_listing_loses_take_no_published_picture_away(server: FaultyServer, nights: str) -> None:
    _publish(nights)
    server.quirk = unlisted("2026-11-20/results/part")
    assert _publish(nights).not_ready == 3
    server.quirk = unlisted("live/mug.png")
    assert _publish(nights).left == ()  # the bytes that stand there are the ones that were to be added
    server.quirk = lambda request, answer: None
    assert {"live/mug.png", "live/lamp.png", "live/jug.png"} <= standing(nights).keys()


def test_copies_for_undoing_stay_where_the_server_contradicts_itself(server: FaultyServer, nights: str) -> None:
    publish(stores(), f"{nights}/2026-11-19", f"{nights}/live")
    _publish(nights)
    with nothing_changes(nights, server):
        server.quirk = missing("/undo.parquet")
        with pytest.raises(StorageError, match=r"undo\.parquet is listed but cannot be had"):
            _publish(nights)


def test_a_publication_that_a_listing_loses_is_not_written_over(server: FaultyServer, nights: str) -> None:
    _publish(nights)
    open_store(nights).delete("live/jug.png")

    def quirk(request: Request, answer: Answer) -> None:
        if request.lists:
            answer.data = re.sub(rb"<CommonPrefixes>[^C]*000001-.*?</CommonPrefixes>", b"", answer.data)
            answer.data = re.sub(rb"<KeyCount>.*?</KeyCount>", b"", answer.data)

    with nothing_changes(nights, server):
        server.quirk = quirk
        with pytest.raises(StorageError, match="lacks 000001-2026-11-20, which is there"):
            _publish(nights)
