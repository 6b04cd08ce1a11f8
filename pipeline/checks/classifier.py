"""A classifier of pictures that a customer brings along: the Protocol that it has to keep, and how it is found."""

import importlib
from typing import Protocol

import numpy as np

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.import_path import add_last


class Classifier(Protocol):
    """Judges one picture at a time, e.g. for safety or for a brand's rules.

    It is made once in each process that finishes pictures, by calling what `use = "package.module:name"` names without
    arguments, and is called from several threads at once. The same pixels and prompt must give the same score, or rows
    are no longer reproducible. An exception that it raises fails the row, not the job.
    """

    def score(self, pixels: np.ndarray, prompt: str) -> tuple[float, str]:
        """How acceptable a picture is, from 0 (not at all) to 1, and a sentence that says why.

        `pixels` are uint8 (H, W, 3) in sRGB, as rendered; they must not be changed.
        """
        ...


def load_classifier(use: str) -> Classifier:
    """The classifier that `package.module:name` names.

    Raises:
        JobError: there is none.
    """
    module, _, name = use.partition(":")
    add_last()
    try:
        made: Classifier = getattr(importlib.import_module(module), name)()
    except Exception as error:
        raise JobError(
            f"The classifier “{use}” cannot be had ({type(error).__name__}: {error}); give package.module:name of "
            "something that can be imported here and on every node, and called without arguments.",
            code="bad_finish_spec",
        ) from None
    if not callable(getattr(made, "score", None)):
        raise JobError(
            f"The classifier “{use}” has no method “score”; see pressrun.pipeline.checks.classifier.Classifier.",
            code="bad_finish_spec",
        )
    return made
