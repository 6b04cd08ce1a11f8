"""Publishing into buckets of servers that are not as S3 should be: found out before anything is put."""

from collections.abc import Iterator

import pytest

from infra.s3_server import S3Server
from pressrun.cluster.store.lease import Lease
from pressrun.cluster.store.s3_client import s3_client
from pressrun.cluster.store.s3_store import S3Store
from pressrun.jobs.delivery.publishing import publish
from pressrun.pipeline.errors import JobError, StorageError
from tests.cluster.faulty_s3 import Answer, FaultyServer, Quirk, Request, cached, losing, refusing, serving
from tests.jobs.night_jobs import make_night
from tests.opening import open_store, stores


@pytest.fixture
def server(s3: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """A server in front of the one where the bucket is, which the environment leads to."""
    monkeypatch.setitem(S3Store.__init__.__kwdefaults__, "patience_sec", 0.5)
    monkeypatch.setitem(Lease.__init__.__kwdefaults__, "ttl_sec", 1.5)
    with serving(s3.endpoint) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        yield server
    s3_client.cache_clear()


@pytest.fixture
def job(server: FaultyServer, s3_bucket: str) -> Iterator[str]:
    """A night in the bucket, which is empty again afterwards."""
    yield make_night(f"{s3_bucket}/nights/2026-11-21", {"mug": b"mug 1"}).uri
    server.instead, server.quirk = lambda _: None, lambda _, __: None
    bucket = open_store(s3_bucket)
    for path in [*bucket.paths(), *(f".probe/{path}" for path in open_store(f"{s3_bucket}/.probe").paths())]:
        bucket.delete(path)


@pytest.mark.parametrize("where", ["/shop/", "/.published/", "/"], ids=["place", "records", "all"])
def test_where_nothing_may_be_removed_nothing_is_put_into_the_served_place(
    server: FaultyServer, s3_bucket: str, job: str, where: str
) -> None:
    denied = refusing(403, "AccessDenied", "", "", "DELETE")

    def instead(request: Request) -> Answer | None:
        return denied(request, Answer(204, {}, b"")) if where in request.path else None

    server.instead = instead
    with pytest.raises(JobError, match=r"Cannot delete .*: access is denied: .* to list, read, write and delete"):
        publish(stores(), job, f"{s3_bucket}/shop/images")
    put = {request.path for request in server.seen if request.method == "PUT" and "/nights/2026" not in request.path}
    removed = {request.path for request in server.seen if request.method == "DELETE"}
    assert put <= removed, "nothing is left"
    assert put if where == "/.published/" else not put


def test_a_server_that_loses_whatever_it_is_given_is_told_in_a_sentence(
    server: FaultyServer, s3_bucket: str, job: str
) -> None:
    server.instead = losing()
    with pytest.raises(JobError, match=r"shop/images says that it has written .probe/\w+ and does not have it"):
        publish(stores(), job, f"{s3_bucket}/shop/images")


def test_a_server_that_begins_to_lose_what_it_is_given_is_told_in_a_sentence(
    server: FaultyServer, s3_bucket: str, job: str
) -> None:
    server.instead = losing(but="/.probe/")
    with pytest.raises(StorageError, match=r"says that it has written lock/00000001.json and does not have it"):
        publish(stores(), job, f"{s3_bucket}/shop/images")


@pytest.mark.parametrize("change", [lambda data: data[: len(data) // 2], lambda data: data + b"\n"])
@pytest.mark.parametrize("what", ["job.json", "part-", "mug.png"])
def test_what_a_cache_has_cut_off_is_neither_damaged_nor_published(
    server: FaultyServer, s3_bucket: str, job: str, what: str, change, tmp_path
) -> None:
    cut: Quirk = cached(change)
    server.quirk = lambda request, answer: cut(request, answer) if what in request.path else None
    with pytest.raises(StorageError, match=rf"Cannot read .*{what}.*: .* bytes of an object that has"):
        publish(stores(), job, f"{tmp_path}/shop")
    assert not list(tmp_path.glob("shop/*"))
