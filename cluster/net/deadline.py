"""When a fetch from the web must have ended, and how it fails then or before."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pressrun.cluster.net.patience import late


class Failure(Exception):
    """`code` less its "reference_", what happened as the rest of a sentence, whether another attempt may help, and the
    seconds for which the server wants to be left alone before."""

    def __init__(self, code: str, reason: str, passing: bool = False, rest_sec: float = 0.0) -> None:
        super().__init__(code)
        self.code, self.reason, self.passing, self.rest_sec = code, reason, passing, rest_sec


class Silence(Failure):
    """The host gave no answer, or no whole one in time; `connected` tells whether it took a connection."""

    def __init__(self, code: str, reason: str, passing: bool = False, connected: bool = True) -> None:
        super().__init__(code, reason, passing)
        self.connected = connected


class Deadline:
    """When one fetch must have ended, whatever it is doing then; earlier where its host is given less time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = self._wait = seconds
        self._last = self._end = time.monotonic() + seconds
        self._doubted = ""

    def allow(self, seconds: float, doubted: str = "") -> None:
        """Wait for a host so long, within the whole; less than that because of others at the place `doubted`."""
        self._wait, self._doubted = seconds, doubted
        self.extend()

    def extend(self) -> None:
        """The host has done its part: wait for more as long again, within the whole."""
        self._end = min(self._last, time.monotonic() + self._wait)

    def left(self) -> float:
        """Seconds, more than 0. Raises Silence when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.failure()
        return left

    def failure(self, connected: bool = True) -> Silence:
        """What there is to say once time is up."""
        early = self._end < self._last
        reason = late(self._wait, self._doubted) if early else late(self._seconds)
        return Silence("timeout", reason, connected=connected)

    @contextmanager
    def cutting(self, sock: socket.socket) -> Iterator[None]:
        """Ends the connection when time is up: a server that sends a byte now and then never meets a socket's timeout,
        neither in its headers nor in its body."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(max(0.0, self._end - time.monotonic()) + 0.02):  # later than `left` says so
                if time.monotonic() > self._end:
                    _shut(sock)
                    return

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def _shut(sock: socket.socket) -> None:
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not TLS's own, which changes what a reader is reading from
    except OSError:
        pass  # closed already
