"""A table of a TOML file, read strictly: what is missing, of the wrong kind or unknown becomes a sentence.

    table = StrictTable(tomllib.loads(text), "finish.toml", problems)
    quality = table.whole("quality", 1, 100)
    table.end()

A reader never raises: it notes the problem and answers with the default, so that the next field is read as well.
Whoever reads a file raises in the end, with everything that was noted.
"""

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class StrictTable:
    """`where` names the table in sentences; `problems` is the whole file's list."""

    def __init__(self, values: Mapping[str, Any], where: str, problems: list[str]) -> None:
        self._values, self.where, self._problems = values, where, problems
        self._known: list[str] = []

    def note(self, problem: str) -> None:
        """Add a sentence about this table."""
        self._problems.append(f"{self.where}: {problem}")

    def has(self, name: str) -> bool:
        """Whether a field is given."""
        return name in self._values

    def knows(self, name: str) -> None:
        """A field that may be there."""
        self._known.append(name)

    def text(self, name: str, default: str = "", *, choices: Collection[str] = (), required: bool = False) -> str:
        """A text that is not empty, one of `choices` if there are any."""

        def right(value: Any) -> bool:
            return isinstance(value, str) and bool(value.strip()) and (not choices or value in choices)

        wanted = f"one of {', '.join(choices)}" if choices else "a text"
        return str(self._field(name, default, right, wanted, required))

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""

        def right(value: Any) -> bool:
            return isinstance(value, list) and all(isinstance(each, str) and each.strip() for each in value)

        return tuple(self._field(name, (), right, "a list of texts", False))

    def whole(self, name: str, least: int, most: int, default: Any = None, *, required: bool = False) -> Any:
        """A whole number from `least` to `most`."""

        def right(value: Any) -> bool:
            return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most

        return self._field(name, default, right, f"a whole number from {least} to {most:,}", required)

    def number(self, name: str, least: float, most: float, default: float) -> float:
        """A number from `least` to `most`."""

        def right(value: Any) -> bool:
            return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most

        return float(self._field(name, default, right, f"a number from {least:g} to {most:g}", False))

    def truth(self, name: str) -> bool:
        """true or false (the default)."""
        return bool(self._field(name, False, lambda value: isinstance(value, bool), "true or false", False))

    def mapping(self, name: str, wanted: str, right: Callable[[Any], Any]) -> dict[str, Any]:
        """A table of any fields, each of which is `right`."""

        def all_right(value: Any) -> bool:
            return isinstance(value, dict) and all(map(right, value.values()))

        return dict(self._field(name, {}, all_right, wanted, False))

    def anything(self, name: str, right: Callable[[Any], bool], wanted: str, *, required: bool = False) -> Any:
        """A field of a kind of its own; None where there is none."""
        return self._field(name, None, right, wanted, required)

    def table(self, name: str) -> "StrictTable":
        """A table within; an empty one if it is not given."""
        values = self._field(name, {}, lambda value: isinstance(value, dict), f"a table [{name}]", False)
        return StrictTable(values, f"{self.where}, [{name}]", self._problems)

    def tables(self, name: str) -> list["StrictTable"]:
        """A list of tables `[[name]]`."""

        def right(value: Any) -> bool:
            return isinstance(value, list) and all(isinstance(each, dict) for each in value)

        found = self._field(name, [], right, f"tables [[{name}]]", False)
        return [
            StrictTable(each, f"{self.where}, [[{name}]] {number}", self._problems)
            for number, each in enumerate(found, 1)
        ]

    def end(self) -> None:
        """Note every field that was not asked for."""
        for name in self._values:
            if name not in self._known:
                near = difflib.get_close_matches(name, self._known, 1)
                hint = f"did you mean “{near[0]}”?" if near else f"there are {', '.join(self._known)}."
                self.note(f"there is no field “{name}”; {hint}")

    def _field(self, name: str, default: T, right: Callable[[Any], bool], wanted: str, required: bool) -> Any:
        self._known.append(name)
        if name not in self._values:
            if required:
                self.note(f"“{name}” is missing; give {wanted}.")
            return default
        value = self._values[name]
        if not right(value):
            self.note(f"“{name}” is {value!r:.60}; give {wanted}.")
            return default
        return value
