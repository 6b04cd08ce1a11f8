"""Flags in sentences: the library names its fields, in backticks, and the command line the flags that set them."""

import argparse
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from pressrun.cluster.protocol.unit import Outcome
from pressrun.jobs.spec.progress import Progress

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_FIELD = re.compile("`([a-z_]+)`")

_Told = TypeVar("_Told", bound="DataclassInstance")


class Flags:
    """The flags of a parser and its commands; `by_field` has each by the field that it sets, as the parser declares."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.by_field = dict(_declared(parser))

    def named(self, sentence: str) -> str:
        """A sentence of the library in the command line's words: “`max_images` 2” becomes “--max-images 2”."""
        return _FIELD.sub(lambda field: self.by_field.get(field[1], field[0]), sentence)

    def named_in(self, told: _Told, *fields: str) -> _Told:
        """What the library tells, with flags in the sentences (str, None or a tuple of str) that `fields` of it hold;
        its data stays as it is, whatever stands in there."""
        held = {field: getattr(told, field) for field in fields}
        return replace(told, **{field: self._in(value) for field, value in held.items()})

    def _in(self, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        return tuple(map(self.named, value)) if isinstance(value, tuple) else value and self.named(value)


class FlaggedProgress:
    """A Progress that is told sentences of the library, and tells them on in the command line's words."""

    def __init__(self, events: Progress, flags: Flags) -> None:
        self._events, self._flags = events, flags

    def note(self, sentence: str) -> None:
        self._events.note(self._flags.named(sentence))

    def warn(self, sentence: str) -> None:
        self._events.warn(self._flags.named(sentence))

    def fetching(self, model: str, done: int, total: int) -> None:
        self._events.fetching(model, done, total)

    def looking(self, done: int, total: int) -> None:
        self._events.looking(done, total)

    def begin(self, total: int, done: int) -> None:
        self._events.begin(total, done)

    def loading(self, ready: int, actors: int) -> None:
        self._events.loading(ready, actors)

    def update(self, outcomes: Iterable[Outcome]) -> None:
        self._events.update(outcomes)

    def end(self) -> None:
        self._events.end()


def _declared(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _declared(command)
        elif action.option_strings:
            yield action.dest, action.option_strings[-1]
