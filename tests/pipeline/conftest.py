"""Small models with random weights, one of each family, built into a folder in a second and loaded like large ones."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
)
from PIL import Image
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    MistralConfig,
    PixtralVisionConfig,
    PreTrainedTokenizerFast,
    Qwen2TokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from pressrun.pipeline.models.catalogue import Model, find_model
from pressrun.pipeline.request import RenderRequest

FAMILIES = ("klein", "klein-base", "dev")
TEXT_LENGTHS = {"klein": 96, "klein-base": 96, "dev": 288}
"""Tokens, a byte each; [dev]'s system message takes 180 of them."""

QWEN_TEMPLATE = """{% for m in messages %}<|im_start|>{{ m['role'] }}
{{ m['content'] }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

MISTRAL_TEMPLATE = """<s>{% for m in messages %}{% for c in m['content'] %}[{{ m['role'] }}]{{ c['text'] }}\
{% endfor %}{% endfor %}"""


def vocabulary(*special: str) -> dict[str, int]:
    """One token for every byte, and the special ones."""
    return {token: number for number, token in enumerate([*sorted(ByteLevel.alphabet()), *special])}


def qwen_tokenizer() -> Qwen2TokenizerFast:
    vocab = vocabulary("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    tokenizer = Qwen2TokenizerFast(vocab=vocab, merges=[], padding_side="right")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = QWEN_TEMPLATE
    return tokenizer


def mistral_tokenizer() -> PreTrainedTokenizerFast:
    backend = Qwen2TokenizerFast(vocab=vocabulary("<s>", "<pad>"), merges=[]).backend_tokenizer
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", pad_token="<pad>")
    tokenizer.padding_side = "left"
    tokenizer.chat_template = MISTRAL_TEMPLATE
    return tokenizer


def qwen(tokenizer: Qwen2TokenizerFast) -> Qwen3ForCausalLM:
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def mistral(tokenizer: PreTrainedTokenizerFast) -> Mistral3ForConditionalGeneration:
    text = MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = PixtralVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1, image_size=32, patch_size=16
    )
    return Mistral3ForConditionalGeneration(Mistral3Config(text_config=text, vision_config=vision, image_token_index=1))


def transformer(guidance: bool) -> Flux2Transformer2DModel:
    """Wide and loud enough to tell: sums over 1,024 products, which a CPU's libraries cut by batch size, and weights
    of variance 1 / width, as training leaves them, so that a last bit lost in any block arrives in the velocity."""
    network = Flux2Transformer2DModel(
        in_channels=128,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=64,
        num_attention_heads=4,
        joint_attention_dim=96,
        axes_dims_rope=(16, 16, 16, 16),
        guidance_embeds=guidance,
    )
    for weight in network.parameters():
        if weight.ndim == 2:
            weight.data *= 3**0.5
    return network


def autoencoder() -> AutoencoderKLFlux2:
    network = AutoencoderKLFlux2(block_out_channels=(8, 8, 16, 16), layers_per_block=1, norm_num_groups=8)
    # Statistics as training leaves them: with means of 0 and variances of 1, forgetting them would go unnoticed.
    network.bn.running_mean.normal_(std=0.1)
    network.bn.running_var.uniform_(0.5, 2.0)
    return network


def build(family: str, folder: Path) -> None:
    """Write a random model of `family` into `folder`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(FAMILIES.index(family))
        scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)
        if family == "dev":
            tokenizer = mistral_tokenizer()
            parts = {"text_encoder": mistral(tokenizer), "tokenizer": tokenizer, "transformer": transformer(True)}
            pipeline = Flux2Pipeline(scheduler=scheduler, vae=autoencoder(), **parts)
        else:
            tokenizer = qwen_tokenizer()
            parts = {"text_encoder": qwen(tokenizer), "tokenizer": tokenizer, "transformer": transformer(False)}
            distilled = family == "klein"
            pipeline = Flux2KleinPipeline(scheduler=scheduler, vae=autoencoder(), is_distilled=distilled, **parts)
    pipeline.save_pretrained(folder, safe_serialization=True)
    overrides = {"text_length": TEXT_LENGTHS[family], "text_layers": [1, 2, 3], "width": 64, "height": 64, "steps": 2}
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in overrides.items()]
    (folder / "pressrun.toml").write_text("".join(lines))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from threads, which on a busy machine wait for each other most of the time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """A small random model of every family, on disk."""
    shelf = tmp_path_factory.mktemp("models")
    for family in FAMILIES:
        build(family, shelf / family)
    return {family: find_model(str(shelf / family)) for family in FAMILIES}


@pytest.fixture
def request_of() -> Callable[..., RenderRequest]:
    """A request of 64 x 64 pixels in two steps, but for what the test says."""

    def make(prompt: str = "a red mug", seed: int = 1, **others: object) -> RenderRequest:
        values = {"width": 64, "height": 64, "steps": 2, "guidance": 4.0} | others
        return RenderRequest(custom_id=f"row-{seed}", prompt=prompt, seed=seed, **values)

    return make


@pytest.fixture
def picture_of() -> Callable[..., bytes]:
    """A PNG of random pixels."""

    def make(width: int = 64, height: int = 64, seed: int = 0) -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format="PNG")
        return file.getvalue()

    return make
