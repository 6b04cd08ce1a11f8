"""The file that `finish` names, and whatever it names in turn: read and checked before anything starts."""

from dataclasses import replace
from pathlib import Path

from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.store import Store
from pressrun.cluster.store.uri import local_path
from pressrun.jobs.finish.prompt_policy import words_of
from pressrun.jobs.spec.job_spec import JobSpec
from pressrun.pipeline.checks.classifier import load_classifier
from pressrun.pipeline.checks.spec import CheckSpec
from pressrun.pipeline.checks.text import check_reader
from pressrun.pipeline.errors import JobError, RequestError
from pressrun.pipeline.finishing.codec import FORMATS
from pressrun.pipeline.finishing.spec import FinishingSpec, read_finishing_spec
from pressrun.pipeline.overlay.copy_spec import CopySpec


def read_finish(stores: Stores, spec: JobSpec) -> FinishingSpec:
    """What `finish`, `format` and `sign` ask for; a format that there is not is told elsewhere.

    Raises:
        JobError: everything that is wrong with the file, or what it asks for and cannot be had here.
    """
    format = spec.format if spec.format in FORMATS else "png"
    if spec.finish is None:
        return FinishingSpec(format, sign=spec.sign)
    finishing = read_finishing_spec(_text(stores, spec.finish, None, "`finish`"), format, spec.finish)
    problems: list[str] = []
    checks = []
    for check in finishing.checks:
        try:
            checks.append(_equipped(stores, check, spec.finish))
        except JobError as error:
            problems.extend(error.problems)
    copy = finishing.copy
    try:
        copy = _with_assets(stores, copy, spec.finish) if copy else None
    except JobError as error:
        problems.extend(error.problems)
    if problems:
        raise JobError(*problems, code="bad_finish_spec")
    return replace(finishing, checks=tuple(checks), copy=copy, sign=spec.sign)


def refuse_signing(spec: JobSpec, store: Store) -> None:
    """Raises JobError where signed pictures cannot be told from each other: no signature is like another, so a picture
    must be created once, and a store without conditional create replaces what is there."""
    if spec.sign and not store.conditional:
        raise JobError(
            f"{store.uri} does not keep two writers from replacing each other's pictures (it ignores If-None-Match), "
            "which signed ones need; render without `sign`, or into a folder or another store.",
            code="signing",
        )


def _equipped(stores: Stores, check: CheckSpec, finish: str) -> CheckSpec:
    """A check with everything that it needs."""
    if check.check == "text":
        check_reader()
    elif check.check == "classifier":
        load_classifier(check.option)
    elif check.check == "policy":
        words = words_of(_text(stores, check.option, _folder_of(finish), f"{finish}, [policy]: the file of words"))
        if not words:
            raise JobError(
                f"{finish}, [policy]: {check.option} holds no word; write one a line.", code="bad_finish_spec"
            )
        return replace(check, words="\n".join(words))
    return check


def _with_assets(stores: Stores, copy: CopySpec, finish: str) -> CopySpec:
    """What is set on pictures, with the fonts and logos that it names; files are beside the spec."""
    from pressrun.pipeline.overlay.copy_assets import with_assets  # nothing that sets type is loaded where none is set

    def read(file: str) -> bytes:
        try:
            return stores.read(file, _folder_of(finish))
        except (OSError, RequestError) as error:
            raise JobError(f"{finish}, [copy]: “{file}” cannot be read: {error}", code="bad_finish_spec") from None

    return with_assets(copy, read)


def _folder_of(uri: str) -> str:
    return uri.rpartition("/")[0] if uri.lower().startswith("s3://") else str(Path(local_path(uri)).parent)


def _text(stores: Stores, uri: str, base: str | None, what: str) -> str:
    try:
        return stores.read(uri, base).decode()
    except (OSError, RequestError) as error:
        raise JobError(f"{what} {uri} cannot be read: {error}", code="bad_finish_spec") from None
    except UnicodeDecodeError:
        raise JobError(f"{what} {uri} is not UTF-8.", code="bad_finish_spec") from None
