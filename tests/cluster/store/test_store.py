"""What every store promises, shown on a folder and on a real S3 server; then URIs, places and references."""

import errno
import hashlib
import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from urllib.request import urlopen

import numpy as np
import pytest

from pressrun.cluster.store import opening
from pressrun.cluster.store.opening import Place, Stores, stored_record
from pressrun.cluster.store.store import Changed, Damaged, Store
from pressrun.cluster.store.uri import resolve_uri
from pressrun.pipeline.errors import JobError, RequestError, StorageError
from pressrun.pipeline.finishing.codec import encode_picture
from pressrun.pipeline.finishing.metadata import Record, write_xmp
from tests.opening import open_store, read_uri, stat_uri, stores


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    place = str(tmp_path / "out") if request.param == "folder" else request.getfixturevalue("s3_bucket") + "/run-1"
    store = open_store(place + "/")
    assert store.uri == place
    if request.param == "folder":
        store.prepare()  # in S3 the probe takes a second, and the bucket was made for us
    return store


def test_what_was_put_is_there(store: Store) -> None:
    store.put("images/summer ü/a%2Fb+c.png", b"old", "image/png")
    store.put("images/summer ü/a%2Fb+c.png", b"new!", "image/png")
    assert store.get("images/summer ü/a%2Fb+c.png") == b"new!"
    entry = store.head("images/summer ü/a%2Fb+c.png")
    assert entry is not None
    assert (entry.path, entry.size) == ("images/summer ü/a%2Fb+c.png", 4)
    assert entry.modified.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - entry.modified) < timedelta(minutes=1)


def test_etag_changes_with_the_bytes(store: Store) -> None:
    store.put("a", b"one")
    first = store.head("a")
    store.put("a", b"two")
    second = store.head("a")
    assert first and second and first.etag != second.etag


def test_a_range_ends_where_the_object_ends(store: Store) -> None:
    store.put("a", b"0123456789")
    assert store.get_range("a", 2, 3) == b"234"
    assert store.get_range("a", 8, 100) == b"89"
    assert store.get_range("a", 10, 5) == b""


def test_absent_objects(store: Store) -> None:
    assert store.head("images/none.png") is None
    store.delete("images/none.png")
    with pytest.raises(FileNotFoundError, match=r"There is no .*none\.png"):
        store.get("images/none.png")
    with pytest.raises(FileNotFoundError):
        store.get_range("images/none.png", 0, 10)
    store.put("images/none.png", b"")
    store.delete("images/none.png")
    assert store.head("images/none.png") is None


def test_create_never_replaces(store: Store) -> None:
    assert store.conditional
    assert store.create("images/a.png", b"first", "image/png")
    assert not store.create("images/a.png", b"second", "image/png")
    assert store.get("images/a.png") == b"first"


def test_exactly_one_of_eight_creators_wins(store: Store) -> None:
    start = Barrier(8)

    def create(number: int) -> bool:
        start.wait()
        return store.create("images/contested.png", b"%d" % number * 10_000)

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(create, range(8)))
    assert won.count(True) == 1
    assert store.get("images/contested.png") == b"%d" % won.index(True) * 10_000


def test_listing_is_recursive_sorted_and_without_temporaries(store: Store) -> None:
    paths = ["Z", "a-b", "a.b", "a/b", "a/b-c", "a/c/d", "a0", "results/part-1", "results/part-10", "results/x", "ä"]
    for path in reversed(paths):
        store.put(path, path.encode())
    assert [entry.path for entry in store.list()] == paths
    assert [entry.path for entry in store.list("a/")] == ["a/b", "a/b-c", "a/c/d"]
    assert [entry.path for entry in store.list("results/part-")] == ["results/part-1", "results/part-10"]
    assert list(store.list("nothing/")) == []
    assert {entry.path: entry.size for entry in store.list("ä")} == {"ä": 2}


@pytest.mark.parametrize("prefix", ["", "a/", "results/part-", "nothing/"])
def test_paths_are_those_of_the_listing(store: Store, prefix: str) -> None:
    for path in ("a-b", "a/b", "a/c/d", "results/part-1", "results/x", "ä"):
        store.put(path, b"1")
    assert sorted(store.paths(prefix)) == sorted(entry.path for entry in store.list(prefix))


def test_a_level_is_what_stands_directly_in_a_folder(store: Store) -> None:
    for path in ("top", "nights/2026-11-20/job.json", "nights/2026-11-21/job.json", "nights/note", "nights-old/x"):
        store.put(path, b"1")
    assert [
        (names, [entry.path for entry in entries]) for names, entries in (store.level(), store.level("nights"))
    ] == [
        (["nights", "nights-old"], ["top"]),
        (["2026-11-20", "2026-11-21"], ["nights/note"]),
    ]
    assert store.level("nothing") == ([], [])


@pytest.fixture(params=["folder", "s3"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A second place, of either kind."""
    if request.param == "s3":
        return open_store(request.getfixturevalue("s3_bucket") + "/earlier")
    return open_store(str(tmp_path / "earlier"))


def test_a_copy_replaces_what_stood_there_and_tells_its_etag(store: Store, other: Store) -> None:
    other.put("images/ü %2F+.png", b"new bytes", "image/png")
    store.put("shop/a.png", b"old")
    etag = store.copy(other, "images/ü %2F+.png", "shop/a.png", "image/png")
    entry = store.head("shop/a.png")
    assert entry is not None and entry.etag == etag
    assert store.get("shop/a.png") == other.get("images/ü %2F+.png") == b"new bytes"
    with pytest.raises(FileNotFoundError, match=r"There is no .*earlier/images/none\.png"):
        store.copy(other, "images/none.png", "shop/a.png")
    assert store.get("shop/a.png") == b"new bytes"


def test_adopted_objects_have_the_bytes_of_the_other_place_and_nothing_is_replaced(store: Store, other: Store) -> None:
    for name in ("a", "b", "c"):
        other.put(f"images/{name}", name.encode())
    store.put("images/b", b"somebody else's")
    store.put("images/c", b"c")
    pairs = [(f"images/{name}", f"images/{name}") for name in ("a", "b", "c", "none")]
    assert store.adopt(other, pairs) == [True, False, True, False]
    assert [store.get(f"images/{name}") for name in ("a", "b", "c")] == [b"a", b"somebody else's", b"c"]
    assert store.head("images/none") is None


def test_between_folders_an_adopted_picture_is_a_hard_link_or_where_that_fails_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier, tonight = (open_store(str(tmp_path / name)) for name in ("earlier", "tonight"))
    earlier.put("images/a", b"a")
    assert tonight.adopt(earlier, [("images/a", "images/x/a")]) == [True]
    assert (tmp_path / "tonight/images/x/a").samefile(tmp_path / "earlier/images/a")

    def across(*_: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(Path, "hardlink_to", across)
    assert tonight.adopt(earlier, [("images/a", "images/b")] * 2) == [True, True]
    assert tonight.get("images/b") == b"a"
    assert not (tmp_path / "tonight/images/b").samefile(tmp_path / "earlier/images/a")


def test_within_s3_a_copy_is_made_by_the_server(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = open_store(f"{s3_bucket}/one"), open_store(f"{s3_bucket}/two")
    one.put("a.webp", b"bytes", "image/webp")
    with monkeypatch.context() as patch:
        patch.setattr(type(one), "get", None)
        patch.setattr(type(one), "put", None)
        two.copy(one, "a.webp", "b.webp")
    assert two.get("b.webp") == b"bytes"
    with urlopen(two._client.generate_presigned_url("get_object", {"Bucket": two._bucket, "Key": "two/b.webp"})) as got:
        assert got.headers["Content-Type"] == "image/webp"


def test_no_path_leads_out_of_the_store(store: Store) -> None:
    acts = (store.get, store.head, store.delete, lambda path: store.put(path, b""), lambda p: store.create(p, b""))
    for path in ("../x", "/etc/x", "a//b", "a/../../x", "", ".", "a/", "a\0b"):
        for act in acts:
            with pytest.raises(ValueError, match="no path inside a store"):
                act(path)


@pytest.mark.parametrize("name", [pytest.param("n" * 300, id="too-long"), pytest.param("\ud800", id="no-unicode")])
def test_a_name_that_the_place_cannot_hold_is_the_rows_fault(store: Store, name: str) -> None:
    with pytest.raises(RequestError) as failure:
        store.create(name, b"")
    assert failure.value.code == "bad_name"


def test_a_place_opens_the_same_store_in_another_process(store: Store) -> None:
    store.put("a", b"here")
    place = pickle.loads(pickle.dumps(Place(store.uri, conditional=False, stores=stores())))
    opened = place.open()
    assert opened.uri == store.uri
    assert opened.get("a") == b"here"


def test_the_record_of_a_stored_picture(store: Store) -> None:
    record = Record("mug-1", 7, "k" * 64, "mini", "d" * 64, "cpu", "fp32")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    for format in ("png", "webp"):
        store.put(f"images/a.{format}", encode_picture(pixels, format, write_xmp(record)))
        assert stored_record(store, f"images/a.{format}", format) == record
    store.put("images/foreign.png", b"no picture")
    assert stored_record(store, "images/foreign.png", "png") is None


def test_a_record_longer_than_the_head_is_read_too(store: Store) -> None:
    record = Record("x" * 40_000, 7, "k" * 64, "mini", "d" * 64, "cpu", "fp32")
    store.put("a.png", encode_picture(np.zeros((8, 8, 3), np.uint8), "png", write_xmp(record)))
    assert stored_record(store, "a.png", "png") == record


def test_a_place_brings_its_keys_and_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-the-node")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-node")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-the-node")
    ours = {"AWS_ACCESS_KEY_ID": "our-key", "AWS_SECRET_ACCESS_KEY": "our-secret"}
    place = Place("s3://bucket", stores=Stores(ours).portable())
    assert "our-secret" not in repr(place) and "our-key" not in repr(place)
    keys = place.open()._client._request_signer._credentials  # type: ignore[attr-defined]
    assert (keys.access_key, keys.secret_key, keys.token) == ("our-key", "our-secret", None)


def test_variables_that_name_this_machines_files_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/somewhere")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    shared = stores().portable().given
    assert shared["AWS_REGION"] == "eu-central-1"
    assert not {"AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"} & shared.keys()


@pytest.mark.parametrize(
    "uri",
    ["gs://bucket/x", "https://host/x", "s3://", "s3://b", "s3://bu cket/x", "s3://bucket/a/../b", "file://host/x"],
)
def test_what_cannot_be_a_store_is_refused_with_a_sentence(uri: str) -> None:
    with pytest.raises(JobError, match=r"\.$"):
        open_store(uri)


def test_folders_are_absolute_whatever_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_store("out/").uri == open_store(f"file://{tmp_path}/x/../out").uri == str(tmp_path / "out")


@pytest.mark.parametrize(
    ("reference", "base", "meaning"),
    [
        ("mug.png", "/data", "/data/mug.png"),
        ("../shared/mug.png", "/data/spring", "/data/shared/mug.png"),
        ("/photos/mug.png", "/data", "/photos/mug.png"),
        ("mug.png", "s3://bucket/spring", "s3://bucket/spring/mug.png"),
        ("../shared/mug.png", "s3://bucket/spring", "s3://bucket/shared/mug.png"),
        ("mug.png", "s3://bucket", "s3://bucket/mug.png"),
        ("s3://other/mug.png", "/data", "s3://other/mug.png"),
        ("s3://other//photos//mug.png", "/data", "s3://other//photos//mug.png"),
        ("mug.png", "s3://bucket/in/", "s3://bucket/in//mug.png"),  # beside s3://bucket/in//m.parquet
        ("../mug.png", "s3://bucket/in/", "s3://bucket/in/mug.png"),
        ("mug.png", "s3://bucket/", "s3://bucket//mug.png"),
        ("https://host/mug.png", "s3://bucket", "https://host/mug.png"),
        ("file:///data/x.parquet", None, "/data/x.parquet"),
    ],
)
def test_references_resolve_against_the_manifests_place(reference: str, base: str | None, meaning: str) -> None:
    assert resolve_uri(reference, base) == meaning


@pytest.mark.parametrize(
    ("reference", "base"),
    [
        ("../../mug.png", "s3://bucket/spring"),
        ("/etc/passwd", "s3://bucket/spring"),
        ("file:///etc/passwd", "/data"),
        ("ftp://host/x", "/data"),
        ("s3://bucket", "/data"),
        ("s3://bucket/spring/", "/data"),
        ("s3://bucket/spring/../../x", "/data"),
        ("", "/data"),
        ("a\0b", "/data"),
    ],
)
def test_references_that_lead_astray_are_refused(reference: str, base: str) -> None:
    with pytest.raises(RequestError) as failure:
        resolve_uri(reference, base)
    assert failure.value.code == "bad_reference"


def test_one_object_is_read_by_its_uri(store: Store) -> None:
    store.put("refs/mug.png", b"mug")
    assert read_uri(f"{store.uri}/refs/mug.png") == read_uri("../refs/mug.png", f"{store.uri}/manifests") == b"mug"
    entry = stat_uri("refs/mug.png", store.uri)
    assert entry is not None and entry.size == 3
    assert stat_uri("refs/cup.png", store.uri) is None
    with pytest.raises(FileNotFoundError, match="There is no"):
        read_uri("refs/cup.png", store.uri)


def test_a_missing_bucket_is_the_references_fault_not_the_stores(s3_bucket: str) -> None:
    with pytest.raises(PermissionError, match="the bucket does not exist"):
        read_uri("s3://no-such-bucket/mug.png")
    with pytest.raises(RequestError):
        read_uri("s3://bucket-alone")


def test_opening_a_folder_does_not_import_boto3(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys; from pressrun.cluster.store.opening import Stores; Stores().open('.'); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert opening.__name__ in modules
    assert not {"boto3", "botocore", "torch", "ray", "pyarrow"} & set(modules)


WRONG = "0123456789abcdef0123456789abcdef"


def test_an_object_is_removed_only_while_it_is_the_one_that_was_seen(store: Store) -> None:
    store.put("a.png", b"1")
    seen = store.head("a.png")
    assert seen is not None
    with pytest.raises(Changed):
        store.delete("a.png", standing=WRONG)
    store.put("a.png", b"22")
    with pytest.raises(Changed):
        store.delete("a.png", standing=seen.etag)
    assert store.get("a.png") == b"22"
    now = store.head("a.png")
    assert now is not None and store.delete("a.png", standing=now.etag) and store.head("a.png") is None


def test_a_copy_is_made_only_where_what_was_seen_still_stands(store: Store) -> None:
    store.put("new.png", b"new")
    store.put("a.png", b"old")
    seen = store.head("a.png")
    assert seen is not None
    for standing in (None, WRONG):
        with pytest.raises(Changed):
            store.copy(store, "new.png", "a.png", standing=standing)
    with pytest.raises(Changed):
        store.copy(store, "new.png", "b.png", standing=seen.etag)
    with pytest.raises(Changed):
        store.copy(store, "new.png", "b.png", of=WRONG)
    assert (store.get("a.png"), store.head("b.png")) == (b"old", None)
    etag = store.copy(store, "new.png", "a.png", standing=seen.etag)
    now = store.head("a.png")
    assert now is not None and (now.etag, store.get("a.png")) == (etag, b"new")
    store.copy(store, "new.png", "b.png", standing=None)
    assert store.get("b.png") == b"new"


@pytest.mark.parametrize("data", [b"", b"new, cut"], ids=["nothing", "other bytes"])
def test_a_copy_of_other_bytes_than_were_promised_is_not_made(store: Store, data: bytes) -> None:
    store.put("a.png", b"old")
    store.put("new.png", data)
    with pytest.raises(Damaged):
        store.copy(store, "new.png", "a.png", content=(3, hashlib.sha256(b"new").hexdigest()))
    assert store.get("a.png") == b"old"


def test_a_fence_stops_a_change_just_before_it_is_made(store: Store) -> None:
    store.put("a.png", b"old")
    store.put("new.png", b"new")

    def fence() -> None:
        raise StorageError("Somebody else took over.")

    with pytest.raises(StorageError, match="took over"):
        store.copy(store, "new.png", "a.png", fence=fence)
    with pytest.raises(StorageError, match="took over"):
        store.delete("a.png", fence=fence)
    assert store.get("a.png") == b"old"
