"""The autoencoder: pictures become latent tokens and latent tokens become pictures, always one picture at a time.

A picture's latents have 32 channels at an eighth of its sides. FLUX.2 gathers patches of 2 x 2 of them into tokens of
128 channels at a sixteenth, and normalises every channel by the statistics that were gathered in training.
"""

from typing import Self

import numpy as np
import torch
from diffusers import AutoencoderKLFlux2
from diffusers.pipelines.flux2.image_processor import Flux2ImageProcessor
from PIL import Image

from pressrun.pipeline.families.flux2.tiles import decode_in_tiles
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.models.checkpoint import dtype_of, load_part
from pressrun.pipeline.request import MULTIPLE, WHOLE_PIXELS, Grid

PATCH = 2


class Autoencoder:
    """A model's autoencoder. Bit for bit what diffusers' Flux2 pipelines compute for one picture; but for rounding,
    where it is so large that it is decoded in tiles."""

    def __init__(self, network: AutoencoderKLFlux2) -> None:
        self.network = network
        self.processor = Flux2ImageProcessor(vae_scale_factor=MULTIPLE)
        self.mean = network.bn.running_mean.view(1, -1, 1, 1)  # (1, C, 1, 1)
        self.deviation = torch.sqrt(network.bn.running_var.view(1, -1, 1, 1) + network.config.batch_norm_eps)

    @classmethod
    def load(cls, model: Model, precision: str, device: str = "cpu") -> Self:
        """Read the weights from `model`'s folder; there are no eight bits for convolutions. Raises JobError where they
        cannot be loaded."""
        return cls(load_part(AutoencoderKLFlux2, model, "vae", dtype_of(precision), device))

    @torch.no_grad()
    def encode(self, picture: Image.Image) -> tuple[torch.Tensor, Grid]:
        """A reference picture (RGB, sides multiples of 16) as tokens (h * w, C), and their grid (h, w).

        Source: `Flux2Pipeline.prepare_image_latents`; the most likely latents are taken, nothing is drawn at random.
        """
        pixels = self.processor.preprocess(picture)  # (1, 3, H, W) in -1..1
        pixels = pixels.to(device=self.network.device, dtype=self.network.dtype)
        latents = self.network.encode(pixels).latent_dist.mode()  # (1, C/4, H/8, W/8)
        _, channels, rows, columns = latents.shape
        patches = latents.view(1, channels, rows // PATCH, PATCH, columns // PATCH, PATCH).permute(0, 1, 3, 5, 2, 4)
        patches = patches.reshape(1, channels * PATCH**2, rows // PATCH, columns // PATCH)  # (1, C, h, w)
        patches = (patches - self.mean) / self.deviation
        return patches.flatten(2)[0].T.contiguous(), (rows // PATCH, columns // PATCH)

    @torch.no_grad()
    def decode(self, latents: torch.Tensor, height: int, width: int) -> np.ndarray:
        """One picture's latents (h * w, C) as pixels (height, width, 3), uint8; both sides are multiples of 16.

        Source: the end of `Flux2Pipeline.__call__`.
        """
        rows, columns, channels = height // MULTIPLE, width // MULTIPLE, latents.shape[-1]
        latents = latents.to(self.network.device)
        patches = latents.view(1, rows, columns, channels).permute(0, 3, 1, 2)  # (1, C, h, w)
        patches = patches * self.deviation + self.mean
        patches = patches.reshape(1, channels // PATCH**2, PATCH, PATCH, rows, columns).permute(0, 1, 4, 2, 5, 3)
        latents = patches.reshape(1, channels // PATCH**2, rows * PATCH, columns * PATCH)  # (1, C/4, H/8, W/8)
        if width * height > WHOLE_PIXELS:
            pixels = decode_in_tiles(self.network, latents)  # (1, 3, H, W) in -1..1
        else:
            pixels = self.network.decode(latents, return_dict=False)[0]
        [picture] = self.processor.postprocess(pixels, output_type="pil")
        return np.asarray(picture)
