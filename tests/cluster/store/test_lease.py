"""A lease: one holder at a time, whatever becomes of the one before."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import psutil
import pytest

from infra.s3_server import S3Server
from pressrun.cluster.store.lease import Lease
from pressrun.cluster.store.s3_client import s3_client
from pressrun.cluster.store.store import Store
from pressrun.pipeline.errors import JobError, StorageError
from tests.cluster.faulty_s3 import Answer, FaultyServer, Request, losing, refusing, serving
from tests.opening import open_store

QUICK = {"ttl_sec": 1.5, "beat_sec": 0.2}


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    place = str(tmp_path) if request.param == "folder" else request.getfixturevalue("s3_bucket") + "/nights"
    store = open_store(place)
    store.prepare()
    return store


def test_one_of_many_has_it_and_the_others_are_told_who(store: Store) -> None:
    start = Barrier(6)

    def want(number: int) -> object:
        lease = Lease(store, ".lock", f"Night {number} is rendered", **QUICK)
        start.wait()
        try:
            lease.acquire()
        except JobError as error:
            return str(error)
        return lease

    with ThreadPoolExecutor(6) as threads:
        got = list(threads.map(want, range(6)))
    [holder] = [one for one in got if isinstance(one, Lease)]
    assert all(f"is rendered just now, by process {os.getpid()} on" in one for one in got if isinstance(one, str))
    holder.release()
    with Lease(store, ".lock", "The next night is rendered", **QUICK):
        assert len(list(store.paths(".lock/"))) == 1, "old numbers are removed"


def test_files_that_are_no_lease_are_left_alone(store: Store) -> None:
    for name in (".DS_Store", ".nfs0000001", "notes.json"):
        store.put(f".lock/{name}", b"somebody else's")
    for _ in range(2):
        with Lease(store, ".lock", "A night is rendered", **QUICK):
            pass
    assert len(list(store.paths(".lock/"))) == 4


def test_who_waits_has_it_when_the_holder_lets_go(store: Store) -> None:
    told: list[str] = []
    first = Lease(store, ".lock", "The first night is rendered", **QUICK)
    first.acquire()
    with ThreadPoolExecutor(1) as thread:
        second = Lease(store, ".lock", "Second", wait=True, waiting=told.append, **QUICK)
        waiting = thread.submit(second.acquire)
        time.sleep(2.5)
        assert not waiting.done() and "The first night is rendered just now" in told[0]
        first.release()
        waiting.result(timeout=10)
    second.release()


def test_the_same_purpose_is_let_in_beside_its_holder_where_it_may_be_shared(store: Store) -> None:
    with Lease(store, ".lock", "Night 21", **QUICK):
        with Lease(store, ".lock", "Night 21", shared=True, **QUICK):
            pass


def test_who_was_let_in_beside_a_holder_takes_over_when_that_one_ends(store: Store) -> None:
    first = Lease(store, ".lock", "Night 21", **QUICK)
    first.acquire()
    with Lease(store, ".lock", "Night 21", shared=True, **QUICK) as second:
        first.release()
        deadline = time.monotonic() + 10
        while not second._number and time.monotonic() < deadline:
            time.sleep(0.05)
        with pytest.raises(JobError, match="Night 21 just now"):
            Lease(store, ".lock", "Nights are pruned", **QUICK).acquire()
        second.check()


def test_a_dead_holder_of_the_same_purpose_is_followed_not_joined(store: Store) -> None:
    process = holder(store)
    process.kill()
    process.communicate()
    with Lease(store, ".lock", "A night is rendered", shared=True, **QUICK) as lease:
        assert lease._number == 2


def test_who_was_let_in_beside_a_holder_notices_somebody_elses_lease(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lease(store, ".lock", "Night 21", **QUICK) as first:
        beside = Lease(store, ".lock", "Night 21", shared=True, ttl_sec=1.5, beat_sec=30.0)
        beside.acquire()
        first.release()
        with Lease(store, ".lock", "Nights are pruned", **QUICK):
            monkeypatch.setattr("pressrun.cluster.store.lease._seconds", lambda: time.monotonic() + 100_000)
            with pytest.raises(StorageError, match="another one took over"):
                beside.check()
        beside.release()


def test_a_lease_that_outlived_its_beats_is_read_again_before_a_change(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lease, "_keep", lambda self: None)  # it was stopped, and its heart with it
    stopped = Lease(store, ".lock", "The first", ttl_sec=1.0, beat_sec=0.2)
    stopped.acquire()
    stopped.check()
    with Lease(store, ".lock", "The second", ttl_sec=0.5, beat_sec=0.2):
        with pytest.raises(StorageError, match="another one took over"):
            stopped.check()
    assert stopped.lost


def test_a_lease_that_is_dissolved_leaves_nothing(store: Store) -> None:
    lease = Lease(store, ".lock", "A night is pruned", **QUICK)
    lease.acquire()
    lease.dissolve()
    assert [*store.paths(".lock/")] == []
    with Lease(store, ".lock", "Another", **QUICK):
        pass


_HOLDER = """
import sys, time
from pressrun.cluster.store.lease import Lease
from tests.opening import open_store
store = open_store(sys.argv[1])
Lease(store, ".lock", "A night is rendered", ttl_sec=1.5, beat_sec=0.2).acquire()
print("have it", flush=True)
time.sleep(60)
"""


def holder(store: Store) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", _HOLDER, store.uri], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "have it\n"
    return process


@pytest.mark.parametrize("where", ["here", "on another machine"])
def test_a_holder_that_was_killed_leaves_nothing_behind(
    where: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = holder(store)
    with pytest.raises(JobError):
        Lease(store, ".lock", "Another", **QUICK).acquire()
    process.kill()
    process.communicate()
    if where == "here":
        started = time.monotonic()
        with Lease(store, ".lock", "Another", ttl_sec=3600.0):
            assert time.monotonic() - started < 30.0
        return
    monkeypatch.setattr("pressrun.cluster.store.lease.this_host", lambda: "another machine")
    with Lease(store, ".lock", "Another", **QUICK) as lease:
        assert not lease.lost


@pytest.mark.parametrize("step", [-3600.0, -1.5, 1.0, 86400.0])
def test_a_holder_lives_though_the_machine_s_clock_is_set(
    step: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(str(tmp_path))
    store.prepare()
    process = holder(store)
    boot_time = psutil.boot_time()
    monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: boot_time + step)  # type: ignore[attr-defined]
    try:
        with pytest.raises(JobError, match="A night is rendered just now"):
            Lease(store, ".lock", "Another", **QUICK).acquire()
    finally:
        process.kill()
        process.communicate()


_WAITER = """
import sys
from pressrun.cluster.store.lease import Lease
from tests.opening import open_store
store = open_store(sys.argv[1])
tell = lambda said: print("waits", flush=True)
Lease(store, ".lock", "Another", wait=True, waiting=tell, ttl_sec=1.5, beat_sec=3.0).acquire()
print("has it", flush=True)
"""


def test_who_was_paused_together_with_the_holder_goes_on_waiting(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.prepare()
    first = holder(store)
    waiter = subprocess.Popen([sys.executable, "-c", _WAITER, store.uri], stdout=subprocess.PIPE, text=True)
    try:
        assert waiter.stdout is not None and waiter.stdout.readline() == "waits\n"
        for process in (waiter, first):
            process.send_signal(signal.SIGSTOP)
        time.sleep(2.0)
        waiter.send_signal(signal.SIGCONT)
        time.sleep(0.5)
        first.send_signal(signal.SIGCONT)
        time.sleep(4.0)
        assert "A night is rendered" in store.get(".lock/00000001.json").decode()
        assert [*store.paths(".lock/")] == [".lock/00000001.json"]
        first.kill()
        assert waiter.stdout.readline() == "has it\n"
    finally:
        for process in (waiter, first):
            process.kill()
            process.communicate()


def test_a_holder_that_was_stopped_too_long_notices_that_it_lost_it(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.prepare()
    stopped = Lease(store, ".lock", "The first", **QUICK)
    stopped.acquire()
    process = holder_after(store, stopped)
    try:
        deadline = time.monotonic() + 10
        while not stopped.lost and time.monotonic() < deadline:
            time.sleep(0.05)
        with pytest.raises(StorageError, match="another one took over"):
            stopped.check()
        stopped.release()
        with pytest.raises(JobError, match="A night is rendered"):
            Lease(store, ".lock", "A third", **QUICK).acquire()
    finally:
        process.kill()
        process.communicate()


def holder_after(store: Store, stopped: Lease) -> subprocess.Popen[str]:
    """Somebody else's process gets the lease while this one's heart stands still."""
    real, stopped._write = stopped._write, lambda held: None  # type: ignore[method-assign]
    keep = stopped._newest
    stopped._newest = lambda: (stopped._number, {"owner": stopped._owner})  # type: ignore[method-assign]
    process = holder(store)
    stopped._newest, stopped._write = keep, real  # type: ignore[method-assign]
    return process


def test_without_conditional_create_the_last_writer_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pressrun.cluster.store.lease._SETTLE_SEC", 0.3)
    store = open_store(str(tmp_path))
    store.prepare()

    class Unconditional:
        conditional = False

        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        def create(self, path: str, data: bytes, content_type: str = "") -> bool:
            store.put(path, data)
            return True

    start = Barrier(3)

    def want(number: int) -> Lease | None:
        lease = Lease(Unconditional(), ".lock", f"Night {number}", **QUICK)  # type: ignore[arg-type]
        start.wait()
        try:
            lease.acquire()
        except JobError:
            return None
        return lease

    with ThreadPoolExecutor(3) as threads:
        [holder] = [lease for lease in threads.map(want, range(3)) if lease is not None]
    holder.release()


@pytest.fixture
def server(s3: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """A server in front of the one where the bucket is, which the environment leads to."""
    with serving(s3.endpoint) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        yield server
    s3_client.cache_clear()


@pytest.mark.parametrize("conditional", [True, False])
def test_in_a_store_that_keeps_nothing_it_is_not_asked_for_for_ever(
    server: FaultyServer, s3_bucket: str, monkeypatch: pytest.MonkeyPatch, conditional: bool
) -> None:
    monkeypatch.setattr("pressrun.cluster.store.lease._SETTLE_SEC", 0.1)
    store = open_store(f"{s3_bucket}/nights", conditional=conditional)
    server.instead = losing()
    lease = Lease(store, ".lock", "A night is rendered", wait=True, **QUICK)
    with pytest.raises(StorageError, match=r"nights says that it has written .lock/00000001.json and does not have it"):
        lease.acquire()
    assert len(server.seen) < 100


@pytest.mark.parametrize("conditional", [True, False])
def test_in_a_store_that_never_lists_it_it_is_not_asked_for_for_ever(
    server: FaultyServer, s3_bucket: str, monkeypatch: pytest.MonkeyPatch, conditional: bool
) -> None:
    monkeypatch.setattr("pressrun.cluster.store.lease._SETTLE_SEC", 0.1)
    server.quirk = hidden
    lease = Lease(open_store(f"{s3_bucket}/nights", conditional=conditional), ".lock", "A night is rendered", **QUICK)
    with pytest.raises(StorageError, match=r"nights has .lock/00000001.json and does not show it"):
        lease.acquire()
    open_store(s3_bucket).delete("nights/.lock/00000001.json")


def test_in_a_store_that_lists_it_late_it_is_had_all_the_same(server: FaultyServer, s3_bucket: str) -> None:
    late = [hidden] * 4

    def quirk(request: Request, answer: Answer) -> Answer | None:
        return late.pop()(request, answer) if late and request.lists else None

    server.quirk = quirk
    store = open_store(f"{s3_bucket}/nights")
    with Lease(store, ".lock", "A night is rendered", shared=True, **QUICK) as lease:
        assert (lease._number, late) == (1, [])
        with pytest.raises(JobError, match="A night is rendered just now"):
            Lease(store, ".lock", "Another", **QUICK).acquire()
    lease.dissolve()


def test_in_a_store_that_gives_nobody_what_it_lists_it_is_not_asked_for_for_ever(
    server: FaultyServer, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pressrun.cluster.store.lease._SETTLE_SEC", 0.1)

    def quirk(request: Request, answer: Answer) -> Answer | None:
        return None if request.lists or request.method != "GET" else refusing(404, "NoSuchKey")(request, answer)

    server.quirk = quirk
    store = open_store(f"{s3_bucket}/nights", conditional=False)
    with pytest.raises(StorageError, match=r"nights has .lock/0000.*json and does not show it"):
        Lease(store, ".lock", "A night is rendered", **QUICK).acquire()
    for path in list(store.paths()):
        store.delete(path)


def hidden(request: Request, answer: Answer) -> None:
    """Listings are empty."""
    if request.lists:
        answer.data = re.sub(rb"<Contents>.*</Contents>|<KeyCount>.*?</KeyCount>", b"", answer.data, flags=re.DOTALL)
