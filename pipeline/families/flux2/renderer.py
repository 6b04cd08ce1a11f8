"""One process that renders: the four stages as methods, and `render`, which runs them in order.

    renderer = Renderer.load(find_model("mini"))
    [picture] = renderer.render([RenderRequest("mug-1", "a red mug in the snow", 128, 128, 10, 1.0, seed=7)])

On a cluster every actor loads the parts of its own stages and answers the same methods; what one returns, the next
takes. In a notebook one renderer does it all. Either way a request's pixels are the same.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
import torch
from PIL import Image

from pressrun.pipeline.families.flux2.autoencoder import Autoencoder
from pressrun.pipeline.families.flux2.sampling import Reference, Sampling, Schedule
from pressrun.pipeline.families.flux2.shape import shape_of, uses_cfg
from pressrun.pipeline.families.flux2.text_encoder import TextEncoder
from pressrun.pipeline.families.flux2.transformer import Transformer
from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.references.decode import decode_reference
from pressrun.pipeline.request import RenderRequest

T = TypeVar("T")

STAGES = ("encode", "denoise", "decode")


@dataclass(frozen=True)
class Renderer:
    """The parts of a model that some stages need; a method of a stage that was not loaded raises RuntimeError."""

    model: Model
    text_encoder: TextEncoder | None = None
    transformer: Transformer | None = None
    schedule: Schedule | None = None
    autoencoder: Autoencoder | None = None

    @classmethod
    def load(
        cls,
        model: Model,
        precision: str = "bf16",
        device: str = "cpu",
        stages: Collection[str] = STAGES,
        threads: int | None = None,
        compiled: bool = False,
    ) -> Self:
        """Read the parts that `stages` need. Raises JobError: a precision that cannot be had, files that cannot be
        loaded.

        `threads` limits the whole process's CPU threads; None leaves them as they are. `compiled`: see
        `Transformer.compile`.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        encode, denoise, decode = (stage in stages for stage in STAGES)
        transformer = Transformer.load(model, precision, device) if denoise else None
        if transformer and compiled:
            transformer.compile()
        return cls(
            model,
            text_encoder=TextEncoder.load(model, precision, device) if encode else None,
            transformer=transformer,
            schedule=Schedule.load(model) if denoise else None,
            autoencoder=Autoencoder.load(model, precision, device) if encode or decode else None,
        )

    def encode_prompt(self, prompt: str) -> torch.Tensor:
        """Stage encode: the prompt's embedding (L, D). Raises RequestError `prompt_too_long`."""
        return _loaded(self.text_encoder, "encode").encode(prompt)

    def encode_reference(self, data: bytes) -> Reference:
        """Stage encode: a reference picture's tokens (h * w, C) and grid (h, w), from a PNG's, JPEG's or WebP's bytes.

        Raises RequestError: `reference_unreadable`, `reference_too_large`, `reference_unsuitable`.
        """
        return self.encode_pixels(np.asarray(decode_reference(data, self.model)))

    def encode_pixels(self, pixels: np.ndarray) -> Reference:
        """Stage encode: as `encode_reference`, from what `decode_reference` made of the bytes: (H, W, 3), uint8."""
        return _loaded(self.autoencoder, "encode").encode(Image.fromarray(pixels))

    def denoise(
        self,
        requests: Sequence[RenderRequest],
        embeddings: Sequence[torch.Tensor],
        references: Sequence[Sequence[Reference]],
        negative_embedding: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Stage denoise: latents (B, h * w, C) of a unit, requests of one shape; see `sampling.sample`.

        `negative_embedding`, the empty prompt's, is needed where the shape is `uses_cfg` and ignored elsewhere.
        """
        sampling = self.prepare(requests, embeddings, references, negative_embedding)
        return sampling.finish(_loaded(self.transformer, "denoise"))

    def prepare(
        self,
        requests: Sequence[RenderRequest],
        embeddings: Sequence[torch.Tensor],
        references: Sequence[Sequence[Reference]],
        negative_embedding: torch.Tensor | None = None,
    ) -> Sampling:
        """Stage denoise up to its first step: what a thread may do for a unit while another one is computed."""
        transformer, schedule = _loaded(self.transformer, "denoise"), _loaded(self.schedule, "denoise")
        if not uses_cfg(requests[0].guidance, self.model):
            negative_embedding = None
        elif negative_embedding is None:
            raise ValueError(f"{self.model.name} at guidance {requests[0].guidance} needs the empty prompt's embedding")
        return Sampling(transformer, schedule, requests, embeddings, references, negative_embedding)

    def decode(self, latents: torch.Tensor, request: RenderRequest) -> np.ndarray:
        """Stage decode: one request's latents (h * w, C) as its finished pixels (height, width, 3), uint8.

        What was rendered beyond the finished size is cropped off around the centre.
        """
        width, height = request.render_size
        pixels = _loaded(self.autoencoder, "decode").decode(latents, height, width)  # (H, W, 3)
        top, left = (height - request.height) // 2, (width - request.width) // 2
        return pixels[top : top + request.height, left : left + request.width]

    def render(
        self, requests: Sequence[RenderRequest], references: Sequence[Sequence[bytes]] | None = None
    ) -> list[Image.Image]:
        """All stages: a picture for every request, in order. `references` holds each request's pictures as bytes.

        Requests of one shape are denoised as one tensor. Raises RequestError for the first request that cannot be.
        """
        # 1. Encode: equal prompts and equal references once.
        pictures = references if references is not None else [()] * len(requests)
        words = {prompt: self.encode_prompt(prompt) for prompt in {request.prompt for request in requests}}
        seen = {data: self.encode_reference(data) for data in {data for row in pictures for data in row}}
        encoded = [[seen[data] for data in row] for row in pictures]

        # 2. Units: what has one shape runs together.
        units: dict[Shape, list[int]] = {}
        for index, request in enumerate(requests):
            shape = shape_of(request, [grid for _, grid in encoded[index]], self.model)
            units.setdefault(shape, []).append(index)

        # 3. Denoise unit by unit, decode picture by picture.
        finished: dict[int, Image.Image] = {}
        for shape, rows in units.items():
            unit = [requests[index] for index in rows]
            negative = self.encode_prompt("") if shape.uses_cfg else None
            embeddings = [words[request.prompt] for request in unit]
            latents = self.denoise(unit, embeddings, [encoded[index] for index in rows], negative)
            for index, request, row in zip(rows, unit, latents, strict=True):
                finished[index] = Image.fromarray(self.decode(row, request))
        return [finished[index] for index in range(len(requests))]


def _loaded(part: T | None, stage: str) -> T:
    if part is None:
        raise RuntimeError(f"this renderer was loaded without its {stage} stage")
    return part
