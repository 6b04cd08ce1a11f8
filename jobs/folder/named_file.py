"""A file that was named on the command line: one that is there is replaced, as every tool does it, and nothing else."""

from collections.abc import Iterable
from pathlib import Path

from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.uri import resolve_uri
from pressrun.pipeline.errors import JobError, RequestError


def write_named(stores: Stores, path: str, chunks: Iterable[bytes], content_type: str) -> None:
    """Write a file at a path or `s3://bucket/key`, piece by piece; it is there whole or not at all.

    Raises:
        JobError: it cannot be written there, or a folder, a link or a device has that name.
        StorageError: the bucket does not answer.
    """
    try:
        if not path.lower().startswith("s3://"):
            _refuse_other_than_files(path)
        stores.write(path, chunks, content_type)
    except (OSError, RequestError) as error:
        reason = getattr(error, "strerror", "") or str(error)
        raise JobError(f"{path} cannot be written: {reason}".rstrip(".") + ".", code="bad_file") from None


def _refuse_other_than_files(path: str) -> None:
    """A rename would put the file in the place of a link (such as /dev/stdout) or of a device, not behind it."""
    target = Path(resolve_uri(path, None))
    if target.is_symlink() or (target.exists() and not target.is_file()):
        what = "a symbolic link" if target.is_symlink() else "a folder" if target.is_dir() else "no ordinary file"
        raise JobError(f"{path} is {what}: name a file of its own.", code="bad_file")
