"""FLUX.2 as a `ModelFamily`: what planners ask is answered here, and what computes is imported when it is loaded."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from pressrun.pipeline.families.family import ModelFamily
from pressrun.pipeline.families.flux2.footprint import Footprint, footprint_of
from pressrun.pipeline.families.flux2.shape import effective_guidance, uses_cfg
from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.models.catalogue import Model

if TYPE_CHECKING:
    from pressrun.pipeline.families.flux2.renderer import Renderer
    from pressrun.pipeline.families.flux2.sampling import Shard


class Flux2:
    """The methods are those of `ModelFamily`."""

    def shape(self, model: Model, width: int, height: int, steps: int, guidance: float, reference_tokens: int) -> Shape:
        effective = effective_guidance(guidance, model)
        twice = uses_cfg(guidance, model)
        return Shape(width, height, steps, effective, reference_tokens, model.text_length, twice)

    def effective_guidance(self, model: Model, guidance: float) -> float:
        return effective_guidance(guidance, model)

    def footprint(self, model: Model) -> Footprint | None:
        return footprint_of(model)

    def prepare(self) -> None:
        from pressrun.pipeline.families.flux2 import renderer  # noqa: F401

    def load(
        self, model: Model, precision: str, device: str, stages: Collection[str], threads: int, compiled: bool
    ) -> "Renderer":
        from pressrun.pipeline.families.flux2.renderer import Renderer

        return Renderer.load(model, precision, device, stages, threads=threads, compiled=compiled)

    def load_shard(self, model: Model, precision: str, device: str, number: int, shards: int) -> "Shard":
        from pressrun.pipeline.families.flux2.sampling import Shard

        return Shard.load(model, precision, device, number, shards)


FAMILY: ModelFamily = Flux2()
