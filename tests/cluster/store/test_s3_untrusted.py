"""S3 servers are not trusted: what they leave out, say wrongly or refuse loses nothing and is no traceback."""

import contextlib
import hashlib
import random
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.s3_server import S3Server
from pressrun.cluster.store.folder_store import FolderStore
from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.s3_client import s3_client
from pressrun.cluster.store.s3_store import S3Store
from pressrun.cluster.store.store import Changed, Refusal
from pressrun.pipeline.errors import JobError, RequestError, StorageError
from tests.cluster.faulty_s3 import (
    Answer,
    FaultyServer,
    cached,
    framed,
    losing,
    numbered,
    packed,
    paged,
    refusing,
    said,
    serving,
    without,
    without_ranges,
)
from tests.opening import open_store, read_uri, stat_uri, stores, write_uri

DIGITS = b"0123456789"
DIGEST = hashlib.sha256(DIGITS).hexdigest()


@pytest.fixture(scope="module")
def shared(s3: S3Server) -> str:
    """A bucket for all tests here: each has a prefix of its own."""
    return s3.create_bucket(f"test-{uuid.uuid4().hex}")


@pytest.fixture
def s3_bucket(s3_environment: None, shared: str) -> str:
    return shared


@pytest.fixture
def server(s3: S3Server, s3_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    with serving(s3.endpoint) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        yield server
    s3_client.cache_clear()


@pytest.fixture
def store(server: FaultyServer, s3_bucket: str) -> S3Store:
    """A store behind the server, in which five digits stand as pictures."""
    bucket, prefix = s3_bucket.removeprefix("s3://"), f"z{uuid.uuid4().hex}/run-1"  # behind all tokens
    store = S3Store(bucket, prefix, stores(), conditional=True, patience_sec=0.5)
    for number in range(5):
        store.put(f"images/{number}", DIGITS)
    return store


NAMES = [f"images/{number}" for number in range(5)]

WHOLE = {
    "an empty token at the end": lambda at, more, _: said(more, at if more else ""),
    "a token at the end": lambda at, more, _: said(more, at),
    "no IsTruncated": lambda at, more, _: said(None, at if more else None),
    "no KeyCount for folders": lambda at, more, _: said(more, at if more else None, "<KeyCount>0</KeyCount>"),
}
CUT_OFF = {
    "no token": (lambda _, more, __: said(more), "does not say how to ask for it"),
    "an empty token": (lambda _, more, __: said(more, ""), "does not say how to ask for it"),
    "a full page and no word": (lambda _, __, ___: said(None, None, "<MaxKeys>2</MaxKeys>"), "does not say how to ask"),
    "the same page for ever": (lambda _, __, token: said(True, f"{token}0"), "the same page again and again"),
    "the same token": (lambda _, __, ___: said(True, "2"), "the same page again and again"),
    "pages that overlap": (lambda at, more, _: said(more, at - 1), "pages overlap"),
    "fewer keys than it counts": (lambda at, more, _: said(more, at, "<KeyCount>3</KeyCount>"), "counts 3 keys and"),
}


@pytest.mark.parametrize("told", WHOLE.values(), ids=WHOLE)
def test_a_listing_ends_where_the_server_says_so(store: S3Store, server: FaultyServer, told) -> None:
    server.quirk = paged(2, told)
    assert [entry.path for entry in store.list()] == NAMES
    assert sorted(store.paths("images/")) == NAMES
    assert [entry.path for entry in store.level("images")[1]] == NAMES
    assert list(store.level()[0]) == ["images"]


@pytest.mark.parametrize(("told", "why"), CUT_OFF.values(), ids=CUT_OFF)
def test_a_listing_that_is_cut_off_is_never_taken_for_whole(
    store: S3Store, server: FaultyServer, told, why: str
) -> None:
    server.quirk = paged(2, told)
    for listing in (store.list, store.paths, lambda: store.level("images")[1]):
        with pytest.raises(StorageError, match=f"The listing of {store.uri}.* is cut off: .*{why}"):
            list(listing())
    assert len(server.seen) < 30


def test_pages_without_keys_are_gone_over(store: S3Store, server: FaultyServer) -> None:
    def quirk(request, answer) -> None:
        token = request.query.get("continuation-token", "")
        if request.lists and len(token) < 3:
            answer.data = b"<ListBucketResult>%s</ListBucketResult>" % said(True, f"{token}e").encode()

    server.quirk = quirk
    assert sorted(store.paths()) == NAMES


def test_keys_that_were_not_asked_for_are_never_taken_for_ours(store: S3Store, server: FaultyServer) -> None:
    def quirk(request, answer) -> None:
        if request.lists:
            answer.data = answer.data.replace(b"run-1%2Fimages", b"run-2%2Fimages").replace(b"run-1/im", b"run-2/im")

    server.quirk = quirk
    with pytest.raises(StorageError, match="names keys that were not asked for"):
        list(store.list())


@pytest.mark.parametrize(
    ("page", "sentence"),
    [(b"<html><body>Log in</body></html>", "no S3 server"), (b"<ListBucketResult><Cont", "overloaded or broken")],
)
def test_what_is_no_listing_is_no_empty_one(store: S3Store, server: FaultyServer, page: bytes, sentence: str) -> None:
    def quirk(request, answer) -> None:
        answer.data = page if request.lists else answer.data

    server.quirk = quirk
    with pytest.raises(StorageError, match=sentence):
        list(store.list())


@pytest.mark.parametrize("size", ["big", "691.0", "-5", "1_0", "", "0x10", "9" * 30, "1 0"])
def test_a_size_that_is_none_is_told(store: S3Store, server: FaultyServer, size: str) -> None:
    server.quirk = numbered(size)
    before = len(server.seen)
    with pytest.raises(StorageError, match=f"Cannot list {store.uri}: {server.url} .*cannot be: Size is “{size[:40]}”"):
        list(store.list())
    assert len(server.seen) == before + 1, "asking again is of no use"


@pytest.mark.parametrize("when", ["yesterday", "", "691.0", "-5", "1e400", "nan", "99999-01-01T00:00:00Z"])
def test_a_time_that_is_none_is_now(store: S3Store, server: FaultyServer, when: str) -> None:
    def quirk(request, answer) -> None:
        if request.lists:
            told = f"<LastModified>{when}</LastModified>".encode()
            answer.data = re.sub(rb"<LastModified>.*?</LastModified>", told, answer.data)

    server.quirk = quirk
    assert all(datetime.now(UTC) - entry.modified < timedelta(minutes=1) for entry in store.list())


def test_an_object_without_a_key_is_told(store: S3Store, server: FaultyServer) -> None:
    def quirk(request, answer) -> None:
        if request.lists:
            answer.data = re.sub(rb"<Key>.*?</Key>", b"", answer.data, count=1)

    server.quirk = quirk
    with pytest.raises(StorageError, match=f"Cannot list {store.uri}: {server.url} gives an answer that makes no"):
        list(store.list())


def test_a_length_among_the_headers_that_is_none_is_told(store: S3Store, server: FaultyServer) -> None:
    def quirk(request, answer) -> None:
        answer.headers["content-length"] = "many"

    server.quirk = quirk
    with pytest.raises(StorageError, match="ContentLength is “many”, which is no number"):
        store.head("images/0")


@pytest.mark.parametrize("seed", range(15))
def test_no_listing_ends_in_anything_but_a_sentence(store: S3Store, server: FaultyServer, seed: int) -> None:
    """Pieces of a page are changed for others, doubled and left out."""
    chance, store._patience_sec = random.Random(seed), 0.0
    pieces = [b"<Size>", b"</Size>", b"10", b"-1", b"\xff", b"<Contents>", b"</Contents>", b"true", b"&#0;", b""]

    def quirk(request, answer) -> None:
        if request.lists:
            for _ in range(chance.randint(1, 4)):
                tokens = re.split(rb"(<[^>]*>)", answer.data)
                tokens[chance.randrange(len(tokens))] = chance.choice([*pieces, chance.choice(tokens)])
                answer.data = b"".join(tokens)

    server.quirk = quirk
    for listing in (store.list, store.paths, lambda: store.level("images")[1]):
        with contextlib.suppress(StorageError):
            list(listing())


CHANGED = {"half": lambda data: data[: len(data) // 2], "more": lambda data: data + b"\n", "none": lambda _: b""}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_a_body_of_another_length_than_the_object_has_is_never_taken_for_it(
    store: S3Store, server: FaultyServer, change
) -> None:
    server.quirk = cached(change)
    told = f"sends {len(change(DIGITS))} bytes of an object that has 10"
    sentence = f"Cannot read {store.uri}/images/0: {server.url} {told}"
    with pytest.raises(StorageError, match=sentence):
        store.get("images/0")


def test_a_part_that_was_cut_is_never_taken_for_it(store: S3Store, server: FaultyServer) -> None:
    def quirk(request, answer) -> None:
        if answer.status == 206:
            answer.data = answer.data[:4]
            answer.headers["content-range"] = "bytes 2-5/10"

    server.quirk = quirk
    with pytest.raises(StorageError, match="the answer is another part than was asked for"):
        store.get_range("images/0", 2, 6)
    assert store.get_range("images/0", 2, 4) == b"2345"


def test_a_whole_object_in_place_of_a_part_is_compared_as_well(store: S3Store, server: FaultyServer) -> None:
    def quirk(request, answer) -> None:
        without_ranges(request, answer)
        if request.method == "GET" and not request.lists:
            answer.data = answer.data[:4]

    server.quirk = quirk
    with pytest.raises(StorageError, match="sends 4 bytes of an object that has 10"):
        store.get_range("images/0", 2, 6)


def test_a_body_that_was_cut_once_is_asked_for_again(store: S3Store, server: FaultyServer) -> None:
    cut = [cached(lambda data: data[:5])]

    def quirk(request, answer):
        return cut.pop()(request, answer) if cut and request.method == "GET" else None

    server.quirk = quirk
    assert store.get("images/0") == DIGITS


def test_a_server_that_says_nothing_of_single_objects_is_read_all_the_same(
    store: S3Store, server: FaultyServer
) -> None:
    def quirk(request, answer):
        answer.headers["etag"] = '"of its own kind"'
        return Answer(405, {}, b"") if request.method == "HEAD" else None

    server.quirk = quirk
    assert store.get("images/0") == DIGITS


def test_the_lengths_of_objects_that_differ_are_not_compared(store: S3Store, server: FaultyServer) -> None:
    def quirk(request, answer) -> None:  # as somebody writes it just then
        answer.headers["etag"] = f'"{len(server.seen)}"'
        answer.headers["content-length"] = "3" if request.method == "HEAD" else str(len(answer.data))

    server.quirk = quirk
    assert store.get("images/0") == DIGITS


def test_a_place_that_keeps_nothing_is_refused_before_it_is_used(store: S3Store, server: FaultyServer) -> None:
    server.instead = losing()
    with pytest.raises(JobError, match=f"{store.uri} says that it has written .probe/.* and does not have it"):
        store.prepare()


def test_a_place_that_shows_what_was_written_a_little_later_is_used(store: S3Store, server: FaultyServer) -> None:
    late = ["the first"]

    def quirk(request, answer):
        if request.method == "GET" and "/.probe/" in request.path and late:
            late.pop()
            return refusing(404, "NoSuchKey")(request, answer)
        return None

    server.quirk = quirk
    store.prepare()
    assert store.conditional and not late


def test_a_place_where_nothing_may_be_removed_is_refused_before_anything_is_put(
    store: S3Store, server: FaultyServer
) -> None:
    def instead(request) -> Answer | None:
        return refusing(403, "AccessDenied", "", "", "DELETE")(request, Answer(204, {}, b""))

    server.instead = instead
    before = len(server.seen)
    with pytest.raises(JobError, match=r"Cannot delete .*: access is denied: .* to list, read, write and delete"):
        store.prepare()
    assert "PUT" not in {request.method for request in server.seen[before:]}


@pytest.mark.parametrize("status", [302, 405, 418, 503])
def test_a_status_without_a_code_is_said_once(store: S3Store, server: FaultyServer, status: int) -> None:
    server.quirk = lambda request, answer: Answer(status, {}, b"")
    with pytest.raises(StorageError, match=rf"[ (]{status}[;)]"):
        store.head("images/0")


def test_a_key_with_a_control_character_is_listed(store: S3Store, server: FaultyServer) -> None:
    def quirk(request, answer) -> None:  # as S3 encodes it, being asked to
        answer.data = answer.data.replace(b"images%2F1", b"images%2F%01").replace(b"images/1<", b"images/%01<")

    server.quirk = quirk
    assert "images/\x01" in set(store.paths())


@pytest.mark.parametrize("how", ["chunks", "connection"])
def test_objects_without_a_length_are_read_whole(store: S3Store, server: FaultyServer, how: str) -> None:
    server.quirk = framed(how)
    assert store.get("images/0") == DIGITS
    assert store.get_range("images/0", 2, 3) == b"234"
    entry = store.head("images/0")
    assert entry is not None and (entry.size, entry.etag) == (10, next(iter(store.list())).etag)
    assert read_uri(f"{store.uri}/images/0") == DIGITS


def test_an_object_that_ends_with_the_connection_is_checked(store: S3Store, server: FaultyServer) -> None:
    def quirk(request, answer) -> None:
        framed("connection")(request, answer)
        if request.method == "GET":
            answer.data = answer.data[:5]

    server.quirk = quirk
    with pytest.raises(StorageError, match="does not say where it ends"):
        store.get("images/0")


def test_what_was_packed_on_the_way_is_not_taken_for_the_bytes(store: S3Store, server: FaultyServer) -> None:
    etag = next(iter(store.list())).etag
    server.quirk = packed
    assert store.get("images/0") == DIGITS
    assert store.get_range("images/0", 2, 3) == b"234"
    entry = store.head("images/0")
    assert entry is not None and (entry.size, entry.etag) == (10, etag)


def test_an_object_that_is_stored_packed_has_the_bytes_that_are_stored(s3: S3Server, store: S3Store) -> None:
    bucket, _, prefix = store.uri.removeprefix("s3://").partition("/")
    s3.client.put_object(Bucket=bucket, Key=f"{prefix}/x.gz", Body=b"\x1f\x8b packed", ContentEncoding="gzip")
    assert store.get("x.gz") == b"\x1f\x8b packed"
    assert store.head("x.gz").size == 9


def test_a_server_that_does_not_know_ranges_gives_the_part_all_the_same(store: S3Store, server: FaultyServer) -> None:
    server.quirk = without_ranges
    assert store.get_range("images/0", 2, 3) == b"234"


def test_without_time_stamps_an_object_is_as_of_now(store: S3Store, server: FaultyServer) -> None:
    server.quirk = without("Last-Modified", "LastModified")
    for entry in (store.head("images/0"), next(iter(store.list()))):
        assert datetime.now(UTC) - entry.modified < timedelta(minutes=1)


@pytest.mark.parametrize("fields", [("ETag",), ("ETag", "Size", "Last-Modified", "LastModified", "Content-Length")])
def test_without_etags_the_bytes_say_what_changed(store: S3Store, server: FaultyServer, fields, tmp_path: Path) -> None:
    server.quirk = without(*fields[:4])
    entry = store.head("images/0")
    assert entry is not None and [(one.size, one.etag) for one in store.list()] == [(10, entry.etag)] * 5
    folder = FolderStore(tmp_path, Stores())
    folder.put("a", b"new")
    with pytest.raises(Changed):
        store.copy(folder, "a", "images/0", standing="another")
    now = store.copy(folder, "a", "images/0", standing=entry.etag)
    assert store.get("images/0") == b"new" and now == store.head("images/0").etag != entry.etag
    assert store.copy(store, "images/1", "copy", of=entry.etag, content=(10, DIGEST)) == entry.etag
    with pytest.raises(Changed):
        store.delete("images/0", entry.etag)
    assert store.delete("images/0", now) and store.head("images/0") is None


def test_an_etag_that_only_a_listing_lacks_is_asked_for(store: S3Store, server: FaultyServer) -> None:
    etag = store.head("images/0").etag
    server.quirk = lambda request, answer: without("ETag")(request, answer) if request.lists else None
    assert {entry.etag for entry in store.list()} == {entry.etag for entry in store.level("images")[1]} == {etag}


def test_a_weak_etag_is_the_servers_own(store: S3Store, server: FaultyServer) -> None:
    etag = next(iter(store.list())).etag

    def quirk(request, answer) -> None:
        if "etag" in answer.headers:
            answer.headers["etag"] = "W/" + answer.headers["etag"]

    server.quirk = quirk
    assert store.head("images/0").etag == etag
    assert store.delete("images/0", etag)


def test_every_write_has_the_checksum_that_object_lock_demands(store: S3Store, server: FaultyServer) -> None:
    demand = refusing(400, "InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object")

    def quirk(request, answer):
        return demand(request, answer) if request.method == "PUT" and "content-md5" not in request.headers else None

    server.quirk = quirk
    store.prepare()
    assert store.create("a", b"a") and store.get("a") == b"a"
    store.put_chunks("b", iter([b"b"]))
    store.put_chunks("c", iter([bytes(9 << 20)] * 2))
    assert (store.get("b"), store.head("c").size) == (b"b", 18 << 20)


REFUSED = {
    "oss": ((403, "SecondLevelDomainForbidden"), "list", "no path-style addresses: set AWS_S3_ADDRESSING_STYLE=virt"),
    "cos": ((403, "PathStyleDomainForbidden"), "read", "no path-style addresses: set AWS_S3_ADDRESSING_STYLE=virtual"),
    "checksum": ((400, "InvalidRequest", "x-amz-checksum-crc32 is required"), "write", r"\(Object Lock, or a policy\)"),
    "hold": ((403, "AccessDenied", "object protected by object lock"), "delete", "protected by Object Lock"),
    "worm": ((400, "InvalidRequest", "Object is WORM protected"), "write", "protected by Object Lock"),
    "immutable": ((409, "FileImmutable"), "delete", "protected by Object Lock"),
    "key": ((403, "AccessDenied", "not authorized to perform: kms:Decrypt on resource"), "read", r"key \(SSE-KMS\)"),
    "kms": ((400, "KMS.DisabledException"), "write", r"encryption key \(SSE-KMS\)"),
    "sse-c": (
        (400, "InvalidRequest", "The object was stored using a form of Server Side Encryption."),
        "read",
        "SSE-C",
    ),
    "payer": ((403, "AccessDenied", "Bucket is requester pays"), "list", "set AWS_REQUEST_PAYER=requester"),
    "archived": ((403, "InvalidObjectState"), "read", "it is archived: restore it"),
    "region": ((301, "PermanentRedirect", "", "<Endpoint>x</Endpoint>"), "read", "in another region: check AWS_REGION"),
    "signed": (
        (400, "AuthorizationHeaderMalformed", "", "<Region>eu-north-1</Region>"),
        "list",
        "the bucket is in another region: set AWS_REGION=eu-north-1",
    ),
    "a key that is called so": (
        (403, "AccessDenied", "no s3:PutObject on b/kms/retention"),
        "write",
        "access is denied",
    ),
}


@pytest.mark.parametrize(("refusal", "verb", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_named_for_what_it_is(
    store: S3Store, server: FaultyServer, refusal: tuple, verb: str, sentence: str
) -> None:
    server.quirk = refusing(*refusal)
    before = len(server.seen)
    asking = {
        "read": lambda: store.head("images/0"),
        "write": lambda: store.put("images/0", b"1"),
        "delete": lambda: store.delete("images/0"),
        "list": lambda: list(store.list()),
    }
    with pytest.raises(StorageError, match=f"Cannot {verb} {store.uri}.*: .*{sentence}"):
        asking[verb]()
    assert len(server.seen) - before < 8


def test_a_bucket_in_another_region_is_followed_there(store: S3Store, server: FaultyServer) -> None:
    malformed = refusing(400, "AuthorizationHeaderMalformed", "", "<Region>eu-north-1</Region>", "GET")

    def quirk(request, answer):
        return malformed(request, answer) if "/us-east-1/s3/" in request.headers["authorization"] else None

    server.quirk = quirk
    assert store.get("images/0") == DIGITS


def test_whoever_asks_pays_where_that_is_said(
    store: S3Store, server: FaultyServer, s3_bucket: str, monkeypatch
) -> None:
    monkeypatch.setenv("AWS_REQUEST_PAYER", "requester")
    paying = open_store(store.uri)
    assert paying.get("images/0") == DIGITS and len(list(paying.list())) == 5
    assert all(one.headers["x-amz-request-payer"] == "requester" for one in server.seen[-2:])


@pytest.mark.parametrize(
    ("style", "configured", "endpoint", "address"),
    [
        ("", "", "https://s3.example.com", "https://s3.example.com/shop/a"),
        ("virtual", "", "https://s3.example.com", "https://shop.s3.example.com/a"),
        ("auto", "", "https://s3.example.com", "https://s3.example.com/shop/a"),
        ("", "virtual", "https://s3.example.com", "https://shop.s3.example.com/a"),
        ("path", "virtual", "https://s3.example.com", "https://s3.example.com/shop/a"),
        ("virtual", "", "http://127.0.0.1:9", "http://127.0.0.1:9/shop/a"),
    ],
)
def test_the_style_of_addresses_can_be_chosen(
    s3_bucket: str, tmp_path: Path, monkeypatch, style: str, configured: str, endpoint: str, address: str
) -> None:
    (tmp_path / "config").write_text(f"[default]\ns3 =\n  addressing_style = {configured}\n" if configured else "")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    monkeypatch.setenv("AWS_S3_ADDRESSING_STYLE", style)
    client = S3Store("shop", "", stores())._client
    assert client.generate_presigned_url("get_object", {"Bucket": "shop", "Key": "a"}).partition("?")[0] == address


def test_another_style_is_refused(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_S3_ADDRESSING_STYLE", "vhost")
    with pytest.raises(JobError, match="AWS_S3_ADDRESSING_STYLE is 'vhost'; set it to path, virtual or auto"):
        open_store("s3://shop/run-1")


def test_a_key_with_an_empty_part_is_that_very_key(server: FaultyServer, s3_bucket: str) -> None:
    objects = {"/photos//mug.png": b"very", "/photos/mug.png": b"other", "//mug.png": b"first"}
    bucket = s3_bucket.removeprefix("s3://")

    def quirk(request, answer) -> None:  # SeaweedFS takes both for one key
        data = objects.get(request.path.removeprefix(f"/{bucket}"))
        if data is not None:
            answer.status, answer.data, answer.headers["content-length"] = 200, data, str(len(data))
            answer.headers |= {"etag": f'"{hashlib.md5(data).hexdigest()}"'}

    server.quirk = quirk
    assert read_uri(f"{s3_bucket}/photos//mug.png") == b"very"
    assert read_uri("mug.png", f"{s3_bucket}/photos/") == b"very"
    assert read_uri("photos/mug.png", s3_bucket) == b"other"
    assert read_uri(f"{s3_bucket}//mug.png") == b"first"
    assert stat_uri(f"{s3_bucket}//mug.png").size == 5


def test_our_own_paths_have_no_empty_parts(s3_bucket: str) -> None:
    with pytest.raises(JobError, match="leave out empty parts"):
        open_store(f"{s3_bucket}/nights//2026-11-21")
    with pytest.raises(RequestError, match="has an empty part"):
        write_uri(f"{s3_bucket}/a//b.csv", [b""])
    with pytest.raises(ValueError):
        open_store(s3_bucket).get("a//b")


def test_no_right_to_read_is_a_refusal_also_where_the_answer_has_no_body(store: S3Store, server: FaultyServer) -> None:
    server.quirk = refusing(403, "AccessDenied")
    with pytest.raises(Refusal, match="access is denied"):
        store.head("images/0")
