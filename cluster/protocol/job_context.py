"""A job's context, as actors get it: with each call, because they hold nothing of a job between two of them."""

from dataclasses import dataclass, field

from pressrun.cluster.net.fetch_rules import WebRules
from pressrun.cluster.protocol.spec import Finishing
from pressrun.cluster.store.opening import Stores


@dataclass(frozen=True)
class JobContext:
    """What the actors that fetch references and finish pictures are told of the job that they do it for.

    `key` names it: no two contexts share one. `web` says which references may be fetched from web servers, `stores`
    opens those in buckets, `references` is the folder on the driver's machine that holds the pixels of those that it
    has seen ("" for none), `reference_pixels` caps their area.
    """

    key: str
    finishing: Finishing
    web: WebRules = field(default_factory=WebRules)
    stores: Stores = field(default_factory=Stores, repr=False)
    references: str = ""
    reference_pixels: int = 1024 * 1024
