"""Who looks on: a notebook, a terminal, or nobody."""

import io
import os
import pty
import sys
from types import ModuleType
from typing import Any

import pytest

from pressrun.cluster.protocol.unit import Outcome
from pressrun.jobs.python.looking_on import CellLine, progress_here
from pressrun.jobs.spec.progress import Bar, Lines, Silent


class ZMQInteractiveShell:
    """Named as the shell of a notebook's kernel."""


class Cell:
    """What stands below a cell: a line by the number of its display, replaced by updates."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def display(self, shown: dict[str, str], raw: bool, display_id: bool) -> "Cell":
        assert raw and display_id
        self.lines.append("")
        self.update(shown, raw)
        return self

    def update(self, shown: dict[str, str], raw: bool) -> None:
        assert raw
        self.lines[-1] = shown["text/plain"]


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    """This process is a notebook's kernel, as far as IPython tells."""
    cell, ipython = Cell(), ModuleType("IPython")
    ipython.get_ipython = lambda: ZMQInteractiveShell()  # type: ignore[attr-defined]
    ipython.display = cell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    return cell


def test_in_a_notebook_one_line_changes(cell: Cell, capsys: pytest.CaptureFixture[str]) -> None:
    events = progress_here()
    assert isinstance(events, CellLine)
    events.every_sec = 0.0
    events.note("3 pictures in 1 unit")
    events.begin(3, 1)
    assert cell.lines == ["1/3 images, starting"]
    events.update([Outcome(1, "b", "succeeded"), Outcome(2, "c", "failed")])
    events.end()
    [line] = cell.lines
    assert line.startswith("3/3 images, 1 failed, ")
    assert capsys.readouterr().out == "3 pictures in 1 unit\n"


def test_a_kernel_made_of_jupyters_is_a_notebook_too(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    class Shell(ZMQInteractiveShell):
        """As Colab calls its own."""

    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: Shell())
    assert isinstance(progress_here(), CellLine)


@pytest.mark.parametrize("shell", [None, object()])
def test_ipython_on_a_terminal_or_merely_imported_is_no_notebook(
    shell: Any, cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: shell)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(progress_here(), Silent)


def test_a_terminal_gets_what_the_command_shows_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        assert isinstance(progress_here(), Bar | Lines)
    os.close(ours)


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_where_nobody_looks_on_nothing_is_shown(stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    assert isinstance(progress_here(), Silent)
