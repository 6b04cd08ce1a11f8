"""What a picture says about itself, and whether it can be believed."""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pressrun.cluster.store.opening import Stores
from pressrun.pipeline.errors import JobError, RequestError
from pressrun.pipeline.finishing.codec import read_picture_header
from pressrun.pipeline.finishing.credentials import Credentials, check_credentials_library, read_credentials
from pressrun.pipeline.finishing.metadata import read_properties, read_record
from pressrun.pipeline.redaction import without_secrets


@dataclass(frozen=True)
class Inspection:
    """One picture file. `says` is its XMP by the names that it is known under, `ours` tells whether this program wrote
    it, `signature` what its signature comes to. `signature_unread`: without the extra `sign` nobody knows."""

    file: str
    format: str
    width: int
    height: int
    bytes: int
    sha256: str
    ours: bool
    says: dict[str, str | list[str]]
    signature: Credentials | None = None
    signature_unread: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def inspect(stores: Stores, uri: str) -> Inspection:
    """Look at a picture, on disk or in `s3://`.

    Raises:
        JobError: it cannot be read, or is no picture in one of our formats.
        StorageError: the bucket does not answer.
    """
    try:
        if Path(uri).is_dir():
            raise JobError(
                f"{uri} is a folder: name pictures, as in {Path(uri)}/*.png; `verify` looks at whole jobs.",
                code="bad_file",
            )
        data = stores.read(uri)
    except (OSError, RequestError) as error:
        raise JobError(f"{uri} cannot be read: {error}", code="bad_file") from None
    header = read_picture_header(data)
    if header is None:
        raise JobError(f"{uri} is no picture in PNG, JPEG, WebP or AVIF.", code="bad_file")
    digest = hashlib.sha256(data).hexdigest()
    ours = read_record(data) is not None
    says = {name: _public(value) for name, value in read_properties(data).items()}
    found = Inspection(uri, *header, len(data), digest, ours, says)
    try:
        check_credentials_library()
    except JobError:
        return replace(found, signature_unread=True)
    return replace(found, signature=read_credentials(data, header.format))


def _public(value: str | list[str]) -> str | list[str]:
    """What others may see of a text, or of several: the picture may be anybody's."""
    return without_secrets(value) if isinstance(value, str) else [without_secrets(text) for text in value]
