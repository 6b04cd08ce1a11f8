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

from collections.abc import Mapping, Sequence

from pressrun.pipeline.redaction import redacted

CODES: Mapping[str, str] = {
    "bad_option": "An option has a value that it cannot have, or one that does not go with another option.",
    "bad_manifest": "A table cannot be read, or is no manifest.",
    "missing_manifest": "There is no table at the place that was named, or it may not be read.",
    "manifest_too_large": "A table has more bytes, rows, columns, cells or parts than are read.",
    "bad_name": "The template for names is none, or pictures cannot be named by it.",
    "bad_campaign": "A campaign's file cannot be read, or asks for what cannot be.",
    "bad_finish_spec": "A finishing spec, or a file that it names, cannot be read or asks for what cannot be had.",
    "bad_night_file": "A night's file cannot be read, or asks for what cannot be.",
    "bad_file": "Another file that was named is missing, cannot be read or written, or is of another kind.",
    "bad_place": "A folder, bucket or address cannot be used for what it was named for.",
    "no_job": "There is no job, or no publication, at the place that was named.",
    "another_job": "The place holds another job, or files that this job would replace.",
    "damaged_job": "A file of a job, or of a publication's records, is missing or damaged.",
    "newer_version": "The job was written by a newer Pressrun.",
    "interrupted": "An earlier publication was interrupted, and has to be finished or undone first.",
    "locked": "Another process works at the same place just now.",
    "hook_failed": "A command that was to run before a night failed, so the night did not begin.",
    "nothing_to_do": "Nothing is left of what was asked for: no picture, or no row.",
    "missing_model": "The model is unknown, or not on this machine and cannot be fetched.",
    "damaged_model": "Files of the model are missing or damaged, or not those of the model that they are named after.",
    "unsupported_model": "The model's folder is one that Pressrun does not render with.",
    "licence": "The model's licence has to be accepted.",
    "does_not_fit": "The model does not fit the devices that there are.",
    "cluster": "Ray, or a worker, cannot be started, or a cluster cannot be used.",
    "signing": "Pictures cannot be signed with what is configured, or where they are to be stored.",
    "environment": "This machine's environment cannot be used: its variables, credentials or temporary folder.",
    "missing_extra": "A package is not installed.",
    "storage": "A store does not answer, or not as a store does; the job can be resumed later.",
    "storage_refused": "A store understood what was asked for, and said no.",
    "refused": "None of these.",
}
"""The codes of errors that refuse or stop a job, each with what it stands for. An address that is none may be refused
with the code that a row with it would have, such as `bad_reference`."""


class PressrunError(Exception):
    """Root of the tree. `str(error)` is one or more sentences for a person: what, where and what to do.

    Addresses in them lose what may be a secret (see `redaction`), whoever made the sentence. `code` is a stable word
    for programs.
    """

    code: str = "refused"

    def __init__(self, *words: str) -> None:
        super().__init__(*map(redacted, words))


class Reason(str):
    """A sentence that says why a job is refused, and the code of its kind."""

    code: str

    def __new__(cls, sentence: str, code: str = PressrunError.code) -> "Reason":
        """A sentence with one of `CODES`."""
        reason = super().__new__(cls, sentence)
        reason.code = code
        return reason


class JobError(PressrunError):
    """The job cannot be run as it was asked for.

    `problems` holds every reason, one sentence each, in the order in which a person would mend them. `code` is the code
    of those that have none yet: reasons gathered from other errors keep theirs.
    """

    def __init__(self, *problems: str, code: str = PressrunError.code) -> None:
        super().__init__(*problems)
        codes = [problem.code if isinstance(problem, Reason) else code for problem in problems]
        self.problems: Sequence[Reason] = tuple(map(Reason, self.args, codes))
        self.args = tuple(self.problems)  # so that a copy has the codes
        self.code = codes[0] if codes else code

    @property
    def codes(self) -> list[str]:
        """The code of each problem, in their order."""
        return [problem.code for problem in self.problems]

    def __str__(self) -> str:
        return "\n".join(self.problems)


class RequestError(PressrunError):
    """One request cannot be rendered. `code` is a stable word for programs, `message` a sentence for people.

    Crosses process boundaries as a value inside an outcome; it is never raised across Ray.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message: str = self.args[1]

    def __str__(self) -> str:
        return self.message


class ClusterError(PressrunError):
    """The cluster that a run has joined is gone, and with it whoever ran there; the job can be resumed later."""

    code = "cluster"


class StorageError(PressrunError):
    """A store did not do what was asked although it was asked again; the job can be resumed later."""

    code = "storage"


class SigningError(StorageError):
    """A picture could not be signed although it was tried again; the job can be resumed later."""

    code = "signing"
