"""What actors are told when they start: which part of which model they hold, and what every picture has in common."""

from dataclasses import dataclass, field
from typing import Any

from pressrun.cluster.protocol.signing import Signing
from pressrun.cluster.store.opening import Place
from pressrun.pipeline.finishing.spec import FinishingSpec


@dataclass(frozen=True)
class ModelSpec:
    """What a model actor loads: `model` is a catalogue name or a folder that every node has, `stages` its part of it.

    `compile` has the blocks compiled, where the device is a GPU. `weights` are files of the model that a node may
    lack, by their paths, with Ray's references to their bytes. Nothing in it belongs to a job or says whose it is.
    """

    model: str
    digest: str
    precision: str
    stages: tuple[str, ...] = ()
    device: str = "cpu"
    compile: bool = False
    weights: tuple[tuple[str, Any], ...] = ()

    @property
    def compiled(self) -> bool:
        """Whether blocks are compiled where this is loaded."""
        return self.compile and self.device != "cpu"


@dataclass(frozen=True)
class Finishing:
    """What every picture of a job has in common once its pixels are there. `generator` is our name and version,
    `pixels` where pixels are kept, if they are."""

    place: Place
    spec: FinishingSpec
    model: str
    model_digest: str
    precision: str
    generator: str
    signing: Signing | None = field(default=None, repr=False)
    pixels: Place | None = None
