"""Who looks on while Python renders: a notebook gets a line that changes, a terminal the command's bar, others nothing.

IPython is never imported: a notebook has it in `sys.modules` already.
"""

import logging
import sys
import warnings
from typing import Any

from tqdm import TqdmWarning

from pressrun.jobs.spec.progress import Lines, Progress, Silent, progress_for


def progress_here() -> Progress:
    """The progress for whoever looks at this process."""
    if in_notebook():
        _quiet_about_widgets()
        return CellLine(sys.stdout)
    if sys.stderr is not None and sys.stderr.isatty():
        return progress_for(sys.stderr)
    return Silent()


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this process: Jupyter's, or one that is made of it, such as Colab's."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)


def _quiet_about_widgets() -> None:
    """Libraries that we import tell a notebook without ipywidgets to install it, for progress bars that nobody sees."""
    warnings.filterwarnings("ignore", "IProgress not found", TqdmWarning)
    logging.getLogger("ray.widgets.util").setLevel(logging.WARNING)


class CellLine(Lines):
    """A line below a notebook's cell that says how the run stands; sentences are printed beside it."""

    every_sec = 0.5
    _handle: Any = None

    def begin(self, total: int, done: int) -> None:
        super().begin(total, done)
        self.show(f"{done}/{total} images, starting")

    def show(self, line: str) -> None:
        """Show a line in the place of the one before."""
        shown = {"text/plain": line}  # a notebook escapes it
        if self._handle is None:
            self._handle = sys.modules["IPython"].display.display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)
