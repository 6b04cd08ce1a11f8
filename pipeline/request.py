"""A request: one picture wanted, and the digest of everything that decides its pixels."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_type_hints

MULTIPLE = 16
"""Sides are rendered at multiples of 16 pixels: the autoencoder's factor 8 times patches of 2."""
Grid = tuple[int, int]
"""Rows and columns of latent tokens that a picture becomes: one token for 16 x 16 pixels."""

REVISION = 1
"""Raised whenever our own sampling changes pixels, so that old pictures are not taken for new ones."""

_json = json.JSONEncoder(ensure_ascii=False).encode

WHOLE_PIXELS = 1024 * 1024
"""Pictures of more pixels are decoded in tiles (see `pipeline.families.flux2.tiles`), whatever memory a machine has:
how a picture is decoded depends on its request alone."""


@dataclass(frozen=True)
class Field:
    """A field of a request, which is a column of the manifest.

    `kind` is its type there. A number is `least` to `most`, a text has at most `most` characters. What is wrong with it
    fails its row with `code`; `unit` is what it counts, in words. `change` names the reason that is given where another
    value makes another picture; "" for a field that is not in the render key as it stands.
    """

    kind: Literal["text", "int32", "int64", "float64", "texts"]
    least: float = 0
    most: float = 0
    code: str = ""
    unit: str = ""
    change: str = ""


_SIDE = Field("int32", 1, 16_383, "bad_size", " of pixels", change="size")
"""Where the model names no limit of its own: WebP ends there, and browsers soon after."""


@dataclass(frozen=True)
class RenderRequest:
    """One picture wanted: a row of the manifest after defaults were filled in and values were checked.

    `width` and `height` are the finished picture's pixels, `seed` a 63-bit unsigned integer,
    `references` URIs of pictures in the order in which the prompt may speak of them. Fields are declared here: the
    manifest's columns, their checks and comparisons follow from it, and `RenderKeys` takes those with a `change`.
    """

    # It has to fit into a name and into a picture's record.
    custom_id: Annotated[str, Field("text", most=1_000)]
    # Several times what the longest text encoder reads.
    prompt: Annotated[str, Field("text", most=10_000, change="prompt")]
    width: Annotated[int, _SIDE]
    height: Annotated[int, _SIDE]
    steps: Annotated[int, Field("int32", 1, 1_000, "bad_steps", change="settings")]
    guidance: Annotated[float, Field("float64", 0, 100, "bad_guidance", change="settings")]
    seed: Annotated[int, Field("int64", 0, 2**63 - 1, "bad_seed", change="settings")]
    references: Annotated[tuple[str, ...], Field("texts")] = ()

    @property
    def render_size(self) -> tuple[int, int]:
        """Width and height in pixels at which the model works; the surplus is cropped off around the centre."""
        return _render_size(self.width, self.height)


FIELDS: dict[str, Field] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(RenderRequest, include_extras=True).items()
}
"""The fields of a request by name, in the order of the manifest's columns."""

KEYED = tuple(name for name, field in FIELDS.items() if field.change)
"""Those that `RenderKeys` takes, in this order; of references it takes the digests."""


def _render_size(width: int, height: int) -> tuple[int, int]:
    return -(-width // MULTIPLE) * MULTIPLE, -(-height // MULTIPLE) * MULTIPLE


def derived_seed(custom_id: str) -> int:
    """Seed of a row that names none: 63 bits of the name's SHA-256, so that a reworded prompt keeps its composition."""
    return int.from_bytes(hashlib.sha256(custom_id.encode()).digest()[:8], "big") >> 1


def next_seed(seed: int) -> int:
    """The seed that is tried after a picture of this one was not good enough: as far from it as any other, and always
    the same one."""
    return derived_seed(f"after {seed}")


def render_key(request: RenderRequest, references: Sequence[str], model_digest: str, precision: str) -> str:
    """Digest (64 hex digits) of everything that decides a request's pixels.

    `references` are the SHA-256 digests of the reference pictures' bytes, in order. The custom_id is not part of it
    (a renamed row keeps its picture), nor is the device: see the determinism contract.
    """
    return RenderKeys(model_digest, precision).of(request, references)


class RenderKeys:
    """Render keys of many requests under one model: a million take four seconds. The digest is of canonical JSON,
    sorted by name, which `json.dumps` writes too, three times as slowly."""

    def __init__(self, model_digest: str, precision: str) -> None:
        self._recipe = f'"model": {_json(model_digest)}, "precision": {_json(precision)}'

    def of(self, request: RenderRequest, references: Sequence[str]) -> str:
        """As `render_key`."""
        decides: dict[str, Any] = {name: getattr(request, name) for name in KEYED}
        return self(**decides, references=references)

    def __call__(
        self,
        prompt: str,
        width: int,
        height: int,
        steps: int,
        guidance: float,
        seed: int,
        references: Sequence[str] = (),
    ) -> str:
        """As `render_key`."""
        digests = ", ".join(map(_json, references))
        tiles = '"decoding": "tiles", ' if math.prod(_render_size(width, height)) > WHOLE_PIXELS else ""
        decides = (
            f'{{{tiles}"guidance": {guidance!r}, "height": {height}, {self._recipe}, "prompt": {_json(prompt)}, '
            f'"references": [{digests}], "revision": {REVISION}, "seed": {seed}, "steps": {steps}, "width": {width}}}'
        )
        return hashlib.sha256(decides.encode()).hexdigest()
