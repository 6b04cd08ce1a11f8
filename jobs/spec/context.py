"""A job's context: whose keys open stores, what is sent to web servers, and who signs pictures and webhooks.

It is made where somebody comes in (the command line, or Python's `pressrun.render`) and goes with the job from there:
nothing further down looks into this process's environment for any of it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from pressrun.cluster.net.fetch_rules import HEADERS
from pressrun.cluster.protocol.signing import VARIABLES as SIGNING
from pressrun.cluster.store.opening import Stores

WEBHOOK_SECRET = "PRESSRUN_WEBHOOK_SECRET"


@dataclass(frozen=True)
class Context:
    """`stores` opens buckets, `reference_headers` is JSON of what web servers are sent, `signing` the signer's
    variables, `webhook_secret` what webhooks are signed with. All of it is secret."""

    stores: Stores = field(default_factory=Stores)
    reference_headers: str = field(default="", repr=False)
    signing: Mapping[str, str] = field(default_factory=dict, repr=False)
    webhook_secret: str = field(default="", repr=False)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Context":
        """What an environment gives access to."""
        signing = {name: environment[name] for name in SIGNING if name in environment}
        secret = environment.get(WEBHOOK_SECRET, "")
        return cls(Stores.of(environment), environment.get(HEADERS, ""), signing, secret)

    @classmethod
    def of_this_process(cls) -> "Context":
        """What this process's environment gives access to."""
        return cls.of(os.environ)
