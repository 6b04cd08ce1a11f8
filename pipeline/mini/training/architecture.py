"""The parts of the shipped model, untrained: diffusers' and transformers' own classes at a laptop's size.

Everything that FLUX.2 [klein] does is kept (two streams then one, four rotary axes, 2 x 2 patches under batch
statistics, three hidden layers of a Qwen3 side by side), so that whatever runs this model runs the large ones.
"""

import math

import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
)
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3ForCausalLM

TEXT_LENGTH = 48  # tokens; every prompt is padded to it, and the padding is part of what the model has learned
TEXT_LAYERS = (1, 2, 3)  # hidden states of the text encoder that make up the prompt's embedding
TEXT_WIDTH = 128
SHIFT = 1.5  # of the sampling times: klein's own rule (empirical mu) is far too strong at 64 tokens

WIDTH = 240
HEAD_DIM = 48
ROTARY_AXES = (8, 16, 16, 8)  # time, row, column, position in the text; they add up to HEAD_DIM
DOUBLE_BLOCKS = 2
SINGLE_BLOCKS = 5
LATENT_CHANNELS = 32


def build_transformer() -> Flux2Transformer2DModel:
    """The flow network. In: latent patches (B, L, 128), text (B, 48, 384), times (B,) in 0..1; out: (B, L, 128)."""
    return Flux2Transformer2DModel(
        in_channels=4 * LATENT_CHANNELS,
        num_layers=DOUBLE_BLOCKS,
        num_single_layers=SINGLE_BLOCKS,
        attention_head_dim=HEAD_DIM,
        num_attention_heads=WIDTH // HEAD_DIM,
        joint_attention_dim=TEXT_WIDTH * len(TEXT_LAYERS),
        timestep_guidance_channels=256,
        mlp_ratio=3.0,
        axes_dims_rope=ROTARY_AXES,
        rope_theta=2000,
        guidance_embeds=False,
    )


def build_autoencoder() -> AutoencoderKLFlux2:
    """The autoencoder. In: pictures (B, 3, H, W) in -1..1; latents: (B, 32, H / 8, W / 8)."""
    return AutoencoderKLFlux2(
        block_out_channels=(16, 32, 64, 96),
        decoder_block_out_channels=(16, 32, 64, 96),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=128,
        mid_block_add_attention=False,
    )


def build_text_encoder(tokenizer: Qwen2Tokenizer) -> Qwen3ForCausalLM:
    """The text encoder, its embedding as large as the tokenizer's vocabulary and shared with the (unused) head."""
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=3 * TEXT_WIDTH,
            num_hidden_layers=max(TEXT_LAYERS),
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """The sampling times: Euler steps under a fixed shift, whatever the number of tokens."""
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=SHIFT, use_dynamic_shifting=False)


def build_pipeline(tokenizer: Qwen2Tokenizer, seed: int = 0) -> Flux2KleinPipeline:
    """The whole model with random weights that depend on `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Flux2KleinPipeline(
            scheduler=build_scheduler(),
            vae=build_autoencoder(),
            text_encoder=build_text_encoder(tokenizer),
            tokenizer=tokenizer,
            transformer=build_transformer(),
            is_distilled=True,
        )


def count_parameters(pipeline: Flux2KleinPipeline) -> dict[str, int]:
    """Parameters of each part, by the part's name."""
    parts = {"transformer": pipeline.transformer, "text_encoder": pipeline.text_encoder, "vae": pipeline.vae}
    return {name: sum(math.prod(p.shape) for p in part.parameters()) for name, part in parts.items()}
