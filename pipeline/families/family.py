"""A family of models, as the rest of Pressrun sees it: everything that only the family knows is asked here.

A family is a folder beside this module. Its `family` module answers without torch, because planners ask it; what
computes is imported when it is loaded.
"""

from collections.abc import Collection, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.request import Grid, RenderRequest

if TYPE_CHECKING:
    import numpy as np
    import torch

HiddenStates: TypeAlias = "tuple[torch.Tensor, ...]"
"""The hidden states of one pass between two blocks."""

_MODULES = {name: f"pressrun.pipeline.families.{name.partition('-')[0]}.family" for name in ("flux2", "flux2-klein")}
"""Where each value of `Model.family` is answered for."""


class Footprint(Protocol):
    """What a model takes: memory by part, activations by shape, arithmetic by stage."""

    @property
    def blocks(self) -> Sequence[int]:
        """Parameters of each block that shards can be cut between; a family without shards has one."""

    def cut(self, shards: int) -> Sequence[range]:
        """The blocks of each of so many shards, whose work is as equal as can be."""

    def weights(self, stages: Collection[str], precision: str, blocks: range | None = None) -> int:
        """Bytes of the parts that stages need; `blocks` are a shard's, None for the whole."""

    def activations(self, stages: Collection[str], shape: Shape, batch: int, precision: str) -> int:
        """Bytes that the most demanding of `stages` computes in, for a unit of `batch` requests of one shape."""

    def operations(self, stage: str, shape: Shape) -> float:
        """Operations of matrix products that a stage takes for one picture."""


class Sampling(Protocol):
    """A unit's rows on their way from noise to latents."""

    def finish(self, transformer: Any) -> "torch.Tensor":
        """Latents (B, tokens, C) after the last step."""


class Renderer(Protocol):
    """The parts of a model that some stages need. What one stage returns, the next takes."""

    @property
    def model(self) -> Model:
        """Whose parts these are."""

    @property
    def transformer(self) -> Any:
        """What `Sampling.finish` takes; None where it was not loaded."""

    def encode_prompt(self, prompt: str) -> "torch.Tensor":
        """A text's conditioning (L, D). Raises RequestError `prompt_too_long`."""

    def encode_pixels(self, pixels: "np.ndarray") -> "tuple[torch.Tensor, Grid]":
        """The conditioning (tokens, C) of a reference's pixels (H, W, 3), and its grid."""

    def prepare(
        self,
        requests: Sequence[RenderRequest],
        embeddings: "Sequence[torch.Tensor]",
        references: "Sequence[Sequence[tuple[torch.Tensor, Grid]]]",
        negative_embedding: "torch.Tensor | None" = None,
    ) -> Sampling:
        """A unit before its first step: what a thread may do while another unit is computed."""

    def decode(self, latents: "torch.Tensor", request: RenderRequest) -> "np.ndarray":
        """One request's latents as its finished pixels (height, width, 3), uint8."""


class ShardSampling(Protocol):
    """A unit's rows in the first of several shards. Between two steps each pass is a stream of hidden states that goes
    through all of them."""

    latents: "torch.Tensor"

    def terms(self) -> Any:
        """What the next step's passes need in every shard; None after the last one."""

    def streams(self) -> "list[HiddenStates]":
        """The next step's passes, before their first block."""

    def advance(self, streams: "Sequence[HiddenStates]") -> None:
        """Take a step along what came out behind the last block."""


class Shard(Protocol):
    """One block range of a transformer."""

    def compile(self) -> None:
        """Have its blocks compiled. Raises JobError where that cannot be had."""

    def begin(self, *batch: Any) -> ShardSampling:
        """A unit's rows before their first step, in the first shard."""

    def run(self, stream: "HiddenStates", terms: Any) -> "HiddenStates":
        """A pass through its blocks."""


class ModelFamily(Protocol):
    """What is asked of a family; `model` is always one of its own."""

    def shape(self, model: Model, width: int, height: int, steps: int, guidance: float, reference_tokens: int) -> Shape:
        """The key of units for requests of these rendered sides, whose references come to so many tokens."""

    def effective_guidance(self, model: Model, guidance: float) -> float:
        """The guidance that reaches the pixels: requests that differ only in what does not are of one shape."""

    def footprint(self, model: Model) -> Footprint | None:
        """What the model takes; None where nothing is known of it.

        Raises:
            JobError: its configuration cannot be read.
        """

    def prepare(self) -> None:
        """Import what computes; it takes seconds."""

    def load(
        self, model: Model, precision: str, device: str, stages: Collection[str], threads: int, compiled: bool
    ) -> Renderer:
        """Read the parts that stages need.

        Raises:
            JobError: a precision that cannot be had, files that cannot be loaded.
        """

    def load_shard(self, model: Model, precision: str, device: str, number: int, shards: int) -> Shard:
        """Read one of so many block ranges of a transformer. Raises JobError as `load`."""


def family_of(model: Model) -> ModelFamily:
    """The family that answers for a model."""
    family: ModelFamily = import_module(_MODULES[model.family]).FAMILY
    return family
