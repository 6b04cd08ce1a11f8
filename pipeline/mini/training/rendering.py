"""Rendering with the shipped model: the one place of this package that knows how pictures are made from prompts.

Evaluation goes through diffusers' own pipeline, so that its figures hold for anyone who loads the folder.
"""

from collections.abc import Sequence

import torch
from diffusers import Flux2KleinPipeline
from PIL import Image

from pressrun.pipeline.mini.training.architecture import TEXT_LAYERS, TEXT_LENGTH

DEFAULT_STEPS = 8


@torch.no_grad()
def render(
    pipeline: Flux2KleinPipeline,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    references: Sequence[Image.Image] = (),
    width: int = 256,
    height: int = 256,
    steps: int = DEFAULT_STEPS,
) -> list[Image.Image]:
    """One RGB picture of `width` x `height` pixels a prompt; the `references` are shown to all of them.

    Each picture has a generator of its own. Raises ValueError when `prompts` and `seeds` differ in number.
    """
    if len(prompts) != len(seeds):
        raise ValueError(f"{len(prompts)} prompts but {len(seeds)} seeds")
    result = pipeline(
        image=list(references) or None,
        prompt=list(prompts),
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        width=width,
        height=height,
        num_inference_steps=steps,
        guidance_scale=1.0,
        max_sequence_length=TEXT_LENGTH,
        text_encoder_out_layers=TEXT_LAYERS,
    )
    return list(result.images)
