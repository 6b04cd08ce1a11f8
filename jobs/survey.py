"""The survey: every distinct reference picture of the pending rows is looked at once, before anything is planned.

A picture's digest belongs to the render key and its size to the shape of the unit. Nothing but these is kept; the
bytes are read again where they are encoded, and must then be the same.
"""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from cluster.reference_bytes import read_reference_bytes
from cluster.unit import Reference
from cluster.url import shown
from cluster.web_rules import WebRules
from pipeline.catalogue import Model
from pipeline.errors import RequestError
from pipeline.reference import reference_grid, reference_size

_THREADS = 16

Surveyed = Reference | RequestError


def survey(uris: Iterable[str], model: Model, rules: WebRules) -> dict[str, Surveyed]:
    """What each distinct reference is, or why it cannot be used; `rules` are those of what lies on the web.

    Raises:
        StorageError: a store does not answer, which is no row's fault.
    """
    distinct = sorted(set(uris))
    if not distinct:
        return {}
    with ThreadPoolExecutor(min(_THREADS, len(distinct))) as threads:
        return dict(zip(distinct, threads.map(lambda uri: _look_at(uri, model, rules), distinct), strict=True))


def _look_at(uri: str, model: Model, rules: WebRules) -> Surveyed:
    try:
        data = read_reference_bytes(uri, rules)
    except RequestError as error:
        return error  # its sentence names the reference already
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        why = "does not exist; check the path in the manifest."
        return RequestError("reference_missing", f"Reference {shown(uri)} {why}")
    except PermissionError:
        return RequestError("reference_denied", f"Reference {shown(uri)} may not be read with the credentials at hand.")
    try:
        width, height = reference_size(data)
    except RequestError as error:
        return RequestError(error.code, f"Reference {shown(uri)}: {error.message}")
    return Reference(uri, hashlib.sha256(data).hexdigest(), reference_grid(width, height, model))
