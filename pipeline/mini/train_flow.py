"""Train the flow network together with its text encoder on the encoded drawings.

Rectified flow: x_t = (1 - t) x + t noise, and the network predicts noise - x. What it is given matches diffusers'
Flux2KleinPipeline exactly: padded prompts, three hidden layers side by side, position ids, references after the target.
"""

import argparse
import dataclasses
import os
import random
import tempfile
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel
from torch import distributed, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import Qwen2Tokenizer, Qwen3ForCausalLM

from pipeline.mini.architecture import (
    TEXT_LAYERS,
    TEXT_LENGTH,
    TEXT_WIDTH,
    build_autoencoder,
    build_pipeline,
    build_text_encoder,
    build_transformer,
)
from pipeline.mini.batches import Batch, batch_of
from pipeline.mini.dataset import load_drawings
from pipeline.mini.export import export
from pipeline.mini.judge import split_scores
from pipeline.mini.latents import load_latents
from pipeline.mini.optimiser import Optimiser, split
from pipeline.mini.run import Run
from pipeline.mini.tokenizer import train_tokenizer
from pipeline.mini.vocabulary import ATTRIBUTES

NAMING_WEIGHT = 0.02


class FlowModel(nn.Module):
    """Text encoder and transformer as one module, called the way the pipeline calls them."""

    def __init__(self, tokenizer: Qwen2Tokenizer) -> None:
        super().__init__()
        self.text_encoder: Qwen3ForCausalLM = build_text_encoder(tokenizer)
        self.transformer: Flux2Transformer2DModel = build_transformer()
        nn.init.normal_(self.text_encoder.model.embed_tokens.weight, std=0.5)
        nn.init.zeros_(self.transformer.proj_out.weight)
        text = torch.arange(TEXT_LENGTH)
        ids = torch.cartesian_prod(torch.tensor([0]), torch.tensor([0]), torch.tensor([0]), text)
        self.register_buffer("text_positions", ids, persistent=False)
        self.naming = nn.Linear(TEXT_WIDTH * len(TEXT_LAYERS), sum(len(names) for names in ATTRIBUTES.values()))

    def forward(self, batch: Batch, noisy: torch.Tensor, times: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The predicted flow (B, L, 128) of `noisy` (B, L, 128) at `times` (B,) in 0..1, and what the text names.

        The second result, (B, names of all attributes), exists for training alone: it is read off the last text
        token, and makes the text encoder tell products, colours and scenes apart long before pictures teach it to.
        """
        states = self.text_encoder.model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            output_hidden_states=True,
            use_cache=False,
        ).hidden_states
        text = torch.cat([states[k] for k in TEXT_LAYERS], dim=-1)  # (B, 48, 384)
        flow = self.transformer(
            hidden_states=torch.cat([noisy, batch.references.to(noisy.dtype)], dim=1),
            encoder_hidden_states=text,
            timestep=times,
            img_ids=batch.positions,
            txt_ids=self.text_positions,
            return_dict=False,
        )[0]
        return flow[:, : noisy.shape[1]], self.naming(text[:, -1])


def loss_of(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Mean squared error of the flow at logit-normal times, a tenth of them uniform so that no time is unknown."""
    x = batch.target.float()
    noise = torch.randn_like(x)
    times = torch.sigmoid(0.3 + 1.1 * torch.randn(len(x), device=x.device))
    times = torch.where(torch.rand_like(times) < 0.1, torch.rand_like(times), times)
    t = times[:, None, None]
    flow, names = _in_bfloat16(model, batch, (1 - t) * x + t * noise, times)
    loss = (flow.float() - (noise - x)).square().mean()
    if batch.references.shape[1]:
        return loss  # what a reference shows is not in the text
    tables = split_scores(names.float())
    naming = sum(functional.cross_entropy(table, batch.labels[:, k]) for k, table in enumerate(tables.values()))
    return loss + NAMING_WEIGHT * naming


def _in_bfloat16(
    model: nn.Module, batch: Batch, noisy: torch.Tensor, times: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Call `model` with all weights cast to bfloat16, as they are shipped; gradients reach the float32 originals.

    Autocast would keep the norms in float32 and so miss their fused form. Attention over some hundred tokens is
    quicker as plain matrix products than in the flash form, whose backward pass alone was two fifths of a CPU's step.
    """
    weights = {name: p.bfloat16() for name, p in model.named_parameters()}
    kernel = SDPBackend.MATH if noisy.device.type == "cpu" else SDPBackend.FLASH_ATTENTION
    with sdpa_kernel(kernel):
        return functional_call(model, weights, (batch, noisy.bfloat16(), times))


def load_autoencoder(folder: Path) -> AutoencoderKLFlux2:
    """The averaged weights of an autoencoder run. Raises FileNotFoundError where there was none."""
    model = build_autoencoder()
    state = torch.load(folder / "autoencoder.pt", map_location="cpu", weights_only=True)
    model.load_state_dict(state["average"])
    return model.eval().to(memory_format=torch.channels_last)


def export_run(model: nn.Module, autoencoder: AutoencoderKLFlux2, tokenizer: Qwen2Tokenizer, folder: Path) -> None:
    """Write the model folder with the weights of `model` and `autoencoder`."""
    pipeline = build_pipeline(tokenizer)
    for name in ("transformer", "text_encoder"):
        getattr(pipeline, name).load_state_dict(model.get_submodule(name).state_dict())
    pipeline.vae.load_state_dict(autoencoder.state_dict())
    export(pipeline, folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the shipped model's flow network and text encoder.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; its checkpoint is resumed from")
    parser.add_argument("--data", type=Path, required=True, help="folder of the drawings")
    parser.add_argument("--autoencoder", type=Path, required=True, help="folder of the autoencoder's run")
    parser.add_argument("--pictures", type=int, default=20_000, help="how many of the drawings to encode and use")
    parser.add_argument("--minutes", type=float, default=50)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--compile", action="store_true", help="compile the blocks: minutes once, then a third quicker")
    parser.add_argument("--export", type=Path, help="model folder to write at the end; by default OUT/model")
    parser.add_argument("--finish", action="store_true", help="export the checkpoint as it is, and stop")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def main() -> None:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    if "WORLD_SIZE" in os.environ:  # set by torchrun
        distributed.init_process_group("gloo")
    autoencoder = load_autoencoder(options.autoencoder).to(options.device)
    sources = load_latents(options.out / "latents.pt", autoencoder, load_drawings(options.data), options.pictures)
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = train_tokenizer(Path(scratch))
    torch.manual_seed(0)
    model = FlowModel(tokenizer).to(options.device)
    ends = ("embed", "modulation", "norm_out", "proj_out")
    optimiser = Optimiser(*split(model, ends), lr=options.lr, other_lr=options.lr / 3)
    run = Run(options.out, "flow", model, optimiser, options.minutes, decay=0.997)
    if options.compile and not options.finish:
        blocks = [*model.transformer.transformer_blocks, *model.transformer.single_transformer_blocks]
        for block in blocks:  # block by block: all of a kind share one compilation, whatever the shapes
            block.compile(dynamic=True)
    seed = run.steps * run.world + run.rank
    torch.manual_seed(seed)
    rng = random.Random(seed)
    while run.progress < 1 and not options.finish:
        batch = batch_of(sources, options.batch, tokenizer, rng)
        run.step(loss_of(model, to_device(batch, options.device)), len(batch.captions))
    if not options.finish:
        run.save()
    if run.rank == 0:
        export_run(run.average, autoencoder.cpu(), tokenizer, options.export or options.out / "model")
        print(f"exported: {run.steps} steps, {run.pictures} pictures")


def to_device(batch: Batch, device: str) -> Batch:
    """The same batch with its tensors on `device`."""
    tensors: dict[str, Any] = {name: value for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
    return dataclasses.replace(batch, **{name: value.to(device) for name, value in tensors.items()})


if __name__ == "__main__":
    main()
