"""A unit: requests of one shape that run as one tensor batch; the grain of scheduling and retry. And its outcome."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from pressrun.pipeline.checks.finding import Finding
from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.finishing.provenance import NOTHING_SAID, Provenance
from pressrun.pipeline.request import RenderRequest, next_seed, render_key


@dataclass(frozen=True)
class Reference:
    """A reference picture as the plan found it: where it is, the SHA-256 of its bytes, its tokens' grid (h, w).

    Equal bytes are equal references, wherever they lie: they are encoded once.
    """

    uri: str = field(compare=False)
    sha256: str
    grid: tuple[int, int]


@dataclass(frozen=True)
class Item:
    """One request on its way to its picture: `path` is relative to the job's folder, `row` counts in the manifest.

    `render_key` stands for the pixels that are wanted, `finish_key` for what is made of them. `findings` are what is
    known before there are pixels. `reseeds` counts the seeds that were not good enough before the request's own;
    `tried` says of each what was wrong. `words` are set on the picture, by column. `replaces` is the render key of the
    row's own picture that this one takes the place of, "" if there is none.
    """

    row: int
    request: RenderRequest
    path: str
    render_key: str
    finish_key: str
    references: tuple[Reference, ...] = ()
    provenance: Provenance = NOTHING_SAID
    required_text: str = ""
    findings: tuple[Finding, ...] = ()
    reseeds: int = 0
    tried: tuple[str, ...] = ()
    likeness: int | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    replaces: str = ""


@dataclass(frozen=True)
class Unit:
    """Items of one shape. `index` is its place in the order in which units are sent; cost decides what is bound first.

    `batch` is its shape's one batch size: a unit of more items is computed batch by batch, and a device that is not
    batch-invariant pads a short batch to it. See `cluster.protocol.batch_limits` for devices that do not hold so many.
    """

    index: int
    shape: Shape
    items: tuple[Item, ...]
    cost: float = 0.0
    batch: int = 1

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpacked, (self._packed,)

    @cached_property
    def _packed(self) -> bytes:
        """Everything in it, pickled once for its three calls: Ray's pickler would ask Python about each item anew."""
        return pickle.dumps((self.index, self.shape, self.items, self.cost, self.batch), pickle.HIGHEST_PROTOCOL)


def _unpacked(packed: bytes) -> Unit:
    return Unit(*pickle.loads(packed))


@dataclass(frozen=True)
class StoredRendition:
    """A rendition that stands in the store: `image` is its path, sides in pixels."""

    name: str
    image: str
    width: int
    height: int
    format: str
    bytes: int
    sha256: str


@dataclass
class Outcome:
    """What became of one item. `error_code` is empty for a success. Small: the only thing that visits the driver.

    `seed` is the one that was really used, if it is not the request's own; `likeness` see `pipeline.checks.likeness`;
    `batch_rows` are the rows that were denoised at once, padding included, None where nobody knows.
    """

    row: int
    custom_id: str
    status: str
    image: str | None = None
    width: int | None = None
    height: int | None = None
    sha256: str | None = None
    bytes: int | None = None
    render_key: str | None = None
    finish_key: str | None = None
    renditions: tuple[StoredRendition, ...] = ()
    seed: int | None = None
    reseeds: int = 0
    tried: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    likeness: int | None = None
    device: str | None = None
    batch_rows: int | None = None
    attempts: int = 1
    seconds: dict[str, float] = field(default_factory=dict)
    error_code: str | None = None
    error_message: str | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True)
class ShardCall:
    """When one shard of a replica computed, in epoch seconds."""

    shard: int
    started: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.started


@dataclass(frozen=True)
class Report:
    """One call's small second return value: when it ran (epoch seconds), where, and what it could not do.

    `failures` maps an item's place in the unit to (code, message); of a denoise or decode call, which fails as a
    whole, the first. `batch` tells how many rows were denoised at once, which may be less than the unit's batch if
    memory did not suffice. `outcomes` comes from finish only, and so do the items that are to be rendered `again` with
    another seed;
    `storage_error` is the sentence of a store that failed although it was asked again. A replica of several shards
    tells when each of them computed (`calls`), and, if one of them is gone, what was `lost`.
    """

    stage: str
    started: float
    ended: float
    device: str
    pid: int
    failures: dict[int, tuple[str, str]] = field(default_factory=dict)
    batch: int | None = None
    outcomes: tuple[Outcome, ...] = ()
    again: tuple[Item, ...] = ()
    storage_error: str | None = None
    sizes: tuple[int, ...] = ()
    calls: tuple[ShardCall, ...] = ()
    lost: str | None = None

    @property
    def seconds(self) -> float:
        """Computing, not waiting: of several shards the sum."""
        return sum(call.seconds for call in self.calls) if self.calls else self.ended - self.started


def with_next_seed(item: Item, reasons: Sequence[Finding], model_digest: str, precision: str) -> Item:
    """An item that is tried again with the next seed."""
    request = replace(item.request, seed=next_seed(item.request.seed))
    digests = [reference.sha256 for reference in item.references]
    key = render_key(request, digests, model_digest, precision)
    why = " ".join(each.message for each in reasons) or "not good enough."
    tried = (*item.tried, f"Seed {item.request.seed}: {why}")
    return replace(item, request=request, render_key=key, reseeds=item.reseeds + 1, tried=tried)
