"""A request: one picture wanted, and the digest of everything that decides its pixels."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

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
class RenderRequest:
    """One picture wanted: a row of the manifest after defaults were filled in and values were checked.

    `width` and `height` are the finished picture's pixels, `seed` a 63-bit unsigned integer,
    `references` URIs of pictures in the order in which the prompt may speak of them.
    """

    custom_id: str
    prompt: str
    width: int
    height: int
    steps: int
    guidance: float
    seed: int
    references: tuple[str, ...] = ()

    @property
    def render_size(self) -> tuple[int, int]:
        """Width and height in pixels at which the model works; the surplus is cropped off around the centre."""
        return _render_size(self.width, self.height)


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
    sizes = (request.width, request.height, request.steps)
    return RenderKeys(model_digest, precision)(request.prompt, *sizes, request.guidance, request.seed, references)


class RenderKeys:
    """Render keys of many requests under one model: a million take four seconds. The digest is of canonical JSON,
    sorted by name, which `json.dumps` writes too, three times as slowly."""

    def __init__(self, model_digest: str, precision: str) -> None:
        self._recipe = f'"model": {_json(model_digest)}, "precision": {_json(precision)}'

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
