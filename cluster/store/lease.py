"""A lease: the right to do something alone, in a store that many processes share, which no crash can leave behind.

Leases are numbered objects, and only the one with the highest number counts. Whoever wants it creates the next number,
which a store lets exactly one of several do. Its holder writes it anew every few seconds; one that says that it was
released, or that nobody has written for `TTL_SEC`, can be followed by the next, and so can one whose process is known
to be dead because it ran on this machine. How long that is the one who waits measures by a clock of its own, so that no
machine's time of day has to be right.

In a store without conditional create the last of several writers wins, and each looks again after a moment: two that
write in the same moment are told apart, two that the store shows to nobody else for longer than that are not.
"""

import contextlib
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import psutil

from pressrun.cluster.store.conditions import not_kept
from pressrun.cluster.store.host import this_host
from pressrun.cluster.store.store import Store
from pressrun.cluster.store.watch import Watch
from pressrun.pipeline.errors import JobError, StorageError

TTL_SEC = 30.0
BEAT_SEC = 5.0
_SETTLE_SEC = 2.0
_NUMBERED = re.compile(r"[0-9]{8,}\.json")


class Lease:
    """The lease in `folder` of a store that was prepared. `purpose` says in words what it is for, as in “A night is
    rendered into …”; who asks for the same `purpose` again is let in beside the holder, if `shared`. `hint` tells
    whoever is refused what to do.

    Use it as a context, or `acquire` and `release` it. `lost` turns true when somebody else has it, which happens only
    to a holder that was stopped, or cut off from its store, for longer than `ttl_sec`. Who was let in beside the holder
    takes the lease over when that one ends.
    """

    def __init__(
        self,
        store: Store,
        folder: str,
        purpose: str,
        *,
        shared: bool = False,
        wait: bool = False,
        waiting: Callable[[str], None] | None = None,
        ttl_sec: float = TTL_SEC,
        beat_sec: float = BEAT_SEC,
        hint: str = "try again when that is done",
    ) -> None:
        self._store, self._folder, self._purpose, self._shared = store, f"{folder}/", purpose, shared
        self._wait, self._waiting = wait, waiting
        self._ttl, self._beat, self._hint = ttl_sec, beat_sec, hint
        self._owner = secrets.token_hex(8)
        self._number = 0  # 0: somebody else holds it for us both
        self._known = 0.0
        self._holder = Watch(ttl_sec, beat_sec)
        self._beats = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.lost = False

    def __enter__(self) -> "Lease":
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Have the lease, after a holder that died if need be, and with `wait` after one that lives.

        Raises:
            JobError: somebody else has it, and is alive.
            StorageError: what is written does not show up in the store for longer than a holder may be silent.
        """
        watch, shown = Watch(self._ttl, self._beat), Watch(self._ttl, self._beat)
        told, highest = False, 0
        while True:
            at = _seconds()
            number, there = self._newest()
            if there is not None and number > highest:
                highest = number
                shown.sees((number, None))
            if there is not None and there.get("held") and there.get("owner") == self._owner:  # it shows up late
                if self._have(number, at):
                    return
            elif there is not None and there.get("held"):
                if self._shared and there.get("purpose") == self._purpose and not _is_dead(there):
                    self._known = _seconds()
                    self._begin()
                    return
                if watch.sees((number, there.get("beats"))):
                    whose = f"{there.get('purpose')} just now, by {there.get('by')}"
                    if not self._wait:
                        raise JobError(f"{whose}; {self._hint}.", code="locked")
                    if not told and self._waiting is not None:
                        told = True
                        self._waiting(f"{whose}: waiting for it.")
                if not _is_dead(there) and not watch.over():
                    time.sleep(watch.pause())
                    continue
            if self._take(number + 1):
                return
            if shown.over():
                raise self._unseen(number + 1)
            time.sleep(shown.pause())

    def release(self) -> None:
        """Let others have it; nothing happens where it is not held."""
        if self._stop() and self._number and not self.lost:
            with contextlib.suppress(StorageError):  # then it ends by itself
                self._write(held=False)

    def dissolve(self) -> None:
        """Release it and leave nothing of it in the store, for what it was about is gone."""
        self.release()
        if self._number and not self.lost:
            self._store.delete(self._path(self._number))

    def _unseen(self, number: int) -> StorageError:
        """What to tell where nothing shows up that was written."""
        path = self._path(number)
        if self._store.head(path) is None:
            return not_kept(self._store, path)
        return StorageError(
            f"{self._store.uri} has {path} and does not show it: nobody can be kept from working there at the same "
            "time; ask its operator."
        )

    def _stop(self) -> bool:
        """End the beats; whether there were any."""
        if self._thread is None:
            return False
        self._ended.set()
        self._thread.join()
        self._thread = None
        return True

    def check(self) -> None:
        """Raise StorageError if somebody else has the lease by now.

        What was seen within the last two beats is believed; a process that was stopped for longer looks again, so that
        it is the first thing that it does afterwards. To be called before every change that the lease is to protect.
        """
        if not self.lost and _seconds() - self._known > 2 * self._beat:
            self._look()
        if self.lost:
            raise StorageError("This process was out of touch for so long that another one took over; run it again.")

    def _look(self) -> None:
        """See in the store whether the lease is still ours."""
        at = _seconds()
        number, there = self._newest()
        self.lost = not self._is_ours(number, there)
        if not self.lost:
            self._known = at

    def _is_ours(self, number: int, there: Mapping[str, Any] | None) -> bool:
        if self._number:
            return number == self._number and there is not None and there.get("owner") == self._owner
        return there is not None and there.get("purpose") == self._purpose

    def _newest(self) -> tuple[int, dict[str, Any] | None]:
        paths = self._paths()
        if not paths:
            return 0, None
        number = int(paths[-1].removeprefix(self._folder).partition(".")[0])
        try:
            return number, json.loads(self._store.get(paths[-1]))
        except (FileNotFoundError, ValueError):
            return number, None

    def _take(self, number: int) -> bool:
        at = _seconds()
        if not self._store.create(self._path(number), self._said(held=True), "application/json"):
            return False
        if not self._store.conditional:
            time.sleep(_SETTLE_SEC)
            newest, there = self._newest()
            if newest != number or there is None or there.get("owner") != self._owner:
                return False
        return self._have(number, at)

    def _have(self, number: int, at: float) -> bool:
        """Begin to hold the lease of a number that was ours `at` that time; False where the store does not list it."""
        paths = self._paths()
        if self._path(number) not in paths:
            return False
        self._number, self._known = number, at
        for path in paths:
            if path < self._path(number):
                self._store.delete(path)
        self._begin()
        return True

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep, daemon=True)
            self._thread.start()

    def _keep(self) -> None:
        while not self._ended.wait(self._beat):
            try:
                if not self._number and not self._follow():
                    continue
                self._look()
                if self.lost:
                    return
                self._write(held=True)
            except StorageError:  # asked again at the next beat
                continue

    def _follow(self) -> bool:
        """Take over from the holder that we were let in beside, once it has ended; whether we hold the lease now."""
        number, there = self._newest()
        if there is not None and there.get("held") and not _is_dead(there):
            if there.get("purpose") != self._purpose:
                self.lost = True
                self._ended.set()
                return False
            if self._holder.sees((number, there.get("beats"))):
                self._known = _seconds()
            if not self._holder.over():
                return False
        return self._take(number + 1)

    def _write(self, held: bool) -> None:
        self._beats += 1
        self._store.put(self._path(self._number), self._said(held), "application/json")

    def _said(self, held: bool) -> bytes:
        by = f"process {os.getpid()} on {os.uname().nodename}"
        said = {"purpose": self._purpose, "by": by, "owner": self._owner, "held": held, "beats": self._beats}
        said |= {"host": this_host(), "pid": os.getpid(), "started": _started(os.getpid())}
        return (json.dumps(said, ensure_ascii=False) + "\n").encode()

    def _paths(self) -> list[str]:
        """Every lease that is there, in order; other files (a file browser's, a network mount's) are none."""
        return sorted(
            path for path in self._store.paths(self._folder) if _NUMBERED.fullmatch(path[len(self._folder) :])
        )

    def _path(self, number: int) -> str:
        return f"{self._folder}{number:08d}.json"


def _seconds() -> float:
    """Seconds that go on while this machine sleeps, too."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _is_dead(holder: Mapping[str, Any]) -> bool:
    """Whether a holder is a process of this machine that has ended; another may have its number by now."""
    if holder.get("host") != this_host():
        return False
    try:
        pid = int(holder["pid"])
        ended = psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        return bool(ended or abs(_started(pid) - float(holder["started"])) > 1.0)
    except psutil.NoSuchProcess:
        return True
    except (KeyError, TypeError, ValueError, psutil.Error):
        return False


def _started(pid: int) -> float:
    """Seconds from this machine's start to a process's, which setting its clock does not change.

    psutil gives the time of day of both, by the clock as it stands; read again where it was set in between.
    """
    while True:
        booted = psutil.boot_time()
        created = psutil.Process(pid).create_time()
        if psutil.boot_time() == booted:
            return float(created - booted)
