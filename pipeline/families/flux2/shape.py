"""The shape of a request under a model of this family, and which guidance reaches its pixels. Free of torch."""

from collections.abc import Sequence

from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.request import Grid, RenderRequest


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
        uses_cfg=uses_cfg(request.guidance, model),
    )


def effective_guidance(guidance: float, model: Model) -> float:
    """The guidance that reaches the pixels: 1.0 where a distilled model ignores it or below the point where it acts."""
    if model.family == "flux2":
        return guidance
    return guidance if uses_cfg(guidance, model) else 1.0


def uses_cfg(guidance: float, model: Model) -> bool:
    """Whether every step is computed twice, with the prompt and with an empty one, and extrapolated between the two.

    [klein] base models do above 1.0; distilled models ignore guidance, and [dev] takes it as an input.
    Source: `Flux2KleinPipeline.do_classifier_free_guidance` in diffusers 0.42.
    """
    return model.family == "flux2-klein" and not model.distilled and guidance > 1.0
