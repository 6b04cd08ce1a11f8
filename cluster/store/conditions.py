"""What must hold for a change in a store to be made: what stands there, what the source holds, who may do it.

An etag stands for bytes. Where an S3 server gives none, it is the digest of the bytes, which no server can compare (see
`cluster.store.s3_answer`): `check_standing` looks just before the change, as for servers that know no conditions. What
is changed in that very moment by somebody else is then not noticed; what was changed before always is.
"""

import hashlib

from pressrun.cluster.store.store import ANYTHING, Changed, Damaged, Standing, Store
from pressrun.pipeline.errors import StorageError


def check_standing(store: Store, path: str, standing: Standing) -> None:
    """Raise Changed unless what stands at a path is what is expected to."""
    if standing is ANYTHING:
        return
    there = store.head(path)
    if (there.etag if there else None) != standing:
        raise Changed(f"{store.uri}/{path} was changed by somebody else.")


def check_content(data: bytes, content: tuple[int, str] | None, name: str) -> bytes:
    """`data`, if it has the size and SHA-256 in `content` (None: whatever it is). Raises Damaged."""
    if content and (len(data) != content[0] or hashlib.sha256(data).hexdigest() != content[1]):
        raise Damaged(f"{name} has other bytes than were written.")
    return data


def read_unchanged(store: Store, path: str, etag: str | None, content: tuple[int, str] | None) -> bytes:
    """An object's bytes, if it has `etag` (None: any) before and after and is as `content` says.

    Raises FileNotFoundError, Changed or Damaged.
    """
    stamps = [store.head(path)] if etag else []
    data = store.get(path)
    stamps += [store.head(path)] if etag else []
    if any(stamp is None or stamp.etag != etag for stamp in stamps):
        raise Changed(f"{store.uri}/{path} was changed by somebody else.")
    return check_content(data, content, f"{store.uri}/{path}")


def not_kept(store: Store, path: str) -> StorageError:
    """What to tell of a store that has nothing of what it says it has written."""
    return StorageError(
        f"{store.uri} says that it has written {path} and does not have it: a store that keeps nothing is of no use; "
        "ask its operator."
    )
