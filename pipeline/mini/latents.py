"""The drawings as the flow network sees them: encoded, patched, normalised, and findable by what they show."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import AutoencoderKLFlux2

from pipeline.mini.dataset import Drawings
from pipeline.mini.scenes import Scene
from pipeline.mini.train_autoencoder import patchify, to_pixels

PATCH = 16  # pixels a side of what one token covers


@dataclass
class Latents:
    """Encoded drawings of one shape: `tokens` (N, L, 128) in bfloat16, row by row, of the scenes in `scenes`.

    `same_product[(product, colour)]` and `same_place[scene]` list the drawings that show them.
    """

    width: int
    height: int
    scenes: list[Scene]
    tokens: torch.Tensor
    same_product: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    same_place: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for i, scene in enumerate(self.scenes):
            self.same_product[scene.product, scene.colour].append(i)
            self.same_place[scene.scene].append(i)

    def positions(self, t: int) -> torch.Tensor:
        """Position ids (L, 4) of such a picture at time coordinate `t`: time, row, column, 0."""
        rows, columns = torch.arange(self.height // PATCH), torch.arange(self.width // PATCH)
        return torch.cartesian_prod(torch.tensor([t]), rows, columns, torch.tensor([0]))


@torch.no_grad()
def encode(model: AutoencoderKLFlux2, source: Drawings, count: int) -> torch.Tensor:
    """Tokens (count, L, 128) of the first drawings, as diffusers' pipeline encodes and normalises a reference."""
    mean = model.bn.running_mean.view(1, -1, 1, 1)
    std = torch.sqrt(model.bn.running_var.view(1, -1, 1, 1) + model.config.batch_norm_eps)
    found = []
    for i in range(0, count, 16):
        x = to_pixels(source.pixels[i : min(i + 16, count)]).to(mean.device)
        with torch.autocast(x.device.type, torch.bfloat16):
            z = patchify(model.encode(x).latent_dist.mode())
        found.append(((z.float() - mean) / std).flatten(2).transpose(1, 2).bfloat16().cpu())
    return torch.cat(found)


def load_latents(path: Path, model: AutoencoderKLFlux2, drawings: list[Drawings], pictures: int) -> list[Latents]:
    """The latents of about `pictures` of the `drawings`, one entry a shape; encoded once, then read from `path`."""
    if not path.exists():
        share = min(pictures / sum(len(source.scenes) for source in drawings), 1.0)
        found = []
        for source in drawings:
            found.append(encode(model, source, round(share * len(source.scenes))))
            print(f"{source.width}x{source.height}: {len(found[-1])} drawings encoded", flush=True)
        torch.save(found, path)
    tokens = torch.load(path, weights_only=True)
    return [Latents(d.width, d.height, d.scenes[: len(t)], t) for d, t in zip(drawings, tokens, strict=True)]
