"""The drawings as the flow network sees them: encoded, patched, normalised, and findable by what they show.

python -m pressrun.pipeline.mini.training.latents --data RUN/data --autoencoder RUN/ae --out RUN/latents
"""

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import AutoencoderKLFlux2

from pressrun.pipeline.mini.training.dataset import Drawings, load_drawings
from pressrun.pipeline.mini.training.scenes import Scene
from pressrun.pipeline.mini.training.train_autoencoder import load_autoencoder, patchify, to_pixels
from pressrun.pipeline.mini.training.vocabulary import ATTRIBUTES

PATCH = 16  # pixels a side of what one token covers


@dataclass
class Latents:
    """Encoded drawings of one shape: `tokens` (N, L, 128) in bfloat16, row by row, of the scenes in `scenes`.

    The other tables list the drawings by what they show: product and colour; scene, season and time of day; product
    and scene. `shows` (N, attributes) numbers what each of them shows, in the vocabulary's order.
    """

    width: int
    height: int
    scenes: list[Scene]
    tokens: torch.Tensor
    by_product: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    by_place: dict[tuple[str, str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    by_scene: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    shows: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        shows = [[names.index(getattr(scene, what)) for what, names in ATTRIBUTES.items()] for scene in self.scenes]
        self.shows = torch.tensor(shows, device=self.tokens.device)
        for i, scene in enumerate(self.scenes):
            self.by_product[scene.product, scene.colour].append(i)
            self.by_place[scene.scene, scene.season, scene.time].append(i)
            self.by_scene[scene.product, scene.scene].append(i)

    @property
    def length(self) -> int:
        """Tokens of one picture."""
        return (self.width // PATCH) * (self.height // PATCH)

    def positions(self, t: int) -> torch.Tensor:
        """Position ids (L, 4) of such a picture at time coordinate `t`: time, row, column, 0."""
        rows, columns = torch.arange(self.height // PATCH), torch.arange(self.width // PATCH)
        return torch.cartesian_prod(torch.tensor([t]), rows, columns, torch.tensor([0]))


@torch.no_grad()
def encode(model: AutoencoderKLFlux2, source: Drawings, count: int) -> torch.Tensor:
    """Tokens (count, L, 128) of the first drawings, as diffusers' pipeline encodes and normalises a reference."""
    mean = model.bn.running_mean.view(1, -1, 1, 1)
    std = torch.sqrt(model.bn.running_var.view(1, -1, 1, 1) + model.config.batch_norm_eps)
    batch = 16 if mean.device.type == "cpu" else 128
    found = []
    for i in range(0, count, batch):
        x = to_pixels(source.pixels[i : min(i + batch, count)], mean.device)
        with torch.autocast(x.device.type, torch.bfloat16):
            z = patchify(model.encode(x).latent_dist.mode())
        found.append(((z.float() - mean) / std).flatten(2).transpose(1, 2).bfloat16().cpu())
    return torch.cat(found)


def load_latents(folder: Path, drawings: list[Drawings], device: str = "cpu") -> list[Latents]:
    """The latents in `folder` with their scenes, one entry a shape. Raises FileNotFoundError before they are encoded.

    On a CPU they stay in the file, mapped into memory, so that processes share them.
    """
    found = []
    for source in drawings:
        path = folder / f"{source.width}x{source.height}.pt"
        tokens = torch.load(path, weights_only=True, mmap=True)
        tokens = tokens if device == "cpu" else tokens.to(device)
        found.append(Latents(source.width, source.height, source.scenes[: len(tokens)], tokens))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Encode the drawings for the flow network.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the drawings")
    parser.add_argument("--autoencoder", type=Path, required=True, help="folder of its run, or of a model")
    parser.add_argument("--out", type=Path, required=True, help="folder for the latents; shapes already there are kept")
    parser.add_argument("--share", type=float, default=1.0, help="of the drawings, 0..1")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()

    options.out.mkdir(parents=True, exist_ok=True)
    model = load_autoencoder(options.autoencoder).to(options.device)
    for source in load_drawings(options.data):
        path = options.out / f"{source.width}x{source.height}.pt"
        if path.exists():
            continue
        started, count = time.monotonic(), round(options.share * len(source.scenes))
        scratch = path.with_suffix(".tmp")
        torch.save(encode(model, source, count), scratch)
        scratch.replace(path)
        print(f"{path.stem}: {count} encoded, {count / (time.monotonic() - started):.0f} images/s", flush=True)


if __name__ == "__main__":
    main()
