"""The finishing spec: everything but the pixels that decides a finished picture, and the key that stands for it.

    quality = 90

    [[renditions]]
    name = "hero"
    width = 1920
    height = 1080
    format = "webp"

A request's *render key* stands for its pixels, its *finish key* for what becomes of them: where only the second one has
changed, pixels that were kept are finished again.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from pressrun.pipeline.checks.spec import CheckSpec, read_checks
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.finishing.provenance import USUAL_COLUMNS, ProvenanceSpec, read_provenance_spec
from pressrun.pipeline.finishing.renditions import Rendition, read_quality, read_renditions
from pressrun.pipeline.overlay.copy_spec import CopySpec, read_copy
from pressrun.pipeline.strict_table import StrictTable

REVISION = 1
"""Raised whenever our own finishing changes the bytes of a picture, so that old ones are not taken for new ones."""


@dataclass(frozen=True)
class FinishingSpec:
    """How a job's pictures are finished. `format` and `quality` are those of the picture as it was rendered; every
    rendition comes beside it. `sign` has every picture signed; by whom is no part of it, so that a certificate may be
    renewed."""

    format: str = "png"
    quality: int | None = None
    renditions: tuple[Rendition, ...] = ()
    checks: tuple[CheckSpec, ...] = ()
    provenance: ProvenanceSpec = USUAL_COLUMNS
    sign: bool = False
    copy: CopySpec | None = None

    def check(self, name: str) -> CheckSpec | None:
        """The check of that name, if the job makes it."""
        return next((each for each in self.checks if each.check == name), None)

    @property
    def described(self) -> dict[str, Any]:
        """What differs from the defaults, as job.json keeps it: a field that is new in a later version changes nothing
        as long as nobody uses it."""
        return {"format": self.format, **_described(self)}

    @property
    def digest(self) -> str:
        """Digest (64 hex digits) of the whole spec."""
        return described_digest(self.described)


def described_digest(described: Mapping[str, Any]) -> str:
    """The digest of the spec that job.json describes so, even if a later version described it."""
    return _digest({"revision": REVISION, **described})


def read_described(described: Mapping[str, Any]) -> FinishingSpec:
    """The spec that job.json describes so, without the bytes of its fonts and logos.

    Raises:
        JobError: this version does not know all of it.
    """
    try:
        spec: FinishingSpec = _restored(FinishingSpec, described)
    except (KeyError, TypeError, AttributeError):
        spec = FinishingSpec()
    if spec.digest != described_digest(described):
        raise JobError(
            "The job's finishing spec was written by another version, which knew more of finishing.",
            code="newer_version",
        )
    return spec


def finish_key(spec_digest: str, of_row: Mapping[str, Any]) -> str:
    """Digest (64 hex digits) of everything but the pixels that decides the bytes of a row's pictures.

    `of_row` is what the row itself brings along: its rights, captions and words to be set, never its custom_id, which
    stands in the picture but decides nothing (a renamed row keeps its picture, as with the render key). Neither is the
    name and version of the program part of it, or a device.
    """
    return _digest({"spec": spec_digest, "row": dict(of_row)})


def read_finishing_spec(text: str, format: str, where: str) -> FinishingSpec:
    """A finishing spec from TOML; `format` is that of the rendered pictures, `where` names the file in sentences.

    Raises:
        JobError: everything that is wrong with it.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise JobError(f"{where} is not TOML: {error}.", code="bad_finish_spec") from None
    problems: list[str] = []
    table = StrictTable(values, where, problems)
    spec = FinishingSpec(
        format=format,
        quality=read_quality(table, format),
        renditions=read_renditions(table),
        checks=read_checks(table),
        provenance=read_provenance_spec(table),
        copy=read_copy(table),
    )
    table.end()
    if problems:
        raise JobError(*problems, code="bad_finish_spec")
    return spec


def _described(value: Any) -> Any:
    if is_dataclass(value):
        return {
            field.name: _described(getattr(value, field.name))
            for field in fields(value)
            if field.compare and (field.default is MISSING or getattr(value, field.name) != field.default)
        }
    if isinstance(value, Mapping):
        return {name: _described(each) for name, each in value.items()}
    return [_described(each) for each in value] if isinstance(value, tuple) else value


def _restored(kind: Any, value: Any) -> Any:
    """What `_described` has made of a value of that type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _restored(hints[name], each) for name, each in value.items()})  # type: ignore[operator]
    if origin is UnionType:  # with None
        return _restored(arguments[0], value)
    if origin is tuple:
        return tuple(_restored(arguments[0], each) for each in value)
    if origin is Mapping:
        return {name: _restored(arguments[1], each) for name, each in value.items()}
    return value


def _digest(what: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
