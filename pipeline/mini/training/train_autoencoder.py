"""Train the autoencoder on the drawings, then fit the batch statistics by which its latents are normalised.

Crops of the pictures suffice: everything in it is a convolution. Half the batches are crops of small pictures, half
are fewer and larger crops of large ones. Run the drawings first (`pipeline.mini.training.dataset`).
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLFlux2
from safetensors.torch import load_file
from torch.nn import functional

from pressrun.pipeline.mini.training.architecture import build_autoencoder
from pressrun.pipeline.mini.training.dataset import Drawings, load_drawings
from pressrun.pipeline.mini.training.group_norm import quicken
from pressrun.pipeline.mini.training.optimiser import Optimiser, split
from pressrun.pipeline.mini.training.run import Run

CROP = 96  # pixels; the shortest side of any training picture, half that of the larger ones
KL_WEIGHT = 2e-4  # of the mean divergence per latent value: noise of about 40 dB, enough to keep latents compact


def to_pixels(pictures: np.ndarray, device: torch.device | str = "cpu") -> torch.Tensor:
    """uint8 (B, H, W, 3) -> float32 (B, 3, H, W) in -1..1 on `device`, channels last; brought there as bytes."""
    x = torch.tensor(pictures).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    return x.contiguous(memory_format=torch.channels_last)


def crops(drawings: list[Drawings], batch: int, rng: np.random.Generator) -> torch.Tensor:
    """Random crops from random drawings, in -1..1: (batch, 3, CROP, CROP), or a quarter as many of twice the side."""
    side = CROP if rng.random() < 0.5 else 2 * CROP
    count = batch if side == CROP else max(batch // 4, 1)
    fitting = [d for d in drawings if (min(d.width, d.height) >= 2 * CROP) is (side > CROP)]
    sizes = np.array([len(d.scenes) for d in fitting])
    out = np.empty((count, side, side, 3), np.uint8)
    for i in range(count):
        source = fitting[int(rng.choice(len(fitting), p=sizes / sizes.sum()))]
        y, x = (int(rng.integers(length - side + 1)) for length in (source.height, source.width))
        out[i] = source.pixels[int(rng.integers(len(source.scenes)))][y : y + side, x : x + side]
    return to_pixels(out)


def loss_of(model: AutoencoderKLFlux2, x: torch.Tensor) -> torch.Tensor:
    """Squared and absolute error of pixels and of their differences (edges), plus a little divergence."""
    with torch.autocast(x.device.type, torch.bfloat16):
        posterior = model.encode(x).latent_dist
        y = model.decode(posterior.sample()).sample
    y = y.float()
    mean, logvar = posterior.mean.float(), posterior.logvar.float()
    divergence = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
    across = (y - x).diff(dim=3).abs().mean()
    down = (y - x).diff(dim=2).abs().mean()
    error = functional.mse_loss(y, x) + 0.1 * functional.l1_loss(y, x) + 0.1 * (across + down)
    loss: torch.Tensor = error + KL_WEIGHT * divergence
    return loss


@torch.no_grad()
def psnr(model: AutoencoderKLFlux2, pictures: np.ndarray) -> float:
    """Reconstruction of uint8 (N, H, W, 3) in dB of 8-bit values: the mean over pictures of each one's own figure."""
    figures = []
    for i in range(0, len(pictures), 8):
        x = to_pixels(pictures[i : i + 8], next(model.parameters()).device)
        with torch.autocast(x.device.type, torch.bfloat16):
            y = model.decode(model.encode(x).latent_dist.mode()).sample
        y = y.float().clamp(-1, 1)
        figures += [-10 * math.log10(float(e)) for e in ((y - x) / 2).square().mean((1, 2, 3))]
    return sum(figures) / len(figures)


def patchify(latents: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) -> (B, 4C, H / 2, W / 2), in the order of diffusers' Flux2KleinPipeline._patchify_latents."""
    b, c, h, w = latents.shape
    return latents.view(b, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(b, 4 * c, h // 2, w // 2)


@torch.no_grad()
def fit_statistics(model: AutoencoderKLFlux2, drawings: list[Drawings], pictures: int = 2000) -> None:
    """Set `bn.running_mean` and `running_var` to the moments of encoded training pictures, all shapes in proportion."""
    found = []
    total = sum(len(d.scenes) for d in drawings)
    for source in drawings:
        for i in range(0, round(pictures * len(source.scenes) / total), 16):
            x = to_pixels(source.pixels[i : i + 16], next(model.parameters()).device)
            with torch.autocast(x.device.type, torch.bfloat16):
                z = patchify(model.encode(x).latent_dist.mode())
            found.append(z.float().transpose(0, 1).flatten(1).cpu())
    values = torch.cat(found, dim=1)  # (128, pictures x patches)
    model.bn.running_mean.copy_(values.mean(1))
    model.bn.running_var.copy_(values.var(1))


def load_autoencoder(folder: Path) -> AutoencoderKLFlux2:
    """The averaged weights of an autoencoder's run, or the autoencoder of a model's folder, in float32.

    Raises FileNotFoundError where neither is.
    """
    model = build_autoencoder()
    if (folder / "vae").is_dir():
        state = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    else:
        state = torch.load(folder / "autoencoder.pt", map_location="cpu", weights_only=True)["average"]
    model.load_state_dict(state)
    return model.eval().to(memory_format=torch.channels_last)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the shipped model's autoencoder.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; its checkpoint is resumed from")
    parser.add_argument("--data", type=Path, required=True, help="folder of the drawings")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument(
        "--warm-start", type=Path, help="folder of a model whose autoencoder to start from, instead of noise"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()

    torch.manual_seed(0)
    drawings = load_drawings(options.data)
    shown = drawings[0].pixels[:64]
    model = build_autoencoder()
    if options.warm_start:
        model.load_state_dict(load_autoencoder(options.warm_start).state_dict())
    model.to(options.device, memory_format=torch.channels_last)
    quicken(model)
    optimiser = Optimiser(*split(model, ("conv_in", "conv_out", "quant_conv")), lr=options.lr)
    run = Run(options.out, "autoencoder", model, optimiser, options.minutes, decay=0.995)
    rng = np.random.default_rng(run.steps)
    while run.progress < 1:
        x = crops(drawings, options.batch, rng).to(options.device)
        run.step(loss_of(model, x), len(x))
        if run.steps % 250 == 0:
            print(f"reconstruction {psnr(run.average, shown):.2f} dB", flush=True)
    fit_statistics(run.average, drawings)
    run.save()
    print(f"done: {run.steps} steps, {run.pictures} crops, reconstruction {psnr(run.average, shown):.2f} dB")


if __name__ == "__main__":
    main()
