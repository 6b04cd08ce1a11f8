"""What requests must share to run as one tensor batch. Free of torch: the planner groups a million rows by it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.request import MULTIPLE, Grid, RenderRequest


@dataclass(frozen=True, order=True)
class Shape:
    """The key of a unit: requests of one shape stack into one tensor and take the same steps.

    `width` and `height` are the *rendered* pixels (multiples of 16; finished sizes inside them may differ row by row).
    `guidance` is 1.0 where the model ignores it. References may differ in every row, in number, size and layout, as
    long as their tokens add up to the same `reference_tokens`: every row carries its own rotary positions.
    """

    width: int
    height: int
    steps: int
    guidance: float
    reference_tokens: int
    text_tokens: int
    classifier_free: bool

    @property
    def grid(self) -> Grid:
        """Rows and columns of the picture's own tokens."""
        return self.height // MULTIPLE, self.width // MULTIPLE

    @property
    def tokens(self) -> int:
        """Length of the sequence that the transformer attends over: text, picture and references."""
        return self.text_tokens + self.grid[0] * self.grid[1] + self.reference_tokens

    @property
    def passes(self) -> int:
        """Transformer calls of one unit: a step with real guidance takes two, with the prompt and without."""
        return self.steps * (2 if self.classifier_free else 1)


def shape_of(request: RenderRequest, grids: Sequence[Grid], model: Model) -> Shape:
    """The shape of `request`, whose references become `grids` (see `reference.reference_grid`), under `model`."""
    width, height = request.render_size
    return Shape(
        width=width,
        height=height,
        steps=request.steps,
        guidance=effective_guidance(request.guidance, model),
        reference_tokens=sum(rows * columns for rows, columns in grids),
        text_tokens=model.text_length,
        classifier_free=classifier_free(request.guidance, model),
    )


def effective_guidance(guidance: float, model: Model) -> float:
    """The guidance that reaches the pixels: 1.0 where a distilled model ignores it or below the point where it acts."""
    if model.family == "flux2":
        return guidance
    return guidance if classifier_free(guidance, model) else 1.0


def classifier_free(guidance: float, model: Model) -> bool:
    """Whether every step is computed twice, with the prompt and with an empty one, and extrapolated between the two.

    [klein] base models do above 1.0; distilled models ignore guidance, and [dev] takes it as an input.
    Source: `Flux2KleinPipeline.do_classifier_free_guidance` in diffusers 0.42.
    """
    return model.family == "flux2-klein" and not model.distilled and guidance > 1.0
