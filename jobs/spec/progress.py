"""Progress for a person who waits: a bar on a terminal, a line every few seconds where there is none."""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from typing import Protocol, TextIO

from tqdm import tqdm

from pressrun.cluster.protocol.unit import Outcome


class Progress(Protocol):
    """Told about a run as it goes on."""

    def note(self, sentence: str) -> None:
        """Something that a person may want to know."""

    def fetching(self, model: str, done: int, total: int) -> None:
        """A model is on its way to this machine: `done` of `total` bytes are there."""

    def looking(self, done: int, total: int) -> None:
        """References are being fetched and decoded: `done` of `total` distinct ones."""

    def warn(self, sentence: str) -> None:
        """Something that is wrong with the manifest's rows: said before anything is rendered."""

    def begin(self, total: int, done: int) -> None:
        """Rendering starts: `done` of `total` rows need nothing."""

    def loading(self, ready: int, actors: int) -> None:
        """So many of the actors have loaded their part of the model; told as often as `update`."""

    def update(self, outcomes: Iterable[Outcome]) -> None:
        """Called at least twice a second, often with nothing."""

    def end(self) -> None:
        """Nothing more will come."""


class Silent:
    """For programs."""

    def note(self, sentence: str) -> None: ...

    def fetching(self, model: str, done: int, total: int) -> None: ...

    def looking(self, done: int, total: int) -> None: ...

    def warn(self, sentence: str) -> None: ...

    def begin(self, total: int, done: int) -> None: ...

    def loading(self, ready: int, actors: int) -> None: ...

    def update(self, outcomes: Iterable[Outcome]) -> None: ...

    def end(self) -> None: ...


class Terse(Silent):
    """For programs that read stdout: nothing but what is wrong with the manifest's rows."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def warn(self, sentence: str) -> None:
        print(sentence, file=self._stream, flush=True)


class Bar:
    """A tqdm bar with images/s and the time left."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: tqdm | None = None
        self._bad: Counter[str] = Counter()

    def note(self, sentence: str) -> None:
        tqdm.write(sentence, file=self._stream)

    def fetching(self, model: str, done: int, total: int) -> None:
        self._advance(f"Fetching {model}", "B", done, total)

    def looking(self, done: int, total: int) -> None:
        self._advance("Looking at references", " pictures", done, total)

    def _advance(self, what: str, unit: str, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = tqdm(
                total=total,
                desc=what,
                unit=unit,
                unit_scale=unit == "B",
                file=self._stream,
                dynamic_ncols=True,
                mininterval=0.2,
            )
        self._bar.update(done - self._bar.n)
        if done >= total:
            self.end()

    warn = note

    def begin(self, total: int, done: int) -> None:
        self._bar = tqdm(
            total=total,
            initial=done,
            desc="Rendering",
            unit=" images",
            file=self._stream,
            dynamic_ncols=True,
            smoothing=0.1,
            mininterval=0.2,
        )

    def loading(self, ready: int, actors: int) -> None:
        if self._bar is not None:
            of = f" ({ready} of {actors} actors have loaded)" if ready < actors else ""
            self._bar.set_description_str(f"Rendering{of}", refresh=False)

    def update(self, outcomes: Iterable[Outcome]) -> None:
        if self._bar is None:
            return
        count = 0
        for outcome in outcomes:
            count += 1
            self._bad[outcome.status] += outcome.status != "succeeded"
        if bad := _words(self._bad):
            self._bar.set_postfix_str(bad, refresh=False)
        self._bar.update(count)
        if not count:
            self._bar.refresh()

    def end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Lines:
    """For logs: one line every `every_sec` at most, and one at the end."""

    every_sec = 5.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._total = self._initial = self._done = 0
        self._bad: Counter[str] = Counter()
        self._started = self._said = 0.0
        self._line, self._patience = "", self.every_sec

    def note(self, sentence: str) -> None:
        print(sentence, file=self._stream, flush=True)

    def fetching(self, model: str, done: int, total: int) -> None:
        line = f"Fetching {model}: {done / 1e9:.2f} of {total / 1e9:.2f} GB"
        if (done >= total or self._is_time()) and line != self._line:
            self._line = line
            self.show(line)

    def looking(self, done: int, total: int) -> None:
        if done < total and self._is_time():
            self.show(f"Looking at references: {done:,} of {total:,}")

    def _is_time(self) -> bool:
        now = time.monotonic()
        if now - self._said < self.every_sec:
            return False
        self._said = now
        return True

    warn = note

    def begin(self, total: int, done: int) -> None:
        self._total, self._initial, self._done = total, done, done
        self._started = self._said = time.monotonic()

    def loading(self, ready: int, actors: int) -> None:
        if self._done > self._initial:
            return
        if ready < actors:
            self._wait(f"Loading the model: {ready} of {actors} actors are ready")
        else:
            self._wait(f"The model is loaded; the first of {self._total - self._done:,} pictures are on their way")

    def _wait(self, line: str) -> None:
        """Show what is waited for; the same again ever more seldom, and for how long by then."""
        waited = time.monotonic() - self._said
        if line != self._line and waited >= self.every_sec:
            self._line, self._patience, self._said = line, 2 * self.every_sec, time.monotonic()
            self.show(line)
        elif line == self._line and waited >= self._patience:
            self._patience, self._said = 2 * self._patience, time.monotonic()
            self.show(f"{line} ({duration(self._said - self._started)} so far)")

    def update(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self._done += 1
            self._bad[outcome.status] += outcome.status != "succeeded"
        if self._done > self._initial and time.monotonic() - self._said >= self.every_sec:
            self._say()

    def end(self) -> None:
        if self._done > self._initial:
            self._say()

    def _say(self) -> None:
        self.show(self._standing())

    def show(self, line: str) -> None:
        """Show how it stands now."""
        print(line, file=self._stream, flush=True)

    def _standing(self) -> str:
        self._said = time.monotonic()
        speed = (self._done - self._initial) / max(1e-9, self._said - self._started)
        left = f"{duration((self._total - self._done) / speed)} left" if speed else "starting"
        bad = _words(self._bad)
        return f"{self._done}/{self._total} images{', ' + bad if bad else ''}, {speed:.2f} images/s, {left}"


def _words(bad: Counter[str]) -> str:
    """How many rows came to no picture, by what became of them."""
    return ", ".join(f"{count} {status}" for status, count in sorted(bad.items()) if count)


def duration(seconds: float) -> str:
    """`75` as "1 min 15 s": what a person says of a time."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def progress_for(stream: TextIO = sys.stderr) -> Progress:
    """A bar if a person looks on, lines otherwise, also on a terminal that claims to be no column wide."""
    wide = stream.isatty() and os.get_terminal_size(stream.fileno()).columns > 0
    return Bar(stream) if wide else Lines(stream)
