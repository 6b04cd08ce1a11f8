"""What the units of a plan need of the actors that take them: bytes of memory, and seconds for each stage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pressrun.pipeline.families.family import Footprint, family_of
from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.models.catalogue import Model

STAGES = ("encode", "denoise", "decode")

CONTEXT_BYTES = 1 << 30
"""What a process takes on a GPU before its first tensor: CUDA's context, and the matrix library's work space."""

PATIENCE_SEC = 900.0
"""Without any progress before a worker counts as hanging, unless its calls may take longer."""

SLOWEST = {"cpu": 2e9, "cuda": 1e13}
"""Operations a second that a device makes at least: a core that others use as well, a GPU of some years ago. (One of
today's cores makes 1e11 in blocks and 2e10 in long attention, one of today's GPUs 5e14.)"""

LIBRARY_BYTES = 800_000_000
"""What an actor's process takes of a machine's memory beside its model: PyTorch and diffusers."""


@dataclass(frozen=True)
class StageSeconds:
    """How long each stage of one picture takes, or in what proportion; `source` says who knows."""

    encode: float
    denoise: float
    decode: float
    source: str = ""


GUESS = StageSeconds(0.05, 1.0, 0.05, "a guess")


@dataclass(frozen=True)
class Requirements:
    """Of one model in one precision, for units of these `shapes` (each with its batch) and for stages that take these
    `seconds`. Without a `footprint` nothing is known of the model, and its bytes count as nothing. The longest call
    takes so many `operations`."""

    footprint: Footprint | None
    precision: str
    shapes: Sequence[tuple[Shape, int]]
    seconds: StageSeconds = GUESS
    model: str = "the model"
    operations: float = 0.0

    @property
    def blocks(self) -> int | None:
        """Of the transformer: more shards than these there cannot be."""
        return len(self.footprint.blocks) if self.footprint else None

    def patience_sec(self, device: str) -> float:
        """How long a worker on such a device may be without any progress before it counts as hanging."""
        return max(PATIENCE_SEC, self.operations / SLOWEST[device])

    def weights(self, stages: Sequence[str], blocks: range | None = None) -> int:
        """Bytes of what one actor holds."""
        return self.footprint.weights(stages, self.precision, blocks) if self.footprint else 0

    def activations(self, stages: Sequence[str]) -> int:
        """Bytes of what one actor computes in, at most."""
        if not self.footprint:
            return 0
        return max(self.footprint.activations(stages, *shape, self.precision) for shape in self.shapes)

    def ranges(self, shards: int) -> list[range | None]:
        """The blocks of each shard; None for a transformer in one piece, or an unknown one."""
        if not self.footprint or shards == 1:
            return [None] * shards
        return list(self.footprint.cut(shards))

    def bytes(self, stages: Sequence[str], shards: int = 1) -> int:
        """Weights and activations of one actor; of several shards those of the largest."""
        return max(self.weights(stages, blocks) for blocks in self.ranges(shards)) + self.activations(stages)


def requirements_of(
    model: Model, precision: str, shapes: Sequence[tuple[Shape, int, int]], measured: StageSeconds | None = None
) -> Requirements:
    """What a plan needs whose shapes have these batches and numbers of rows. The seconds are those that were measured,
    else in the proportion of the stages' arithmetic.

    Raises:
        JobError: the model's configuration cannot be read.
    """
    footprint = family_of(model).footprint(model)
    seconds, longest = measured or GUESS, 0.0
    if footprint:
        calls = ((stage, shape, batch) for stage in STAGES for shape, batch, _ in shapes)
        longest = max(footprint.operations(stage, shape) * batch for stage, shape, batch in calls)
    if not measured and footprint:
        encode, denoise, decode = (
            sum((footprint.operations(stage, shape) * rows for shape, _, rows in shapes), 0.0) for stage in STAGES
        )
        seconds = StageSeconds(encode, denoise, decode, "the stages' arithmetic")
    # Memory is decided by the longest unit, the largest picture, and whether there are references.
    extremes: tuple[Callable[[Shape, int], int], ...] = (
        lambda shape, batch: shape.tokens * batch,
        lambda shape, _: shape.width * shape.height,
        lambda shape, _: shape.reference_tokens,
    )
    decisive = dict.fromkeys(max(shapes, key=lambda one: size(*one[:2]))[:2] for size in extremes)
    return Requirements(footprint, precision, tuple(decisive), seconds, model.name, longest)


def gib(size: float) -> str:
    """Bytes as a person reads them."""
    return f"{size / 2**30:.1f} GiB"
