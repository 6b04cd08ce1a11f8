"""Train the flow network together with its text encoder on the encoded drawings (`pipeline.mini.training.latents`).

Rectified flow: x_t = (1 - t) x + t noise, and the network predicts noise - x. What it is given matches diffusers'
Flux2KleinPipeline exactly: padded prompts, three hidden layers side by side, position ids, references after the target.
"""

import argparse
import dataclasses
import math
import os
import tempfile
from pathlib import Path

import torch
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel
from torch import distributed, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader
from transformers import Qwen2Tokenizer, Qwen3ForCausalLM

from pressrun.pipeline.mini.training.architecture import (
    TEXT_LAYERS,
    TEXT_LENGTH,
    TEXT_WIDTH,
    WIDTH,
    build_pipeline,
    build_text_encoder,
    build_transformer,
)
from pressrun.pipeline.mini.training.attention import quicken_attention
from pressrun.pipeline.mini.training.batches import (
    NOTHING,
    REFERENCE_SHARE,
    SMALL_FIRST,
    UNSAID,
    Batch,
    Planner,
    Plans,
    assemble,
    tokenise,
)
from pressrun.pipeline.mini.training.dataset import load_drawings
from pressrun.pipeline.mini.training.export import export, load
from pressrun.pipeline.mini.training.judge import split_scores
from pressrun.pipeline.mini.training.latents import load_latents
from pressrun.pipeline.mini.training.optimiser import Optimiser, split
from pressrun.pipeline.mini.training.run import Run
from pressrun.pipeline.mini.training.tokenizer import train_tokenizer
from pressrun.pipeline.mini.training.train_autoencoder import load_autoencoder
from pressrun.pipeline.mini.training.vocabulary import ATTRIBUTES

SMALLEST = 64  # tokens of a small square: the size at which the times are those of the paper
NAMING_WEIGHT = 0.02
SEEING_WEIGHT = 0.03
SEEING_BLOCK = 1  # of the single blocks: the middle of the network
GUIDED_FROM = 0.5  # of a run's time; before, there is little to guide
GUIDED_ABOVE = 0.2  # the times above which guidance acts: below, everything is decided


class FlowModel(nn.Module):
    """Text encoder and transformer as one module, called the way the pipeline calls them."""

    nothing: torch.Tensor
    nothing_mask: torch.Tensor

    def __init__(self, tokenizer: Qwen2Tokenizer) -> None:
        super().__init__()
        self.text_encoder: Qwen3ForCausalLM = build_text_encoder(tokenizer)
        self.transformer: Flux2Transformer2DModel = build_transformer()
        nn.init.normal_(self.text_encoder.model.embed_tokens.weight, std=0.5)
        nn.init.zeros_(self.transformer.proj_out.weight)
        for block in self.transformer.single_transformer_blocks:  # every block starts as one that changes nothing
            nn.init.zeros_(block.attn.to_out.weight)
        text = torch.arange(TEXT_LENGTH)
        ids = torch.cartesian_prod(torch.tensor([0]), torch.tensor([0]), torch.tensor([0]), text)
        self.register_buffer("text_positions", ids, persistent=False)
        for name, found in zip(("nothing", "nothing_mask"), tokenise(tokenizer, [NOTHING]), strict=True):
            self.register_buffer(name, found, persistent=False)  # (1, 48)
        names = sum(len(names) for names in ATTRIBUTES.values())
        self.naming = nn.Linear(TEXT_WIDTH * len(TEXT_LAYERS), names)
        self.seeing = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, names))

    def forward(
        self, batch: Batch, noisy: torch.Tensor, times: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The predicted flow (B, L, 128) of `noisy` (B, L, 128) at `times` (B,) in 0..1; what words name; what is seen.

        The other results, (B, names of all attributes) each, exist for training alone. The second is read off the last
        text token, and makes the text encoder tell products, colours and scenes apart long before pictures teach it
        to. The third is read off the noisy picture's tokens half-way through the network (their mean): where noise
        hides all, only words and references tell what the picture is to show, so that the network looks there early.
        """
        states = self.text_encoder.model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            output_hidden_states=True,
            use_cache=False,
        ).hidden_states
        text = torch.cat([states[k] for k in TEXT_LAYERS], dim=-1)  # (B, 48, 384)
        middle: list[torch.Tensor] = []  # (B, 48 + L + R, WIDTH)
        block = self.transformer.single_transformer_blocks[SEEING_BLOCK]
        hook = block.register_forward_hook(lambda _block, _inputs, output: middle.append(output))
        flow = self.transformer(
            hidden_states=torch.cat([noisy, batch.references.to(noisy.dtype)], dim=1),
            encoder_hidden_states=text,
            timestep=times,
            img_ids=batch.positions,
            txt_ids=self.text_positions,
            return_dict=False,
        )[0]
        hook.remove()
        seen = middle[0][:, TEXT_LENGTH : TEXT_LENGTH + noisy.shape[1]].mean(1)
        return flow[:, : noisy.shape[1]], self.naming(text[:, -1]), self.seeing(seen)

    def asking_nothing(self, batch: Batch) -> Batch:
        """The same batch without words and references."""
        size, length = batch.target.shape[:2]
        return dataclasses.replace(
            batch,
            references=batch.references[:, :0],
            positions=batch.positions[:length],
            input_ids=self.nothing.expand(size, -1),
            attention_mask=self.nothing_mask.expand(size, -1),
        )


def loss_of(model: FlowModel, batch: Batch, guidance: float = 0.0) -> torch.Tensor:
    """Mean squared error of the flow at logit-normal times, a tenth of them uniform so that no time is unknown.

    Larger pictures need more noise to hide as much (Esser et al. 2024, section 5.3.2): their times are shifted by the
    square root of their tokens. With `guidance` w the network is taught the flow that classifier-free guidance of
    1 / (1 - w) would follow, so that sampling needs none (Tang et al. 2025, "Diffusion Models without Classifier-free
    Guidance"): the target moves by w times what words and references change about its own prediction.
    """
    x = batch.target.float()
    noise = torch.randn_like(x)
    mean = 0.3 + 0.5 * math.log(x.shape[1] / SMALLEST)
    times = torch.sigmoid(mean + 1.1 * torch.randn(len(x), device=x.device))
    times = torch.where(torch.rand_like(times) < 0.1, torch.rand_like(times), times)
    t = times[:, None, None]
    noisy, target = (1 - t) * x + t * noise, noise - x
    flow, names, seen = _in_bfloat16(model, batch, noisy, times)
    if guidance:
        with torch.no_grad():
            unasked, *_ = _in_bfloat16(model, model.asking_nothing(batch), noisy, times)
            told = (batch.input_ids != model.nothing[0]).any(1)[:, None, None]
            target = target + guidance * told * (t > GUIDED_ABOVE) * (flow.float() - unasked.float())
    loss = (flow.float() - target).square().mean()
    loss = loss + NAMING_WEIGHT * _missed(names, batch.labels)
    return loss + SEEING_WEIGHT * _missed(seen, batch.shows)


def _missed(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross entropy of `scores` (B, names of all attributes), a mean over those that have a label, summed up."""
    found = []
    for k, table in enumerate(split_scores(scores.float()).values()):
        missed = functional.cross_entropy(table, labels[:, k], ignore_index=UNSAID, reduction="sum")
        found.append(missed / (labels[:, k] != UNSAID).sum().clamp_min(1))
    return torch.stack(found).sum()


def _in_bfloat16(
    model: FlowModel, batch: Batch, noisy: torch.Tensor, times: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Call `model` with all weights cast to bfloat16, as they are shipped; gradients reach the float32 originals.

    Autocast would keep the norms in float32 and so miss their fused form.
    """
    weights = {name: p.bfloat16() for name, p in model.named_parameters()}
    fast = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]  # the text encoder's mask needs the second
    with sdpa_kernel([SDPBackend.MATH] if noisy.device.type == "cpu" else fast):
        answer: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
        answer = functional_call(model, weights, (batch, noisy.bfloat16(), times))
        return answer


def start_from(model: FlowModel, tokenizer: Qwen2Tokenizer, folder: Path) -> None:
    """Take over the weights of the model in `folder` where names and shapes match; blocks it lacks change nothing.

    A token's embedding is the mean of those of the pieces into which the other tokenizer cuts it.
    """
    found = load(folder, torch.float32)
    for name in ("transformer", "text_encoder"):
        mine = model.get_submodule(name)
        theirs = getattr(found, name).state_dict()
        own = mine.state_dict()
        mine.load_state_dict(
            {k: theirs[k] if k in theirs and theirs[k].shape == v.shape else v for k, v in own.items()}
        )
    old, known = found.text_encoder.model.embed_tokens.weight, found.tokenizer.get_vocab()
    with torch.no_grad():
        for token, number in tokenizer.get_vocab().items():
            text = tokenizer.decode([number])
            pieces = [known[token]] if token in known else found.tokenizer(text, add_special_tokens=False)["input_ids"]
            model.text_encoder.model.embed_tokens.weight[number] = old[pieces].mean(0)


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
    parser.add_argument("--latents", type=Path, required=True, help="folder of the encoded drawings")
    parser.add_argument("--autoencoder", type=Path, required=True, help="folder of its run, or of a model")
    parser.add_argument("--warm-start", type=Path, help="folder of a model to start from where shapes match")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--tokens", type=int, default=6144, help="of a batch, text and references counted")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--decay", type=float, default=0.997, help="of the moving average, per step")
    parser.add_argument("--guidance", type=float, default=0.4, help="w of loss_of, in the later part of a run")
    parser.add_argument("--guided-from", type=float, default=GUIDED_FROM, help="share of the run; 0 for a warm start")
    parser.add_argument("--small-first", type=float, default=SMALL_FIRST, help="share of the run; 0 for a warm start")
    parser.add_argument("--referred", type=float, default=REFERENCE_SHARE, help="share of batches with references")
    parser.add_argument("--workers", type=int, default=0, help="processes that plan batches ahead; for a GPU, 8")
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
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = train_tokenizer(Path(scratch))
    torch.manual_seed(0)
    model = FlowModel(tokenizer)
    if options.warm_start and not (options.out / "flow.pt").exists():
        start_from(model, tokenizer, options.warm_start)
    model.to(options.device)
    ends = ("embed", "modulation", "norm_out", "proj_out", "naming", "seeing")
    optimiser = Optimiser(*split(model, ends), lr=options.lr, other_lr=options.lr / 3)
    run = Run(options.out, "flow", model, optimiser, options.minutes, decay=options.decay)
    if not options.finish:
        train(run, model, tokenizer, options)
        run.save()
    if run.rank == 0:
        autoencoder = load_autoencoder(options.autoencoder)
        export_run(run.average, autoencoder, tokenizer, options.export or options.out / "model")
        print(f"exported: {run.steps} steps, {run.pictures} pictures")


def train(run: Run, model: FlowModel, tokenizer: Qwen2Tokenizer, options: argparse.Namespace) -> None:
    """Train until the run's time is over."""
    shelves = load_latents(options.latents, load_drawings(options.data), options.device)
    if options.device == "cpu":
        quicken_attention()
    if options.compile:
        torch._dynamo.config.cache_size_limit = 64
        blocks = [*model.transformer.transformer_blocks, *model.transformer.single_transformer_blocks]
        for block in blocks:  # block by block: all of a kind share one compilation, whatever the shapes
            block.forward = torch.compile(block.forward, dynamic=True)  # hooks stay outside
    seed = run.steps * run.world + run.rank
    torch.manual_seed(seed)
    progress = torch.zeros(()).share_memory_()
    # A worker needs what the drawings show, not the latents themselves.
    titles = [dataclasses.replace(shelf, tokens=torch.empty(0)) for shelf in shelves]
    mix = {"referred": options.referred, "small_first": options.small_first}
    plans = Plans(Planner(titles, tokenizer, options.tokens, **mix), progress, seed)
    ahead = 4 if options.workers else None
    for plan in DataLoader(plans, batch_size=None, num_workers=options.workers, prefetch_factor=ahead):
        batch = assemble(plan, shelves)
        guidance = options.guidance if run.progress > options.guided_from else 0.0
        run.step(loss_of(model, batch, guidance), len(batch.captions))
        progress.fill_(run.progress)
        if run.progress >= 1:
            break


if __name__ == "__main__":
    main()
