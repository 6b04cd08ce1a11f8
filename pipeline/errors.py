"""Every error of Pressrun, and who acts on it: the type decides.

    PressrunError
    ├── JobError       the job is refused before any actor starts; all reasons together; exit 2
    ├── RequestError   one row is wrong: it becomes a failed or rejected result, its neighbours go on
    ├── ClusterError   the cluster that a run has joined is gone; exit 3
    └── StorageError   the place where bytes live does not answer: backoff, then a clean stop; exit 3
        └── SigningError   nor does whoever signs pictures: the same, and no picture is let out unsigned

Foreign errors are mapped to these at the boundary, once: Ray's in `cluster/`, botocore's in the store.
Everything else that is raised is a bug of ours.
"""

from collections.abc import Sequence

from pressrun.pipeline.redaction import redacted


class PressrunError(Exception):
    """Root of the tree. `str(error)` is one or more sentences for a person: what, where and what to do.

    Addresses in them lose what may be a secret (see `redaction`), whoever made the sentence.
    """

    def __init__(self, *words: str) -> None:
        super().__init__(*map(redacted, words))


class JobError(PressrunError):
    """The job cannot be run as it was asked for.

    `problems` holds every reason, one sentence each, in the order in which a person would mend them.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems: Sequence[str] = self.args

    def __str__(self) -> str:
        return "\n".join(self.problems)


class RequestError(PressrunError):
    """One request cannot be rendered. `code` is a stable word for programs, `message` a sentence for people.

    Crosses process boundaries as a value inside an outcome; it is never raised across Ray.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code: str = code
        self.message: str = self.args[1]

    def __str__(self) -> str:
        return self.message


class ClusterError(PressrunError):
    """The cluster that a run has joined is gone, and with it whoever ran there; the job can be resumed later."""


class StorageError(PressrunError):
    """A store did not do what was asked although it was asked again; the job can be resumed later."""


class SigningError(StorageError):
    """A picture could not be signed although it was tried again; the job can be resumed later."""
