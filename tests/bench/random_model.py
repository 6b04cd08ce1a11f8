"""Models of FLUX.2's exact shapes with random weights, made on the device where they run: no file, no download.

Times, bytes and whether bits repeat do not depend on what the weights are, as long as they are no zeros (which draw
less power) and nothing overflows: a matrix's numbers have the deviation that keeps its outputs as large as its inputs.
Text encoders read with mini's tokenizer, whose words are among the first of any dictionary.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLFlux2, FlowMatchEulerDiscreteScheduler, Flux2Transformer2DModel
from transformers import Qwen2TokenizerFast, Qwen3Config, Qwen3ForCausalLM

from pressrun.pipeline.families.flux2.autoencoder import Autoencoder
from pressrun.pipeline.families.flux2.renderer import Renderer
from pressrun.pipeline.families.flux2.sampling import Schedule
from pressrun.pipeline.families.flux2.text_encoder import TextEncoder, _quantise_layers
from pressrun.pipeline.families.flux2.transformer import BLOCKS, Transformer
from pressrun.pipeline.models.catalogue import Model, catalogue, find_model
from pressrun.pipeline.models.checkpoint import dtype_of, load_files
from pressrun.pipeline.models.precision import SCALE_BYTES
from pressrun.pipeline.models.quantisation import quantise

TEXT_WIDTHS = {"flux2-klein-4b": 2560, "flux2-klein-9b": 4096, "flux2-dev": 5120, "tiny": 64}
"""Of the text encoders; a prompt's embedding is three of their layers side by side (facts from the models' files)."""

SCHEDULER = {
    "base_shift": 0.5,
    "max_shift": 1.15,
    "shift": 3.0,
    "use_dynamic_shifting": True,
    "time_shift_type": "exponential",
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
}
"""FLUX.2's: the shift is ours and diffusers' `compute_empirical_mu`, by the picture's size."""


def model_named(name: str) -> Model:
    """The catalogue's model without a folder; "tiny" is [klein] with three narrow blocks."""
    if name == "tiny":
        made = replace(catalogue()["flux2-klein-4b"], name="tiny", blocks=(1, 2, 2), text_length=32)
        return replace(made, text_layers=(1, 2, 3), reference_pixels=64 * 64)
    return replace(catalogue()[name], folder=None)


def embedding_width(model: Model) -> int:
    """The D of a prompt's embedding."""
    return TEXT_WIDTHS[model.name] * len(model.text_layers)


def random_renderer(model: Model, precision: str, device: torch.device, encode: bool = False) -> Renderer:
    """Everything that denoises and decodes, and with `encode` what reads prompts ([klein] only)."""
    torch.manual_seed(0)
    return Renderer(
        model,
        text_encoder=_text_encoder(model, precision, device) if encode else None,
        transformer=Transformer(random_transformer(model, precision, device)),
        schedule=Schedule(FlowMatchEulerDiscreteScheduler(**SCHEDULER)),
        autoencoder=Autoencoder(_autoencoder(model, precision, device)),
    )


def random_transformer(model: Model, precision: str, device: torch.device) -> Flux2Transformer2DModel:
    """As `Transformer.load` would read one: tensor by tensor on the device, into eight bits there."""
    doubles, singles, heads = model.blocks
    with torch.device("meta"):
        network = Flux2Transformer2DModel(
            num_layers=doubles,
            num_single_layers=singles,
            num_attention_heads=heads,
            joint_attention_dim=embedding_width(model),
            guidance_embeds=model.family == "flux2",
        )
    dtype, tensors = dtype_of(precision), {}
    for name, empty in network.state_dict().items():
        if empty.ndim < 2:
            tensors[name] = torch.ones(empty.shape, dtype=dtype, device=device)
            continue
        tensor = torch.randn(empty.shape, dtype=dtype, device=device).mul_(empty.shape[1] ** -0.5)
        small = precision in SCALE_BYTES and name.startswith(BLOCKS)
        tensors[name] = quantise(tensor, precision) if small else tensor
    network.load_state_dict(tensors, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def _autoencoder(model: Model, precision: str, device: torch.device) -> AutoencoderKLFlux2:
    sizes: dict[str, Any] = {}
    if model.name == "tiny":
        sizes = {"block_out_channels": (16, 32, 32, 32), "decoder_block_out_channels": (16, 32, 32, 32)}
        sizes |= {"layers_per_block": 1, "norm_num_groups": 8, "mid_block_add_attention": False}
    with device:
        network = AutoencoderKLFlux2(**sizes)
    return network.to(dtype_of(precision)).eval().requires_grad_(False)


def _text_encoder(model: Model, precision: str, device: torch.device) -> TextEncoder:
    """Qwen 3 with as many layers as embeddings take (configuration: Qwen3-4B and 8B)."""
    width = TEXT_WIDTHS[model.name]
    heads, inner, words = (4, 128, 2048) if model.name == "tiny" else (32, {2560: 9728, 4096: 12288}[width], 151_936)
    config = Qwen3Config(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=max(model.text_layers),
        num_attention_heads=heads,
        num_key_value_heads=heads // 4,
        head_dim=32 if model.name == "tiny" else 128,
        tie_word_embeddings=True,
    )
    with device:
        network = Qwen3ForCausalLM._from_config(config, dtype=dtype_of(precision))
    network.lm_head = torch.nn.Identity()
    if precision in SCALE_BYTES:
        _quantise_layers(network.model.layers, precision, str(device))
    mini = find_model("mini")
    return TextEncoder(model, network.eval().requires_grad_(False), load_files(Qwen2TokenizerFast, mini, "tokenizer"))


def save(renderer: Renderer, folder: Path) -> Model:
    """Write a renderer's transformer as a model's folder would have it; answers the model there."""
    assert renderer.transformer
    renderer.transformer.network.save_pretrained(folder / "transformer", max_shard_size="5GB")
    return replace(renderer.model, folder=folder)
